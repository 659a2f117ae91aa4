//! The security checklist names tests; each has to be there.

use std::path::Path;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The sources of our own crates.
fn sources(dir: &Path, found: &mut String) {
    for entry in std::fs::read_dir(dir).expect("a directory of ours can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&std::fs::read_to_string(&path).expect("a source can be read"));
        }
    }
}

#[test]
fn every_line_of_the_checklist_that_is_met_names_tests_that_there_are() {
    let repository = Path::new(REPOSITORY);
    let mut known = String::new();
    ["control-plane", "edge", "deploy"].iter().for_each(|dir| sources(&repository.join(dir), &mut known));
    let checklist = std::fs::read_to_string(repository.join("docs/asvs.md")).expect("the checklist is there");
    let lines = checklist.lines().filter(|line| line.starts_with('|') && line.contains("| met"));
    let mut met = 0;
    for line in lines {
        let shown = line.trim_end_matches('|').rsplit('|').next().expect("a last column");
        let tests: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test: {line}");
        for test in tests {
            assert!(known.contains(&format!("fn {test}(")), "there is no test {test}: {line}");
        }
        met += 1;
    }
    assert!(met > 30, "{met} lines are met");
}
