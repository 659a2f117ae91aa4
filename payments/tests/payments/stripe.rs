//! Stripe's adapter against answers of the documented shape.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderValue};
use onrush_engine::command::PaymentStatus;
use onrush_payments::provider::{NoticeError, Provider as _, ProviderError};
use onrush_payments::stripe::Stripe;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{order, won};

const SECRET: &str = "whsec_a_secret_of_stripes";

/// Answers one request after the other as it is told; gives back what it was asked.
fn answering(answers: Vec<(u16, Value)>) -> (Stripe, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let serve = |(status, body): (u16, Value)| {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let (mut request, mut length) = (String::new(), 0);
            while !request.ends_with("\r\n\r\n") {
                let start = request.len();
                stream.read_line(&mut request).unwrap();
                let line = request[start..].to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut form = vec![0; length];
            stream.read_exact(&mut form).unwrap();
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
            format!("{request}{}", String::from_utf8(form).unwrap())
        };
        answers.into_iter().map(serve).collect()
    });
    (Stripe::new(&url, "sk_test_1".into(), SECRET.into()).unwrap(), serving)
}

fn intent(status: &str) -> Value {
    json!({"id": "pi_1", "object": "payment_intent", "amount": 165_000, "currency": "krw", "status": status,
        "client_secret": "pi_1_secret_2", "capture_method": "manual", "metadata": {"booking": order(None).booking.to_string()}})
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn every_step_has_a_name_that_is_the_bookings() {
    let refund = |number: &str| json!({"id": "re_1", "status": "succeeded", "metadata": {"refund": number}});
    let (stripe, serving) = answering(vec![
        (200, intent("requires_payment_method")),
        (200, intent("succeeded")),
        (200, intent("canceled")),
        (200, json!({"data": []})),
        (200, refund("0")),
        (200, json!({"data": [refund("0")]})),
    ]);
    run(async {
        let charge = stripe.authorise(&order(None)).await.unwrap();
        assert_eq!((charge.status, charge.amount), (PaymentStatus::Opened, won(165_000)));
        assert_eq!(charge.checkout.client_secret.as_deref(), Some("pi_1_secret_2"));
        assert_eq!(stripe.capture(&order(None), "pi_1").await.unwrap().status, PaymentStatus::Captured);
        assert_eq!(stripe.void(&order(None), "pi_1").await.unwrap().status, PaymentStatus::Voided);
        stripe.refund(&order(None), "pi_1", 0, won(5_000)).await.unwrap();
        // What was sent already is not sent again, even when Stripe has forgotten the step's name.
        stripe.refund(&order(None), "pi_1", 0, won(5_000)).await.unwrap();
    });
    let asked = serving.join().unwrap();
    let booking = order(None).booking;
    let names = [(0, "authorise"), (1, "capture"), (2, "void"), (4, "refund-0")];
    for (place, step) in names {
        assert!(asked[place].contains(&format!("idempotency-key: {booking}:{step}\r\n")), "{}", asked[place]);
    }
    assert!(asked[0].starts_with("POST /v1/payment_intents "), "{}", asked[0]);
    assert!(asked[0].contains("authorization: Bearer sk_test_1\r\n"), "{}", asked[0]);
    assert!(asked[0].contains("amount=165000&currency=krw&capture_method=manual"), "{}", asked[0]);
    assert!(asked[1].starts_with("POST /v1/payment_intents/pi_1/capture "), "{}", asked[1]);
    assert!(asked[2].starts_with("POST /v1/payment_intents/pi_1/cancel "), "{}", asked[2]);
    assert!(asked[4].contains("payment_intent=pi_1&amount=5000"), "{}", asked[4]);
}

#[test]
fn silence_is_no_refusal() {
    let error = json!({"error": {"type": "api_error"}});
    let (stripe, serving) = answering(vec![
        (500, error.clone()),
        (429, error.clone()),
        (401, error.clone()),
        (402, error.clone()),
        (404, error),
    ]);
    run(async {
        for _ in 0..3 {
            assert!(matches!(stripe.authorise(&order(None)).await, Err(ProviderError::Unknown(_))));
        }
        assert!(matches!(stripe.authorise(&order(None)).await, Err(ProviderError::Refused(_))));
        assert_eq!(stripe.look_up(&order(Some("pi_2"))).await, Ok(None));
    });
    serving.join().unwrap();
    let gone = Stripe::new("http://127.0.0.1:1", "sk".into(), SECRET.into()).unwrap();
    let asked = run(gone.authorise(&order(None)));
    assert_eq!(asked, Err(ProviderError::Unknown("no connection".into())));
}

fn signed(body: &str, age_seconds: i64, secret: &str) -> HeaderMap {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let at = now - age_seconds;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{at}.{body}").as_bytes());
    let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let value = format!("t={at},v0=00,v1={},v1={signature}", "ab".repeat(32));
    HeaderMap::from_iter([("stripe-signature".parse().unwrap(), HeaderValue::try_from(value).unwrap())])
}

#[test]
fn a_notice_is_believed_when_it_is_signed_and_fresh() {
    let (stripe, _) = answering(Vec::new());
    let event = |kind: &str, status: &str| json!({"type": kind, "data": {"object": intent(status)}}).to_string();
    let body = event("payment_intent.amount_capturable_updated", "requires_capture");
    let notice = stripe.read_notice(&signed(&body, 0, SECRET), body.as_bytes()).unwrap().unwrap();
    assert_eq!((notice.booking, notice.status), (order(None).booking, PaymentStatus::Authorised));
    assert_eq!((notice.reference.as_deref(), notice.amount), (Some("pi_1"), Some(won(165_000))));

    let refused = Err(NoticeError::Signature);
    assert_eq!(stripe.read_notice(&signed(&body, 301, SECRET), body.as_bytes()), refused, "too old");
    assert_eq!(stripe.read_notice(&signed(&body, -301, SECRET), body.as_bytes()), refused, "from the future");
    assert_eq!(stripe.read_notice(&signed(&body, 0, "whsec_other"), body.as_bytes()), refused);
    assert_eq!(stripe.read_notice(&signed(&body, 0, SECRET), format!("{body} ").as_bytes()), refused);
    assert_eq!(stripe.read_notice(&HeaderMap::new(), body.as_bytes()), refused);

    let other = event("charge.succeeded", "succeeded");
    assert_eq!(stripe.read_notice(&signed(&other, 0, SECRET), other.as_bytes()), Ok(None));
    let odd = "[]";
    let read = stripe.read_notice(&signed(odd, 0, SECRET), odd.as_bytes());
    assert!(matches!(read, Err(NoticeError::Content(_))), "{read:?}");
}
