//! `onrush journal replay`: a sale over HTTP, and the same sale told again from its journal.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cli::{onrush, stderr, stdout};
use crate::sale::{self, Sale};
use crate::server::Server;
use crate::{rot, why_not};

/// A question that has to be put differently, as clap ends, too.
const MISUSE: i32 = 2;

/// A journal that can be asked.
pub(crate) struct Told<'a> {
    pub(crate) data: &'a Path,
    pub(crate) performance: &'a str,
}

impl Told<'_> {
    /// What `onrush journal replay` says of the performance.
    pub(crate) fn replay(&self, options: &[&str]) -> Result<String, String> {
        let data = self.data.to_str().expect("temporary paths are text");
        replay(&[&[data, "--performance", self.performance], options].concat())
    }

    /// The objects that it prints.
    pub(crate) fn json(&self, options: &[&str]) -> Vec<Value> {
        let told = self.replay(&[&["--json"], options].concat()).expect("it is told");
        told.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
    }

    /// The last object: what it comes to.
    pub(crate) fn state(&self, options: &[&str]) -> Value {
        self.json(options).pop().expect("at least one line")
    }
}

/// The answer, or the refusal of a question that has to be put differently.
fn replay(arguments: &[&str]) -> Result<String, String> {
    let output = onrush(&[&["journal", "replay"], arguments].concat());
    match output.status.code() {
        Some(0) => Ok(stdout(&output)),
        Some(MISUSE) => Err(stderr(&output)),
        other => panic!("{arguments:?} ended with {other:?}: {}", stderr(&output)),
    }
}

#[test]
fn a_sale_is_told_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let Sale { hall, crowd, .. } = sale::run(&data);
    let before = files(&data);
    let (hall, crowd) = (Told { data: &data, performance: &hall }, Told { data: &data, performance: &crowd });
    every_event_is_told(&hall);
    every_record_has_its_state(&hall);
    a_snapshot_is_where_the_history_begins(&crowd);
    what_is_asked_wrongly_is_refused(&hall, &crowd);
    why_not::every_answer_is_given(&hall);
    why_not::behind_a_snapshot_what_it_says_is_answered(&crowd);
    why_not::what_is_asked_wrongly_is_refused(&hall, &crowd);
    assert!(before == files(&data), "the original has changed");
    a_damaged_journal_is_not_told(&hall, &dir.path().join("rotten"));
}

/// All files of a data directory with their bytes, but for the lock's.
fn files(data: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let inside =
        |dir: &str| fs::read_dir(data.join(dir)).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = inside("").chain(inside("journal")).chain(inside("snapshots")).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).unwrap_or_default())).collect()
}

