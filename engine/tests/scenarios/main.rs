//! The rules as text: `scenarios/*.txt` are lines of `command => outcome`, and every line must come out as written.
//!
//! After each line the state is counted anew, and compared with a replay of its events. `UPDATE_GOLDEN=1` writes the
//! files as they come out; commit such a change only if you understand what caused it.

#![expect(clippy::unwrap_used, reason = "what a test cannot go on without, stops it here")]

mod script;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use script::Script;

fn files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

/// The file as it comes out, and the refusals that were met.
fn play(path: &Path) -> (String, BTreeSet<&'static str>) {
    let mut script = Script::default();
    let mut played = String::new();
    for (number, line) in fs::read_to_string(path).unwrap().lines().enumerate() {
        let command = line.split("=>").next().unwrap().trim();
        if command.is_empty() || command.starts_with('#') {
            played.push_str(line);
        } else {
            let outcome = script.run(command);
            script.check().unwrap_or_else(|fault| panic!("{}:{}: {fault}", path.display(), number + 1));
            played.push_str(&format!("{command} => {outcome}"));
        }
        played.push('\n');
    }
    (played, script.refusals)
}

#[test]
fn every_line_comes_out_as_written() {
    for path in files() {
        let (played, _) = play(&path);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &played).unwrap();
        }
        let written = fs::read_to_string(&path).unwrap();
        for (number, (played, written)) in played.lines().zip(written.lines()).enumerate() {
            assert_eq!(played, written, "{}:{}", path.display(), number + 1);
        }
    }
}

#[test]
fn every_refusal_appears() {
    let met: BTreeSet<&str> = files().iter().flat_map(|path| play(path).1).collect();
    let missing: Vec<&&str> = script::REFUSALS.iter().filter(|name| !met.contains(**name)).collect();
    assert!(missing.is_empty(), "no scenario meets {missing:?}");
}
