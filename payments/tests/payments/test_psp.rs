//! The test provider over its own API: a step is taken once, whatever is asked again.

use onrush_engine::command::PaymentStatus;
use onrush_payments::provider::{Provider as _, ProviderError};
use onrush_payments::test_psp::{Book, Config, TestPsp, serve};
use tokio::net::TcpListener;

use crate::{order, won};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn provider(directory: &std::path::Path) -> TestPsp {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = Config { api_key: "key".into(), webhook_secret: SECRET.into(), webhook_url: None };
    let book = Book::open(directory).unwrap();
    tokio::spawn(async move { serve(listener, book, config).await.unwrap() });
    TestPsp::new(&url, "key".into(), SECRET).unwrap()
}

async fn pay(url: &str, body: &'static str) -> u16 {
    let answer = reqwest::Client::new().post(url).body(body).send().await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn a_step_is_taken_once_and_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let psp = provider(directory.path()).await;
    assert_eq!(psp.look_up(&order(None)).await, Ok(None));
    let opened = psp.authorise(&order(None)).await.unwrap();
    let again = psp.authorise(&order(None)).await.unwrap();
    assert_eq!(opened, again, "one booking, one payment");
    assert!(matches!(psp.capture(&order(None), &opened.reference).await, Err(ProviderError::Refused(_))));
    assert_eq!(pay(opened.checkout.url.as_ref().unwrap(), "outcome=pay").await, 200);
    assert_eq!(psp.look_up(&order(None)).await.unwrap().unwrap().status, PaymentStatus::Authorised);
    for _ in 0..2 {
        let captured = psp.capture(&order(None), &opened.reference).await.unwrap();
        assert_eq!(captured.status, PaymentStatus::Captured);
        psp.refund(&order(None), &opened.reference, 0, won(100_000)).await.unwrap();
    }
    let too_much = psp.refund(&order(None), &opened.reference, 1, won(65_001)).await;
    assert!(matches!(too_much, Err(ProviderError::Refused(_))), "{too_much:?}");
    assert!(matches!(psp.void(&order(None), &opened.reference).await, Err(ProviderError::Refused(_))));

    let restarted = provider(directory.path()).await;
    assert_eq!(restarted.look_up(&order(None)).await.unwrap().unwrap().status, PaymentStatus::Captured);
    restarted.refund(&order(None), &opened.reference, 0, won(100_000)).await.unwrap();
    let book = std::fs::read_to_string(directory.path().join("payments.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(book.lines().last().unwrap()).unwrap();
    assert_eq!(last["refunds"].as_array().unwrap().len(), 1, "{last}");
}

#[tokio::test]
async fn a_stranger_is_told_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let psp = provider(directory.path()).await;
    let url = psp.authorise(&order(None)).await.unwrap().checkout.url.unwrap();
    let base = url.split("/pay/").next().unwrap();
    let stranger = TestPsp::new(base, "another".into(), SECRET).unwrap();
    // A wrong key says nothing of the payment: the operator mends it, and the step is taken then.
    assert!(matches!(stranger.look_up(&order(None)).await, Err(ProviderError::Unknown(_))));
    assert_eq!(pay(&format!("{base}/pay/tpay_none"), "outcome=pay").await, 404);
}

#[tokio::test]
async fn what_is_no_outcome_pays_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let psp = provider(directory.path()).await;
    let url = psp.authorise(&order(None)).await.unwrap().checkout.url.unwrap();
    for body in ["", "outcome=", "outcome=declined", "outcome=decline&outcome=pay"] {
        assert_eq!(pay(&url, body).await, 400, "{body}");
    }
    assert_eq!(psp.look_up(&order(None)).await.unwrap().unwrap().status, PaymentStatus::Opened);
    assert_eq!(pay(&url, "outcome=decline").await, 200);
    assert_eq!(psp.look_up(&order(None)).await.unwrap().unwrap().status, PaymentStatus::Failed);
}
