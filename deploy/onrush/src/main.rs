//! The binary that puts the parts together: one subcommand a role.

mod arguments;
mod credentials;
mod demo;
mod deployments;
mod edge;
mod engine;
mod journal;
mod listen;
mod logging;
mod make_keys;
mod payments;
mod people;
mod plane;
mod running;
mod rush;
mod serve;
mod settings;
mod telemetry;
mod test_psp;
mod tickets;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a request costs is mostly small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The booking engine for ticket rushes.
///
/// Without a subcommand this is `onrush serve`: everything in one process, with a demo show on sale.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
    onrush                                            serve a demo show on http://127.0.0.1:8080\n  \
    onrush rush --venue stadium --bots 100000         a whole ticket rush against itself, with an audit\n  \
    onrush token --role seller --subject acc_me --data ./onrush-data\n  \
    onrush journal verify ./onrush-data               read the whole journal and check it\n  \
    onrush journal replay ./onrush-data --performance perf_…   tell a performance's sale again"
)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Serve the API: engine and edge in one process
    Serve(serve::Arguments),
    /// Own performances and their journal, for edges in other processes
    Engine(engine::Arguments),
    /// Serve the API for engines in other processes
    Edge(edge::Arguments),
    /// Print an access token, and nothing else
    Token(token::Arguments),
    /// Make the keys that servers of one platform share
    MakeKeys(make_keys::Arguments),
    /// Add a new signing key; servers take it up by themselves, and it signs nobody out
    RotateKey(token::Rotation),
    /// Serve a payment provider to try things with: a page where buyers pay, and no money
    TestPsp(test_psp::Arguments),
    /// Start a server on a free port, send a ticket rush at it, report, audit, clean up
    Rush(rush::Arguments),
    /// Send a recorded arrival profile at a server of its own, as `rush` does
    Replay(rush::ReplayArguments),
    /// Check tickets' codes at a door without a network
    #[command(subcommand)]
    Tickets(tickets::Action),
    /// Look into a data directory
    #[command(subcommand)]
    Journal(journal::Action),
}

/// Bad configuration, as sysexits.h calls it.
const EX_USAGE: u8 = 64;
/// A question that has to be put differently: what clap ends with, too.
const MISUSE: u8 = 2;

fn main() -> ExitCode {
    let role = Arguments::parse().role.unwrap_or_else(|| Role::Serve(serve::Arguments::default()));
    let outcome = match role {
        Role::Serve(arguments) => serve::run(&arguments),
        Role::Engine(arguments) => engine::run(&arguments),
        Role::Edge(arguments) => edge::run(&arguments),
        Role::Token(arguments) => token::run(&arguments),
        Role::MakeKeys(arguments) => make_keys::run(&arguments),
        Role::RotateKey(arguments) => token::rotate(&arguments),
        Role::TestPsp(arguments) => test_psp::run(&arguments),
        Role::Rush(arguments) => rush::run(&arguments),
        Role::Replay(arguments) => rush::replay(&arguments),
        Role::Tickets(action) => tickets::run(&action),
        Role::Journal(action) => journal::run(&action),
    };
    outcome.unwrap_or_else(|error| {
        report(&error);
        exit_code(&error)
    })
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error {
        _ if error.is::<settings::SettingsError>() => ExitCode::from(EX_USAGE),
        _ if error.is::<journal::Misuse>() => ExitCode::from(MISUSE),
        _ => ExitCode::FAILURE,
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a process that failed")]
fn report(error: &anyhow::Error) {
    eprintln!("onrush: {error:#}");
}
