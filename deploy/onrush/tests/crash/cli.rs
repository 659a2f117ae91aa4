//! The command line: what it prints, and what it refuses.

use std::path::Path;
use std::process::{Output, Stdio};

use onrush_engine::journal::store::{SledStore, Store as _};

use crate::server::{Server, command};

/// Bad configuration, as sysexits.h calls it.
const EX_USAGE: i32 = 64;

pub(crate) fn onrush(arguments: &[&str]) -> Output {
    command(&[]).args(arguments).output().expect("the binary runs")
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The one line of an error, for a command that must be refused as bad configuration.
fn refused(arguments: &[&str]) -> String {
    let output = onrush(arguments);
    assert_eq!(output.status.code(), Some(EX_USAGE), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    stderr(&output)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

#[test]
fn print_config_says_where_each_value_came_from() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("onrush.toml");
    std::fs::write(&file, "mailbox_capacity = 100\n").expect("a file");
    let output = onrush(&["serve", "--print-config", "--listen", "127.0.0.1:1", "--config", text(&file)]);
    assert!(output.status.success(), "{}", stderr(&output));
    let printed = stdout(&output);
    let from_file = format!("mailbox_capacity = \"100\"  # {};", file.display());
    for line in ["listen = \"127.0.0.1:1\"  # --listen;", "demo = \"false\"  # ONRUSH_DEMO;", &from_file] {
        assert!(printed.contains(line), "no '{line}' in\n{printed}");
    }
    assert!(printed.contains("durability = \"fsync\"  # default;"), "{printed}");
    // What it prints is a configuration file.
    std::fs::write(&file, &printed).expect("a file");
    assert!(onrush(&["serve", "--print-config", "--config", text(&file)]).status.success());
}

#[test]
fn a_contradiction_is_named_before_anything_is_opened() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let listen = ["--listen", "127.0.0.1:8080", "--ops-listen", "127.0.0.1:8080"];
    let message = refused(&[["serve", "--data", text(&data)].as_slice(), &listen].concat());
    assert!(message.contains("listen and ops_listen are the same address"), "{message}");
    let message = refused(&["serve", "--data", text(&data), "--durability", "maybe"]);
    assert!(message.contains("durability = maybe (from --durability): must be fsync or relaxed"), "{message}");
    assert!(!data.exists());
}

#[test]
fn an_unknown_setting_is_named() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("onrush.toml");
    std::fs::write(&file, "mailbox_capasity = 100\n").expect("a file");
    let message = refused(&["serve", "--config", text(&file)]);
    assert!(message.contains("'mailbox_capasity'") && message.contains(text(&file)), "{message}");
    let message = refused(&["serve", "--config", text(&dir.path().join("none.toml"))]);
    assert!(message.contains("none.toml"), "{message}");
}

#[test]
fn token_prints_the_token_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::start(dir.path());
    let output = onrush(&["token", "--role", "buyer", "--subject", "acc_me", "--data", text(dir.path())]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    let printed = stdout(&output);
    let token = printed.strip_suffix('\n').expect("one line");
    assert!(token.split('.').count() == 3 && !token.contains(char::is_whitespace), "'{token}'");
    let answer = server.connect().ask(&crate::http::Call::get("/v1/bookings"), token);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_test_provider_with_a_wrong_webhook_does_not_start() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    for wrong in ["notaurl", "ftp://127.0.0.1/", "/v1/payments/webhook"] {
        let output = onrush(&["test-psp", "--data", text(&data), "--webhook", wrong]);
        assert!(stderr(&output).contains("not a web address, such as http://"), "{}", stderr(&output));
        assert!(!output.status.success() && !data.exists());
    }
    let output = onrush(&["test-psp", "--data", text(&data), "--webhook-secret", "foo"]);
    assert!(
        stderr(&output).contains("--webhook-secret: ") && stderr(&output).contains("whsec_"),
        "{}",
        stderr(&output)
    );
    assert!(stdout(&output).is_empty() && !output.status.success() && !data.exists());
}

