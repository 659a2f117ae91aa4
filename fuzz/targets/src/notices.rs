//! Payment providers' notices: none is believed that was not signed, and one that was says what was signed.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use onrush_engine::command::PaymentNotice;
use onrush_payments::provider::{NoticeError, Provider};
use onrush_payments::stripe::Stripe;
use onrush_payments::test_psp::TestPsp;
use serde_json::Value;
use sha2::Sha256;
use standardwebhooks::Webhook;

use crate::input::Input;

/// Secrets that everybody knows.
const TEST_PSP_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const STRIPE_SECRET: &str = "whsec_fuzz";

static TEST_PSP: LazyLock<TestPsp> =
    LazyLock::new(|| TestPsp::new("http://127.0.0.1:1", String::new(), TEST_PSP_SECRET).expect("the secret is one"));
static STRIPE: LazyLock<Stripe> = LazyLock::new(|| {
    Stripe::new("http://127.0.0.1:1", String::new(), STRIPE_SECRET.to_owned()).expect("a client can be made")
});

/// Bytes as a notice with headers of anybody's making, or as one that the provider has signed.
pub fn run(bytes: &[u8]) {
    let mut input = Input::of(bytes);
    let (way, rest) = (input.byte() % 4, input.rest());
    match way {
        // Nothing but text is signed by the test provider, and nothing else is believed.
        1 if std::str::from_utf8(rest).is_ok() => signed(&*TEST_PSP, &test_psp_headers(rest), "/data/reference", rest),
        0 | 1 => made_up(&*TEST_PSP, ["webhook-id", "webhook-timestamp", "webhook-signature"], rest),
        2 => made_up(&*STRIPE, ["stripe-signature"], rest),
        _ => signed(&*STRIPE, &stripe_headers(rest), "/data/object/metadata/booking", rest),
    }
}

/// A line for each header, and then the body.
fn made_up<const N: usize>(provider: &impl Provider, names: [&'static str; N], lines: &[u8]) {
    let mut lines = lines.splitn(N + 1, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in names {
        if let Ok(value) = HeaderValue::from_bytes(lines.next().unwrap_or_default()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let read = provider.read_notice(&headers, lines.next().unwrap_or_default());
    assert!(matches!(read, Err(NoticeError::Signature)), "believed, but never signed: {read:?}");
}

/// `booking` is where the body names the booking.
fn signed(provider: &impl Provider, headers: &HeaderMap, booking: &str, body: &[u8]) {
    match provider.read_notice(headers, body) {
        Ok(Some(notice)) => says_what_was_signed(&notice, booking, body),
        Ok(None) | Err(NoticeError::Content(_)) => {}
        Err(NoticeError::Signature) => panic!("signed, and not believed"),
    }
}

fn says_what_was_signed(notice: &PaymentNotice, booking: &str, body: &[u8]) {
    let sent: Value = serde_json::from_slice(body).expect("a notice that is read is JSON");
    assert_eq!(sent.pointer(booking).and_then(Value::as_str), Some(notice.booking.to_string().as_str()));
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs() as i64
}

fn headers<const N: usize>(pairs: [(&'static str, String); N]) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_str(text).expect("digits, letters and signs");
    pairs.iter().map(|(name, text)| (HeaderName::from_static(name), value(text))).collect()
}

fn test_psp_headers(body: &[u8]) -> HeaderMap {
    let (secret, now) = (Webhook::new(TEST_PSP_SECRET).expect("the secret is one"), now());
    let signature = secret.sign("msg_1", now, body).expect("anything can be signed");
    headers([
        ("webhook-id", "msg_1".to_owned()),
        ("webhook-timestamp", now.to_string()),
        ("webhook-signature", signature),
    ])
}

fn stripe_headers(body: &[u8]) -> HeaderMap {
    let now = now();
    let mut mac = Hmac::<Sha256>::new_from_slice(STRIPE_SECRET.as_bytes()).expect("HMAC takes keys of any length");
    [now.to_string().as_bytes(), b".", body].into_iter().for_each(|part| mac.update(part));
    let signature: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    headers([("stripe-signature", format!("t={now},v1={signature}"))])
}
