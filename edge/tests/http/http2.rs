//! HTTP/2 with prior knowledge: the same API.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Frame};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use onrush_edge::config::Config;

use crate::fixture::{Hall, Server};

/// Runs a client. It has to be gone before its server stops, which would wait for it to say goodbye.
fn run(client: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(client);
}

async fn connect<B>(hall: &Hall) -> SendRequest<B>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let stream = TcpStream::connect(hall.addresses[0]).await.expect("the server listens");
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a greeting");
    tokio::spawn(connection);
    client
}

async fn json_of(response: Response<hyper::body::Incoming>) -> Value {
    let body = response.into_body().collect().await.expect("a whole body").to_bytes();
    serde_json::from_slice(&body).expect("the body is JSON")
}

fn request<B>(hall: &Hall, method: &str, path: &str, body: B) -> Request<B> {
    let request = Request::builder().method(method).uri(format!("http://onrush.test{path}"));
    let token = format!("Bearer {}", hall.buyer("acc_kim"));
    request.header("authorization", token).header("content-type", "application/json").body(body).expect("a request")
}

/// All that a silent connection is given is made of these. A request has time enough on a slow disk.
fn impatient() -> Config {
    let [short, enough] = [100, 2_000].map(Duration::from_millis);
    Config { header_read_timeout: short, request_timeout: enough, write_timeout: short, ..Config::default() }
}

#[test]
fn a_client_that_asks_for_nothing_is_cut_off() {
    let hall = Hall::on(Server::with(impatient()), &[]);
    run(async {
        let stream = TcpStream::connect(hall.addresses[0]).await.expect("the server listens");
        let (_client, connection) =
            handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a greeting");
        // Ends when the server closes; a server that did not would be waited for until the test is given up.
        connection.await.ok();
    });
}

#[test]
fn a_client_that_takes_nothing_of_its_answers_is_cut_off() {
    let hall = Hall::on(Server::with(impatient()), &[]);
    run(async {
        let stream = TcpStream::connect(hall.addresses[0]).await.expect("the server listens");
        let builder = &mut hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(0);
        let (mut client, connection) =
            builder.handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.expect("a greeting");
        let ended = tokio::spawn(connection);
        let answer = client.send_request(request(&hall, "GET", &hall.path("/seat-map"), Full::default())).await;
        assert_eq!(answer.expect("a head needs no window").status(), 200);
        ended.await.expect("no panic").ok();
    });
}

#[test]
fn many_requests_share_a_connection() {
    let hall = Hall::open();
    run(many_requests(&hall));
}

async fn many_requests(hall: &Hall) {
    let mut client = connect(hall).await;
    let holds: Vec<_> = (1..=4)
        .map(|seat| {
            let wish = json!({"seats": [format!("A-1-{seat}")]}).to_string();
            client.send_request(request(hall, "POST", &hall.path("/holds"), Full::from(wish)))
        })
        .collect();
    for hold in holds {
        let response = hold.await.expect("an answer");
        assert_eq!(response.status(), 201);
        assert!(response.headers().contains_key("x-request-id"));
        assert!(json_of(response).await["id"].as_str().expect("an id").starts_with("hold_"));
    }
    let wish = json!({"seats": ["A-1-5"]}).to_string();
    let fifth =
        client.send_request(request(hall, "POST", &hall.path("/holds"), Full::from(wish))).await.expect("an answer");
    assert_eq!(fifth.status(), 403);
    let availability = client
        .send_request(request(hall, "GET", &hall.path("/availability"), Full::default()))
        .await
        .expect("an answer");
    assert_eq!(json_of(availability).await["remaining"]["total"], 23);
}

/// A body that does not say how long it is.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 1024])))))
    }
}

#[test]
fn a_body_without_a_length_is_read_up_to_the_limit() {
    let hall = Hall::open();
    hall.unchanged(|| run(endless_body(&hall)));
}

async fn endless_body(hall: &Hall) {
    let mut client = connect(hall).await;
    let response = client.send_request(request(hall, "POST", &hall.path("/holds"), Endless)).await.expect("an answer");
    assert_eq!(response.status(), 413);
    assert_eq!(json_of(response).await["type"], "/problems/body-too-large");
}