#[test]
fn verify_needs_a_journal_that_no_server_uses() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let nothing = onrush(&["journal", "verify", "--data", text(dir.path())]);
    assert!(stderr(&nothing).contains("holds no journal"), "{}", stderr(&nothing));
    assert!(!nothing.status.success());
    let server = Server::start(dir.path());
    let running = onrush(&["journal", "verify", "--data", text(dir.path())]);
    assert!(stderr(&running).contains("a server runs in") && !running.status.success(), "{}", stderr(&running));
    server.kill();
    for sound in [["--data", text(dir.path())].as_slice(), &[text(dir.path())]] {
        let sound = onrush(&[["journal", "verify"].as_slice(), sound].concat());
        assert!(sound.status.success() && stdout(&sound).contains("sound: "), "{}", stderr(&sound));
    }
}

/// A last record that is torn and was never noted as durable: a start cuts it off, so it is told.
#[test]
fn verify_names_a_record_that_a_start_would_cut_off() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    Server::start(dir.path()).kill();
    let mut store = SledStore::open(&dir.path().join("journal")).expect("the server has made it");
    let (mut last, mut records) = (None, 0);
    store.scan(&mut |key, bytes| (last, records) = (Some((key, bytes.to_vec())), records + 1)).expect("it can be read");
    let (key, mut bytes) = last.expect("a demo has records");
    bytes.pop();
    store.append(&[(key, bytes)]).expect("there is room");
    store.flush(records - 1).expect("there is room");
    drop(store);
    let verified = onrush(&["journal", "verify", text(dir.path())]);
    let told = format!("but record {} of stream {:016x} is damaged", key.sequence, key.stream.0);
    assert!(stdout(&verified).contains(&told), "{told}: {}{}", stdout(&verified), stderr(&verified));
}

#[test]
fn verify_may_be_read_in_part() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    Server::start(dir.path()).kill();
    let mut verify = command(&[]);
    verify.args(["journal", "verify", text(dir.path())]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut verify = verify.spawn().expect("the binary runs");
    drop(verify.stdout.take());
    let ended = verify.wait_with_output().expect("a child can be waited for");
    assert!(ended.status.success(), "{}", stderr(&ended));
}

#[test]
fn verify_finds_the_directory_where_serve_does() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let verify = |data: &str, arguments: &[&str]| {
        let mut command = command(&[]);
        command.current_dir(dir.path()).env("ONRUSH_DATA", data).args(["journal", "verify"]).args(arguments);
        stderr(&command.output().expect("the binary runs"))
    };
    assert!(verify("elsewhere", &[]).contains("there is no directory elsewhere"), "{}", verify("elsewhere", &[]));
    assert!(verify("elsewhere", &["here"]).contains("onrush: there is no directory here"));
    let by_default =
        command(&[]).current_dir(dir.path()).args(["journal", "verify"]).output().expect("the binary runs");
    assert!(stderr(&by_default).contains("there is no directory ./onrush-data"), "{}", stderr(&by_default));
    assert_eq!(by_default.status.code(), Some(2));
    assert!(verify(".", &[]).contains(". holds no journal; name the data directory itself"), "{}", verify(".", &[]));
}

#[test]
fn a_journal_whose_end_may_be_lost_is_not_called_sound() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data = dir.path().join("data");
    let server = crate::server::Server::start(&data);
    server.terminate();
    server.wait();
    let verify = || onrush(&["journal", "verify", data.to_str().expect("temporary paths are text")]);
    assert_eq!(verify().status.code(), Some(0));
    std::fs::remove_file(data.join("journal/mark")).expect("the note is there");
    let verified = verify();
    assert_eq!(verified.status.code(), Some(1));
    assert!(
        stdout(&verified).contains("sound as far as it goes")
            && stdout(&verified).contains("a lost end would not show")
    );
}