/// What happens in [`sale::run`], with what differs from run to run masked.
const EVENTS: &str = "\
PERF: A night at the opera (SHOW), 34 seats, sold by acc_crash-seller
starts 2099-01-01T20:00:00.000Z, ends 2099-01-01T23:00:00.000Z
       0  TIME  opened by acc_crash-seller: 34 seats, on sale from TIME until 2099-01-01T20:00:00.000Z
       1  TIME  HOLD took Stalls-A-2, Stalls-A-3 for acc_crash-1, until TIME
       2  TIME  released: HOLD of acc_crash-1 (Stalls-A-2, Stalls-A-3)
       3  TIME  HOLD took Stalls-A-4 for acc_crash-3, until TIME
       4  TIME  booked: HOLD of acc_crash-3 (Stalls-A-4) is BKG, confirmed, \"a \\u{7}birthday\"
       5  TIME  cancelled: acc_crash-3 gave up Stalls-A-4 of BKG of acc_crash-3
       6  TIME  blocked: acc_crash-seller took Stalls-B-1 out of sale (BLK, \"house\")
       7  TIME  blocked: acc_crash-seller took Stalls-B-2 out of sale (BLK, \"house\")
       8  TIME  lifted: BLK gave Stalls-B-1 back
       9  TIME  HOLD took Stalls-A-5 for acc_crash-4, until TIME
      10  TIME  booked: HOLD of acc_crash-4 (Stalls-A-5) is BKG, confirmed
      11  TIME  HOLD took Stalls-A-1 for acc_crash-2, until TIME
      12  TIME  changed: hold_ttl_seconds 10 -> 3600; max_seats_per_buyer 4 -> 2; price of All 0 KRW -> 1000 KRW
      13  TIME  ran out: HOLD of acc_crash-2 (Stalls-A-1)
      14  TIME  HOLD took Stalls-A-1, Floor-1 for acc_crash-3, until TIME
      15  TIME  extended: the server was away; active holds (1) end MILLIS ms later
      16  TIME  changed: opens_at TIME -> 2098-01-01T00:00:00.000Z
      17  TIME  changed: opens_at 2098-01-01T00:00:00.000Z -> 2020-01-01T00:00:00.000Z; closes_at \
2099-01-01T20:00:00.000Z -> 2021-01-01T00:00:00.000Z
to the end of record 17 of 17, at TIME: 18 records, 18 events
seats: 30 free, 2 held, 1 booked, 1 blocked
holds: 1, bookings: 2
state DIGEST
";

fn every_event_is_told(hall: &Told<'_>) {
    let told = masked(&hall.replay(&["--events"]).expect("it is told"));
    for (told, wanted) in told.lines().zip(EVENTS.lines()) {
        assert_eq!(told, wanted);
    }
    assert_eq!(told, EVENTS);
    let kinds: Vec<String> = hall.json(&["--events"]).iter().map(kind).collect();
    let wanted = "performance performance_opened seats_held hold_released seats_held hold_booked seats_cancelled \
                  seats_blocked seats_blocked block_lifted seats_held hold_booked seats_held terms_changed \
                  holds_expired seats_held holds_extended terms_changed terms_changed state";
    assert_eq!(kinds, wanted.split_whitespace().collect::<Vec<_>>());
}

/// The kind of a line, or of the event it is about.
fn kind(line: &Value) -> String {
    let kind = line.get("event").or_else(|| line.get("kind")).and_then(Value::as_str);
    kind.unwrap_or_else(|| panic!("{line} has no kind")).to_owned()
}

/// Ids, digests and this year's times differ from run to run.
pub(crate) fn masked(text: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_matches(|edge: char| "(),.:".contains(edge));
        let mask = match bare {
            _ if bare.len() == 24 && bare.ends_with('Z') && !["2020", "2021", "2098", "2099"].contains(&&bare[..4]) => {
                "TIME"
            }
            _ if bare.starts_with("perf_") => "PERF",
            _ if bare.starts_with("show_") => "SHOW",
            _ if bare.starts_with("hold_") && bare.len() == 37 => "HOLD",
            _ if bare.starts_with("bkg_") => "BKG",
            _ if bare.starts_with("blk_") => "BLK",
            _ if bare.len() == 32 && bare.bytes().all(|byte| byte.is_ascii_hexdigit()) => "DIGEST",
            _ => return word.to_owned(),
        };
        word.replacen(bare, mask, 1)
    };
    let line = |line: &str| {
        let line = line.split(' ').map(word).collect::<Vec<_>>().join(" ");
        match line.split_once(") end ").and_then(|(head, rest)| Some((head, rest.split_once(' ')?.1))) {
            Some((head, tail)) => format!("{head}) end MILLIS {tail}\n"),
            None => line + "\n",
        }
    };
    text.lines().map(line).collect()
}

fn every_record_has_its_state(hall: &Told<'_>) {
    let mut digests = Vec::new();
    for sequence in 0..=17 {
        let state = hall.state(&["--until", &sequence.to_string()]);
        assert_eq!((&state["sequence"], &state["last_sequence"]), (&sequence.into(), &17.into()), "{state}");
        let seats: u64 = ["free", "held", "booked", "blocked"].iter().filter_map(|name| state[name].as_u64()).sum();
        assert_eq!(seats, 34, "{state}");
        digests.push(state["digest"].as_str().expect("a digest").to_owned());
    }
    assert_eq!(hall.state(&["--until", "11"])["held"], 1);
    assert_eq!(hall.state(&["--until", "13"])["held"], 0);
    let verified = onrush(&["journal", "verify", "--data", hall.data.to_str().expect("text")]);
    assert!(stdout(&verified).contains(&digests[17]), "{}", stdout(&verified));
    // Each event changes the state, at least its time.
    digests.dedup();
    assert_eq!(digests.len(), 18);
}

fn a_snapshot_is_where_the_history_begins(crowd: &Told<'_>) {
    let told = crowd.replay(&["--events"]).expect("it is told");
    let snapshot = snapshot(crowd);
    let begins =
        format!("the history begins with record {}: a snapshot stands for what was before, until ", snapshot + 1);
    assert!(told.contains(&begins), "{told}");
    let state = crowd.state(&[]);
    assert_eq!(state["records"], state["sequence"].as_u64().expect("a number") - snapshot, "{state}");
    assert_eq!((&state["booked"], &state["bookings"]), (&2.into(), &2.into()), "{state}");
    assert_eq!(crowd.state(&["--until", &snapshot.to_string()])["events"], 0);
}

/// The last record that a snapshot stands for.
pub(crate) fn snapshot(crowd: &Told<'_>) -> u64 {
    crowd.json(&[])[0]["snapshot"]["sequence"].as_u64().expect("a snapshot stands for the first records")
}

fn what_is_asked_wrongly_is_refused(hall: &Told<'_>, crowd: &Told<'_>) {
    let data = hall.data.to_str().expect("text");
    let refused = |arguments: &[&str], words: &str| {
        let message = replay(arguments).expect_err(words);
        assert!(message.contains(words), "{arguments:?}: {message}");
        message
    };
    for arguments in [[data, "--events"].as_slice(), &[data, "--performance", "perf_0000000000001"]] {
        let message = refused(arguments, "there are:");
        assert!(message.contains(hall.performance) && message.contains(crowd.performance), "{message}");
        assert!(message.contains("A night at the opera, starts 2099-01-01T20:00:00.000Z"), "{message}");
    }
    refused(
        &[data, "--performance", hall.performance, "--until", "18"],
        "record 18 is not there yet: the last one is 17",
    );
    let snapshot = snapshot(crowd);
    let early = (snapshot - 1).to_string();
    let words = format!("a snapshot stands for what was before the end of record {snapshot}, at ");
    refused(&[data, "--performance", crowd.performance, "--until", &early], &words);
    refused(&[data, "--performance", "hold_1"], "expected an identifier that starts with 'perf_'");
    refused(&[data, "--data", data], "cannot be used with");
    let nothing = tempfile::tempdir().expect("a temporary directory");
    refused(&[nothing.path().to_str().expect("text")], "holds no journal; name the data directory");
    let server = Server::start(nothing.path());
    refused(&["--data", nothing.path().to_str().expect("text")], "a server runs in");
    drop(server);
    refused(&[nothing.path().to_str().expect("text")], "there is no performance yet");
}

/// The exit code is 1, and the place is named.
fn a_damaged_journal_is_not_told(hall: &Told<'_>, rotten: &Path) {
    rot::copy(hall.data, rotten);
    let db = rotten.join("journal/db");
    let mut bytes = fs::read(&db).expect("the store's file");
    let purpose = b"birthday";
    let places: Vec<usize> = (0..bytes.len() - purpose.len()).filter(|&at| bytes[at..].starts_with(purpose)).collect();
    assert!(!places.is_empty(), "the journal has a booking with a purpose");
    places.into_iter().for_each(|place| bytes[place] ^= 1);
    fs::write(&db, bytes).expect("the store's file");
    let rotten = rotten.to_str().expect("text");
    let output = onrush(&["journal", "replay", rotten, "--performance", hall.performance]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).is_empty() && rot::names_the_place(&stderr(&output)), "{}", stderr(&output));
}
