# One command a purpose; `just` lists them.

# List the recipes.
default:
    @just --list

# What CI runs.
ci:
    bash .ci/run

# The tests of every commit.
test:
    cargo test --workspace

# The HTTP contract with engine and edge as in two processes.
apart:
    ONRUSH_TEST_APART=1 cargo test -p onrush-edge --test http

# Alert rules and dashboards: their tests, and whether the program has every metric that they ask for.
deploy-check:
    .ci/deploy

# The container image, of this checkout; and whether it runs as docs/running.md says.
image tag="onrush:local":
    docker build --file deploy/Dockerfile --tag {{ tag }} .
    .ci/image {{ tag }}

# Formatting and lints, as CI wants them.
lint:
    cargo fmt --all --check
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo clippy --workspace --all-targets -- -D warnings

# Dependencies: licences, sources, bans; and known advisories, for which the database is fetched.
audit:
    cargo deny check

# The states of a release build are those of a debug build: the same journals, the same digests.
replay-release:
    cargo test --release -p onrush-engine --test simulation --test payments -- replay golden a_seed_comes_to_the_same

# Before a release: leave a journal of this version, which every later one has to read. Once; nothing is written anew.
journal-of-this-version:
    ONRUSH_WRITE_JOURNAL=1 cargo test -p onrush --test crash the_journals_of_every_version

# Write all golden files as they come out now; look at the diff before you commit it. Journals and the digests of replays
# stay as they are.
bless:
    UPDATE_GOLDEN=1 cargo test --workspace

# Feed every parser nonsense, so many seconds each; or only the targets that are named.
fuzz seconds="60" *targets:
    fuzz/run {{ seconds }} {{ targets }}

# Every byte of a journal, cut off and flipped bit by bit: half a million recoveries.
sweep:
    cargo test --release -p onrush-engine --test simulation sweep -- --nocapture

# Every state of a very small sale, within the wider bounds of an optimised build.
states:
    cargo test --release -p onrush-engine --test model -- --nocapture

# A simulated year: 365 days of sales with faults all along, in some minutes.
year:
    ONRUSH_SIM_DAYS=365 cargo test --release -p onrush-engine --test simulation days -- --nocapture

# The long runs, about four hours, as root: a million payments, ten thousand simulated sales and a year of them, ten thousand kills, a thousand power cuts, seeded bugs, ten minutes of bad inputs a target.
nightly:
    ONRUSH_SIM_PAYMENTS=1000000 cargo test --release -p onrush-engine --test payments -- --nocapture
    ONRUSH_SIM_SEEDS=10000 ONRUSH_SIM_DAYS=365 ONRUSH_SIM_OPERATIONS=100000000 cargo test --release -p onrush-engine --test model --test simulation -- --nocapture
    ONRUSH_NO_SKIPS=1 ONRUSH_KILL_CYCLES=10000 cargo test --release -p onrush --test crash kill_9 -- --nocapture
    ONRUSH_NO_SKIPS=1 ONRUSH_POWER_CYCLES=1000 cargo test --release -p onrush --test crash power_cut -- --nocapture
    .ci/seeded-bugs
    fuzz/run 600

# Twenty-eight bugs on purpose, each of which some test has to notice; writes docs/seeded-bugs.md.
bugs *names:
    .ci/seeded-bugs {{ names }}

# A whole ticket rush against a server of its own.
rush *options:
    cargo run --release -- rush {{ options }}

# Onrush beside what one would pick instead, in one interleaved run.
versus *rows:
    cargo run --release -p benches --bin versus -- {{ rows }}

# Every figure of performance (P3 to P10) beside its goal: about ten minutes once it is built.
bench:
    cargo bench -p benches
