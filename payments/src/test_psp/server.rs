//! The test provider's listener: its API for the merchant, and the page for buyers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use standardwebhooks::Webhook;
use tokio::net::{TcpListener, TcpStream};

use super::book::{Book, Entry, Refusal};
use super::mood::Mood;
use super::notices::{Notices, WebhookUrl};
use super::page::page;
use super::wire::{NewPayment, NewRefund, Payment, Refused};
use crate::http_client;

/// What the test provider is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the merchant signs in with.
    pub api_key: String,
    /// What notices are signed with: `whsec_` and base64 of 24 to 64 bytes.
    pub webhook_secret: String,
    /// Where notices go; nobody is told where there is none.
    pub webhook_url: Option<WebhookUrl>,
}

impl Config {
    /// Whether it can be served with this.
    ///
    /// # Errors
    /// Where the webhook's secret is none.
    pub fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Webhook::new(&self.webhook_secret)?;
        Ok(())
    }
}

/// The longest body that is read.
const BODY_LEN_MAX: usize = 16 * 1024;
/// Says what goes wrong with a payment; see [`Mood`].
const MOOD: &str = "test-psp-mood";

struct Server {
    book: Book,
    notices: Notices,
    api_key: String,
    address: SocketAddr,
}

type Reply = Response<Full<Bytes>>;

