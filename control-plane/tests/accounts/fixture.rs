//! A control plane with a clock that stands still until it is told, and obligations that a test sets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use onrush_api::key_file::KeyFile;
use onrush_api::peer::Peer;
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::Revocations;
use onrush_api::token::{Caller, TokenKeys};
use onrush_control_plane::ControlPlane;
use onrush_control_plane::accounts::guests::BookedUntil;
use onrush_control_plane::config::Config;
use onrush_engine::id::AccountId;
use onrush_engine::time::{Clock, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

pub(crate) const PASSWORD: &str = "a winter garden, 3 lamps";

/// Begins at the machine's time.
pub(crate) struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// What a test sees.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_else(|| panic!("there is no {name} in {self:?}"))
    }
}

/// How obligations are answered, and how they were asked for.
#[derive(Default)]
pub(crate) struct Outstanding {
    pub(crate) bookings: bool,
    pub(crate) asked: Vec<bool>,
    /// The next answer comes when this does: meanwhile a test does what others do.
    pub(crate) waits: Option<oneshot::Receiver<()>>,
}

pub(crate) struct Plane {
    plane: Option<ControlPlane>,
    runtime: tokio::runtime::Runtime,
    pub(crate) clock: Arc<Hands>,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) outstanding: Arc<Mutex<Outstanding>>,
    pub(crate) data: TempDir,
    /// Where requests come from.
    pub(crate) from: IpAddr,
    /// When the last performance is over that an account has booked.
    pub(crate) booked_until: Arc<Mutex<HashMap<AccountId, Timestamp>>>,
    /// Whether nobody is there who could say that, from the next start on.
    pub(crate) nobody_knows: bool,
}

/// sled's threads may hold its file a moment longer than the store that is gone.
fn wait_until_free(accounts: &Path) {
    for store in std::fs::read_dir(accounts).expect("the accounts' directory").flatten() {
        let Ok(file) = std::fs::File::open(store.path().join("db")) else { continue };
        let since = std::time::Instant::now();
        while file.try_lock().is_err() {
            assert!(since.elapsed() < Duration::from_secs(60), "nobody lets go of {}", store.path().display());
            std::thread::yield_now();
        }
    }
}

impl Plane {
    pub(crate) fn open() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        let mut plane = Self {
            plane: None,
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime"),
            clock: Arc::new(Hands(AtomicI64::new(wall.as_millis() as i64))),
            keys: Arc::new(KeyFile::open_or_create(&KeyFile::path_in(data.path())).expect("a key file")),
            revocations: Arc::default(),
            outstanding: Arc::default(),
            data,
            from: [203, 0, 113, 7].into(),
            booked_until: Arc::default(),
            nobody_knows: false,
        };
        plane.start();
        plane
    }

    fn start(&mut self) {
        let outstanding = Arc::clone(&self.outstanding);
        let obligations: onrush_control_plane::accounts::Obligations = Box::new(move |_, force| {
            let mut outstanding = outstanding.lock().expect("no test panics with it");
            outstanding.asked.push(force);
            let refused = outstanding.bookings && !force;
            let waits = outstanding.waits.take();
            Box::pin(async move {
                if let Some(waits) = waits {
                    waits.await.expect("the test goes on");
                }
                if refused { Err(Problem::new(Kind::BookingsOutstanding)) } else { Ok(()) }
            })
        });
        self.revocations = Arc::default();
        let (keys, revocations) = (Arc::clone(&self.keys), Arc::clone(&self.revocations));
        let clock = Arc::clone(&self.clock);
        let config = Config::new(self.data.path().to_owned());
        let (known, nobody_knows) = (Arc::clone(&self.booked_until), self.nobody_knows);
        let booked_until: BookedUntil = Box::new(move |account| match nobody_knows {
            true => Err(Problem::new(Kind::Overloaded)),
            false => Ok(known.lock().expect("no test panics with it").get(&account).copied()),
        });
        let opened = ControlPlane::open(config, keys, revocations, clock, obligations, booked_until);
        self.plane = Some(opened.expect("it opens"));
    }

    /// Ends, and opens the same directory again.
    pub(crate) fn restart(&mut self) {
        self.plane = None;
        wait_until_free(&self.data.path().join("accounts"));
        self.start();
    }

    pub(crate) fn plane(&self) -> &ControlPlane {
        self.plane.as_ref().expect("it is open")
    }

    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn pass(&self, span: Duration) {
        self.clock.0.fetch_add(span.as_millis() as i64, Ordering::SeqCst);
    }

    pub(crate) fn call(&self, method: &str, path: &str, token: &str, body: Value) -> Answer {
        self.call_with(method, path, &[("authorization", &format!("Bearer {token}"))], body)
    }

    pub(crate) fn call_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        self.wait(self.answer(method, path, headers, body))
    }

    /// As [`Self::call_with`], to be waited for beside others.
    pub(crate) async fn answer(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = request.extension(Peer(self.from)).body(body).expect("a request");
        match self.plane().respond(request).await {
            Ok(reply) => {
                let (parts, body) = reply.into_parts();
                let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).expect("JSON") };
                Answer { status: parts.status.as_u16(), headers: parts.headers, body }
            }
            Err(problem) => Answer {
                status: problem.status(),
                headers: HeaderMap::new(),
                body: serde_json::to_value(problem.body()).expect("JSON"),
            },
        }
    }

    /// The status, and the slug of the problem if it is one.
    #[track_caller]
    pub(crate) fn expect(&self, answer: &Answer, status: u16, slug: &str) {
        let kind = answer.body["type"].as_str().unwrap_or_default();
        assert_eq!((answer.status, kind), (status, format!("/problems/{slug}").as_str()), "{answer:?}");
    }

    pub(crate) fn sign_up(&self, email: &str, role: &str) -> Answer {
        let body = json!({"email": email, "password": PASSWORD, "name": "Kim Minji", "role": role});
        self.call_with("POST", "/v1/accounts", &[], body)
    }

    pub(crate) fn try_password(&self, email: &str, password: &str) -> Answer {
        self.call_with("POST", "/v1/sessions", &[], json!({"email": email, "password": password}))
    }

    pub(crate) fn sign_in(&self, email: &str) -> Answer {
        let answer = self.try_password(email, PASSWORD);
        assert_eq!(answer.status, 201, "{answer:?}");
        answer
    }

    /// Signs a buyer up and in: the access token.
    pub(crate) fn kim(&self) -> String {
        assert_eq!(self.sign_up("kim@example.org", "buyer").status, 201);
        self.sign_in("kim@example.org").text("access_token").to_owned()
    }

    pub(crate) fn refresh(&self, token: &str) -> Answer {
        self.call_with("POST", "/v1/sessions/refresh", &[], json!({"refresh_token": token}))
    }

    /// Who an access token speaks for, as any edge finds out: nobody where it is void.
    pub(crate) fn at_the_edge(&self, token: &str) -> Option<Caller> {
        let caller = self.keys.check(token, self.clock.now()).ok()?;
        (!self.revocations.cover(&caller)).then_some(caller)
    }
}

/// Whether any file below a directory has these bytes.
pub(crate) fn is_on_disk(dir: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()).any(|path| {
        match path.is_dir() {
            true => is_on_disk(&path, bytes),
            false => std::fs::read(&path).expect("a file").windows(bytes.len()).any(|window| window == bytes),
        }
    })
}
