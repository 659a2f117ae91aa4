//! Connections with certificates: who has none of the same authority's is refused, and the rest is as without.

use std::path::Path;
use std::sync::Arc;

use onrush_engine::client::Client;
use onrush_engine::mailbox::Failure;
use onrush_engine::refusal::Refusal;
use onrush_engine::seat_map::SeatIndex;
use onrush_engine::time::SystemClock;
use onrush_engine::wire::{Credentials, Key, NAME, Tls, TlsError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::stage::{Running, add_performance, hold, key, on_runtime, until};

/// Somebody who signs certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("it signs itself"))
    }

    /// The files of somebody of this name.
    fn sign(&self, name: &str) -> TempDir {
        let (dir, key) = (tempfile::tempdir().expect("a directory"), KeyPair::generate().expect("a key"));
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("it signs");
        put(dir.path(), "cert.pem", &certificate.pem());
        put(dir.path(), "key.pem", &key.serialize_pem());
        put(dir.path(), "ca.pem", &self.0.pem());
        dir
    }

    fn member(&self) -> Credentials {
        let files = self.sign(NAME);
        Credentials::new(Key::from_bytes([7; 32]), Some(open(files.path()).expect("they fit")))
    }
}

fn put(dir: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(dir.join(name), text).expect("a file");
    std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o600)).expect("our file");
}

fn open(dir: &Path) -> Result<Tls, TlsError> {
    Tls::open(&dir.join("cert.pem"), &dir.join("key.pem"), &dir.join("ca.pem"))
}

fn client(engine: &Running, credentials: &Credentials) -> Client {
    Client::of_engines(std::slice::from_ref(&engine.address), credentials, Arc::new(SystemClock::start()))
}

#[test]
fn a_sale_is_as_without() {
    on_runtime(async {
        let authority = Authority::new();
        let engine = Running::start_with(authority.member());
        let edge = client(&engine, &authority.member());
        let (_, performance) = add_performance(&edge, 1).await;
        let known = edge.performance(performance).unwrap();
        edge.ask(&known, hold(3, None)).await.unwrap();
        let refused = edge.ask(&known, hold(3, None)).await.unwrap_err();
        assert_eq!(refused, Failure::Refused(Refusal::SeatsTaken { seats: vec![SeatIndex(3)] }));

        // What an engine knew before it stopped is asked of the next one.
        let address = engine.address.clone();
        let engine = engine.stop().await.start_again();
        assert_eq!(engine.address, address);
        until(|| edge.is_ready()).await;
        edge.ask(&known, hold(4, Some(1))).await.unwrap();
    });
}

#[test]
fn who_has_no_certificate_of_the_authority_learns_nothing() {
    on_runtime(async {
        let (authority, other) = (Authority::new(), Authority::new());
        let engine = Running::start_with(authority.member());
        let files = authority.sign("another");
        let misnamed = Credentials::new(Key::from_bytes([7; 32]), Some(open(files.path()).unwrap()));
        let strangers = [key(), other.member(), misnamed.clone()].map(|credentials| client(&engine, &credentials));
        let friend = client(&engine, &authority.member());
        add_performance(&friend, 1).await;
        // They have begun to try before the friend did, and go on doing so.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        for stranger in &strangers {
            assert!(!stranger.is_ready() && stranger.shows().all().is_empty());
        }
        // An edge does not believe an engine without one, nor one of another name.
        for engine in [Running::start(), Running::start_with(misnamed)] {
            add_performance(&engine.client, 1).await;
            let edge = client(&engine, &authority.member());
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            assert!(!edge.is_ready() && edge.shows().all().is_empty());
        }
    });
}

#[test]
fn files_that_are_no_certificates_are_named() {
    let (authority, other) = (Authority::new(), Authority::new());
    let said = |files: &TempDir| open(files.path()).err().unwrap().to_string();
    let files = authority.sign(NAME);
    std::fs::remove_file(files.path().join("cert.pem")).unwrap();
    assert!(said(&files).contains("cert.pem"));
    let files = authority.sign(NAME);
    put(files.path(), "key.pem", "nonsense");
    assert!(said(&files).contains("key.pem"));
    let (files, elses) = (authority.sign(NAME), other.sign(NAME));
    std::fs::copy(elses.path().join("key.pem"), files.path().join("key.pem")).unwrap();
    assert!(said(&files).contains("do not fit together"));
}
