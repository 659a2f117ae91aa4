//! The corpus that is kept, in a plain `cargo test`: what was found once is found again without libFuzzer.
//!
//! `UPDATE_GOLDEN=1` writes the seeds anew; commit such a change only if you understand what caused it.

use std::fs;
use std::path::{Path, PathBuf};

use onrush_fuzz_targets::{ALL, seeds};

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target)
}

/// Every target takes everything that is kept for it.
#[test]
#[expect(clippy::print_stdout, reason = "an input is known before it can fail")]
fn every_input_of_the_corpus_is_taken() {
    for (target, run) in ALL {
        let mut inputs: Vec<PathBuf> =
            fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{target} has no corpus");
        for input in inputs {
            println!("{}", input.display());
            run(&fs::read(input).unwrap());
        }
    }
}

#[test]
fn the_seeds_are_what_real_values_come_to() {
    for seed in seeds::all() {
        let path = corpus(seed.target).join(&seed.name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &seed.bytes).unwrap();
        }
        let kept = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(kept == seed.bytes, "{} is not what it is made of: just bless", path.display());
    }
}