/// Serves until the future is dropped.
///
/// # Errors
/// Where the secret is none, or the listener has no address.
pub async fn serve(
    listener: TcpListener,
    book: Book,
    config: Config,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let secret = Webhook::new(&config.webhook_secret)?;
    let notices = Notices::new(http_client::client()?, config.webhook_url, secret);
    let address = listener.local_addr()?;
    let server = Arc::new(Server { book, notices, api_key: config.api_key, address });
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(Arc::clone(&server), stream))),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn connection(server: Arc<Server>, stream: TcpStream) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(server.respond(request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    let serving = builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

impl Server {
    async fn respond(self: &Arc<Self>, request: Request<Incoming>) -> Reply {
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_LEN_MAX).collect().await else {
            return refused(StatusCode::BAD_REQUEST, "the body is too long, or ended early");
        };
        let body = body.to_bytes();
        let path: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
        match (&parts.method, path.as_slice()) {
            (&Method::GET, ["pay", id]) => self.show(id),
            (&Method::POST, ["pay", id]) => self.pay(id, &parts.headers, &body),
            (method, ["v1", rest @ ..]) => {
                if !self.is_merchant(&parts.headers) {
                    return refused(StatusCode::UNAUTHORIZED, "the key is not the merchant's");
                }
                self.api(method, rest, parts.uri.query(), &body)
            }
            _ => refused(StatusCode::NOT_FOUND, "there is no such thing"),
        }
    }

    fn is_merchant(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        given == Some(&self.api_key)
    }

    fn api(&self, method: &Method, path: &[&str], query: Option<&str>, body: &[u8]) -> Reply {
        match (method, path) {
            (&Method::POST, ["payments"]) => with_json(body, |new| self.open(new)),
            (&Method::GET, ["payments"]) => {
                let reference = query.and_then(|query| query.strip_prefix("reference=")).unwrap_or_default();
                self.done(self.book.by_reference(reference))
            }
            (&Method::GET, ["payments", id]) => self.done(self.book.get(id).map(|entry| entry.payment)),
            (&Method::POST, ["payments", id, "capture"]) => self.step(id, "capture", self.book.capture(id)),
            (&Method::POST, ["payments", id, "void"]) => self.step(id, "void", self.book.void(id)),
            (&Method::POST, ["payments", id, "refunds"]) => {
                with_json(body, |new: NewRefund| self.step(id, "refund", self.book.refund(id, new)))
            }
            _ => refused(StatusCode::NOT_FOUND, "there is no such thing"),
        }
    }

    fn open(&self, new: NewPayment) -> Reply {
        let mut id = [0; 12];
        if getrandom::fill(&mut id).is_err() {
            return refused(StatusCode::SERVICE_UNAVAILABLE, "no id could be drawn");
        }
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let opened = self.book.open_payment(new, format!("tpay_{id}"));
        let lost = opened.as_ref().is_ok_and(|payment| self.book.loses(&payment.id, "open"));
        if lost { answer_lost() } else { self.done(opened) }
    }

    /// Tells the merchant, too, unless the answer says it all.
    fn step(&self, id: &str, step: &'static str, taken: Result<Entry, Refusal>) -> Reply {
        if let Ok(entry) = &taken {
            self.notices.send(entry);
            if self.book.loses(id, step) {
                return answer_lost();
            }
        }
        self.done(taken.map(|entry| entry.payment))
    }

    /// The payment as it is now, or why not.
    fn done(&self, outcome: Result<Payment, Refusal>) -> Reply {
        match outcome {
            Ok(payment) => {
                let url = format!("http://{}/pay/{}", self.address, payment.id);
                json(StatusCode::OK, &Payment { url, ..payment })
            }
            Err(Refusal::Unknown) => refused(StatusCode::NOT_FOUND, "there is no such payment"),
            // Not a conflict of the moment: asking again changes nothing.
            Err(Refusal::Conflict(why)) => refused(StatusCode::UNPROCESSABLE_ENTITY, why),
        }
    }

    fn show(&self, id: &str) -> Reply {
        match self.book.get(id) {
            Ok(entry) => html(&page(&entry.payment)),
            Err(_) => refused(StatusCode::NOT_FOUND, "there is no such payment"),
        }
    }

    /// The buyer pays: the bank is asked, and answers at once, or after the delay that the mood says.
    fn pay(self: &Arc<Self>, id: &str, headers: &HeaderMap, body: &[u8]) -> Reply {
        let said = headers.get(MOOD).map(|mood| mood.to_str().unwrap_or("?").parse::<Mood>()).transpose();
        let mood = match (said, body) {
            (Ok(mood), b"outcome=pay") => mood,
            (Ok(mood), b"outcome=decline") => Some(Mood { declined: true, ..mood.unwrap_or_default() }),
            (Ok(_), _) => {
                return refused(StatusCode::BAD_REQUEST, "say outcome=pay or outcome=decline, as a form does");
            }
            (Err(error), _) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let entry = match self.book.begin(id, mood) {
            Ok(entry) => entry,
            Err(Refusal::Unknown) => return refused(StatusCode::NOT_FOUND, "there is no such payment"),
            Err(Refusal::Conflict(why)) => return refused(StatusCode::CONFLICT, why),
        };
        if entry.mood.delay.is_zero() {
            return self.bank_answers(id);
        }
        self.notices.send(&entry);
        let (server, id) = (Arc::clone(self), id.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(entry.mood.delay).await;
            server.bank_answers(&id);
        });
        html(&page(&entry.payment))
    }

    fn bank_answers(&self, id: &str) -> Reply {
        match self.book.answer(id) {
            Ok(entry) => {
                self.notices.send(&entry);
                html(&page(&entry.payment))
            }
            Err(_) => refused(StatusCode::NOT_FOUND, "there is no such payment"),
        }
    }
}

fn with_json<T: DeserializeOwned>(body: &[u8], act: impl FnOnce(T) -> Reply) -> Reply {
    match serde_json::from_slice(body) {
        Ok(value) => act(value),
        Err(error) => refused(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

/// It was done, and the merchant does not hear of it.
fn answer_lost() -> Reply {
    refused(StatusCode::GATEWAY_TIMEOUT, "the answer was lost on purpose")
}

fn refused(status: StatusCode, error: &str) -> Reply {
    json(status, &Refused { error: error.to_owned() })
}

fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(value).expect("the wire's types are plain and always make JSON");
    reply(status, "application/json", body)
}

fn html(page: &str) -> Reply {
    reply(StatusCode::OK, "text/html; charset=utf-8", page.as_bytes().to_vec())
}

fn reply(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Reply {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";
    let builder = Response::builder().status(status).header(CONTENT_TYPE, content_type);
    let response = builder.header(CONTENT_SECURITY_POLICY, POLICY).body(Full::new(body.into()));
    response.expect("the headers are constants")
}
