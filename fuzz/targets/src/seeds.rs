//! What fuzzing begins with: real values of every kind, made by the code that makes them in earnest. `just bless` writes
//! them anew where a format has changed. What fuzzing found lies beside them, and is not made but kept.

use onrush_api::page::Cursor;
use onrush_api::token::Role;
use onrush_edge::fuzzing;
use onrush_engine::id::{BlockId, BookingId, HoldId};
use onrush_engine::journal::codec::{encode_entries, encode_image, encode_registry};
use onrush_engine::journal::frame::Digest;
use onrush_engine::journal::snapshot::Snapshot;
use onrush_engine::registry::RegistryEvent;

use crate::bodies::PUBLICATION;
use crate::hall::{PERFORMANCE, SHOW, after, seller, show_details};
use crate::input::Input;
use crate::journal::STREAM;
use crate::sale::Sale;
use crate::ticket_codes::code;
use crate::tokens::minted;

/// An input of a target.
pub struct Seed {
    /// The target's name.
    pub target: &'static str,
    /// Its file's name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Every seed.
pub fn all() -> Vec<Seed> {
    let of_targets =
        [addresses(), bodies(), idempotency_keys(), notices(), records(), snapshots(), ticket_codes(), tokens()];
    of_targets.into_iter().flatten().collect()
}

/// A seed: `head` says which way in is taken, and `parts` follow each other.
fn seed(target: &'static str, name: &str, head: &[u8], parts: &[&[u8]]) -> Seed {
    Seed { target, name: name.to_owned(), bytes: [head, &parts.concat()].concat() }
}

fn addresses() -> Vec<Seed> {
    let (number, nonce) = (7, 0x0123_4567_89ab_cdef);
    let hold = HoldId { performance: PERFORMANCE, number, nonce };
    let booking = BookingId { performance: PERFORMANCE, number, nonce };
    let block = BlockId { performance: PERFORMANCE, number, nonce };
    let cursor = Cursor(260);
    let targets = [
        ("shows", format!("/v1/shows?q=the%20tempest&field=theatre&on_sale=true&limit=20&cursor={cursor}")),
        ("show", format!("/v1/shows/{SHOW}")),
        ("availability", format!("/v1/performances/{PERFORMANCE}/availability?fields=remaining")),
        ("hold", format!("/v1/holds/{hold}")),
        ("block", format!("/v1/performances/{PERFORMANCE}/blocks/{block}")),
        ("cancel", format!("/v1/bookings/{booking}/cancel")),
        ("odd", "/v1//shows/%2e%2e/../problems/not-found?limit&cursor=&q=a+b%zz%".to_owned()),
        ("absolute", "http://onrush.test:8080/v1/bookings?limit=200".to_owned()),
    ];
    let names = format!("{SHOW}\n{PERFORMANCE}\n{hold}\n{booking}\n{block}\nacc_kim\n{cursor}\nKRW");
    let times = "2026-12-01T19:30:00Z\n2026-12-01T19:30:00.5+09:00\n1970-01-01T00:00:00Z\n9999-12-30T22:00:00Z";
    let labels = "A-1-5\nA-2-6\nB-left-1a\nFloor-4\nRoom-2027-01-15T17:00:00Z";
    let targets = targets.iter().map(|(name, target)| seed("addresses", name, &[0], &[target.as_bytes()]));
    let texts = [("names", 1, names.as_str()), ("times", 1, times), ("labels", 2, labels)];
    targets.chain(texts.map(|(name, head, text)| seed("addresses", name, &[head], &[text.as_bytes()]))).collect()
}

/// A draft that uses everything a draft can have.
const PERFORMANCE_DRAFT: &str = r#"{
    "starts_at": "2040-06-01T19:00:00Z", "ends_at": "2040-06-01T22:00:00Z",
    "tiers": [{"name": "VIP", "price": {"amount": 165000, "currency": "KRW"}},
              {"name": "R", "price": {"amount": 0, "currency": "KRW"}}],
    "seat_map": {"sections": [
        {"name": "A", "kind": "reserved", "tier": "VIP",
         "rows": [{"name": "1", "seats": 6}, {"name": "left", "seats": ["1a", "1b"]}]},
        {"name": "Floor", "kind": "general_admission", "tier": "R", "capacity": 10},
        {"name": "Studio", "kind": "slots", "tier": "R", "resource": "Studio",
         "slots": [{"starts_at": "2040-06-01T09:00:00Z", "ends_at": "2040-06-01T10:00:00Z"}]}]},
    "sale": {"opens_at": "2040-01-01T00:00:00Z", "closes_at": "2040-06-01T19:00:00Z", "hold_ttl_seconds": 300,
             "max_seats_per_buyer": 4, "max_holds_per_buyer": 2, "approval": "manual",
             "cancel_until": "2040-05-01T00:00:00Z", "waiting_room": null,
             "refund": [{"until": "2040-04-01T00:00:00Z", "percent": 100},
                        {"until": "2040-05-01T00:00:00Z", "percent": 50}]}}"#;

const UNSOLD_TIER_DRAFT: &str = r#"{
    "starts_at": "2040-06-01T19:00:00Z",
    "tiers": [{"name": "A", "price": {"amount": 1, "currency": "USD"}},
              {"name": "B", "price": {"amount": 1, "currency": "USD"}}],
    "seat_map": {"sections": [{"name": "A", "kind": "general_admission", "tier": "A", "capacity": 3}]}}"#;

const PERFORMANCE_PATCH: &str = r#"{
    "starts_at": "2027-01-16T19:00:00Z", "ends_at": "2027-01-16T20:00:00Z",
    "tiers": [{"name": "Gold", "price": {"amount": 7, "currency": "KRW"}}],
    "sale": {"hold_ttl_seconds": 60, "approval": "automatic", "refund": []}}"#;

const SHOW_DRAFT: &str = r#"{"title": "The Tempest", "field": "theatre", "cast": ["Kim", "Lee"], "venue": "Grand Theatre",
    "description": "A storm.", "poster_url": "https://example.org/tempest.png"}"#;

const SHOW_PATCH: &str = r#"{"title": "The Tempest", "field": "space", "cast": [], "venue": "", "description": "",
    "poster_url": null}"#;

/// A wish that uses everything a wish can have.
const WISH: &str = r#"{"quantity":2,"sections":["A","Floor"],"price_max":165000,"fallback":"elsewhere"}"#;

fn bodies() -> Vec<Seed> {
    let hold = HoldId { performance: PERFORMANCE, number: 7, nonce: 9 };
    let booking = format!(r#"{{"hold":"{hold}","purpose":"a birthday"}}"#);
    let guest = format!(
        r#"{{"hold":"{hold}","guest":{{"name":"김민지","phone":"+82 10-1234-5678","password":"a winter garden, 3 lamps"}}}}"#
    );
    let wished = serde_json::from_str(WISH).expect("a draft of a wish");
    let wished = fuzzing::wish_id(&wished, &PUBLICATION).expect("the hall has these sections");
    let wished = format!(r#"{{"wish":"{wished}"}}"#);
    let bodies = [
        ("show", 0, SHOW_DRAFT),
        ("show-least", 0, r#"{"title":"서울","field":"concert"}"#),
        ("show-patch", 1, SHOW_PATCH),
        ("performance", 2, PERFORMANCE_DRAFT),
        ("performance-preset", 2, r#"{"starts_at":"2040-06-01T19:00:00Z","venue_preset":"study-rooms"}"#),
        ("performance-unsold-tier", 2, UNSOLD_TIER_DRAFT),
        ("performance-patch", 3, PERFORMANCE_PATCH),
        ("hold-seats", 4, r#"{"seats":["A-1-1","B-left-1a","Floor-2"]}"#),
        ("hold-best", 4, r#"{"best_available":{"quantity":2,"tier":"Gold","section":"A","adjacent":true}}"#),
        ("hold-best-apart", 4, r#"{"best_available":{"quantity":7,"adjacent":false}}"#),
        ("hold-best-unsold-tier", 4, r#"{"best_available":{"quantity":2,"tier":"Unsold"}}"#),
        ("hold-places", 4, r#"{"general_admission":{"section":"Floor","quantity":3}}"#),
        ("hold-wish", 4, wished.as_str()),
        ("booking", 5, booking.as_str()),
        ("booking-guest", 5, guest.as_str()),
        ("guest", 18, r#"{"password":"a winter garden, 3 lamps"}"#),
        ("wish", 19, WISH),
        ("wish-least", 19, r#"{"quantity":2}"#),
        ("sign-in-guest", 16, r#"{"guest":true}"#),
        ("cancel-all", 6, "{}"),
        ("cancel-some", 6, r#"{"seats":["A-1-1","A-1-2"]}"#),
        ("block", 7, r#"{"seats":["A-2-1","A-2-2"],"reason":"press"}"#),
        ("reason", 8, r#"{"reason":"Press only"}"#),
        ("member", 9, r#"{"account":"acc_lee","role":"door"}"#),
        ("transfer", 10, r#"{"to":"acc_lee"}"#),
        ("check-in", 11, r#"{"code":"onr1.AAAA.AAAA"}"#),
        ("sign-up", 12, r#"{"email":"kim@example.org","password":"a winter garden","name":"김","role":"buyer"}"#),
        ("account-patch", 13, r#"{"name":"Kim","password":"another garden","current_password":"a winter garden"}"#),
        ("account-closing", 14, r#"{"password":"a winter garden","force":true}"#),
        ("api-key", 15, r#"{"name":"till","scopes":["sell","ops"]}"#),
        ("sign-in", 16, r#"{"email":"kim@example.org","password":"a winter garden"}"#),
        ("sign-in-machine", 16, r#"{"api_key":"onr_0123"}"#),
        ("refresh", 17, r#"{"refresh_token":"ort_0123"}"#),
        ("no-object", 4, r#"[["A-1-1"],null,null]"#),
        ("no-json", 4, r#"{"seats":["A-1-1"]} x"#),
    ];
    bodies.iter().map(|(name, call, body)| seed("bodies", name, &[*call], &[body.as_bytes()])).collect()
}

fn idempotency_keys() -> Vec<Seed> {
    let longest = "k".repeat(255);
    let keys = [
        ("number", "1"),
        ("uuid", "8f14e45f-ceea-467f-9575-6a2b4e1c0d3e"),
        ("longest", longest.as_str()),
        ("quoted", "\"a key\""),
        ("none", ""),
        ("not-ascii", "schlüssel"),
    ];
    let body = br#"{"best_available":{"quantity":2}}"#;
    keys.iter().map(|(name, key)| seed("idempotency_keys", name, &[0, 0], &[key.as_bytes(), b"\n", body])).collect()
}

/// A sale with an event of each kind but the last that there can be, as the bytes that steer it.
const SALE: [&[u8]; 23] = [
    &[0, 0, 1, 0, 1, 0, 1],       // kim holds two seats by name
    &[4, 0, 2, 0, 1, 0],          // and books them
    &[12, 2, 0, 0],               // the money is reserved
    &[12, 3, 1, 0],               // and collected
    &[5, 0, 3, 0, 0, 1, 0, 1],    // and kim gives one up
    &[14, 0, 0, 0, 1],            // and the ticket of the other to lee
    &[15, 3, 0, 0, 0],            // who comes in with it
    &[1, 1, 0, 1, 0, 0, 1],       // lee holds the best two
    &[3, 1, 1],                   // and releases them
    &[2, 2, 4, 0, 1],             // park holds two places
    &[6, 5, 1, 1, 1, 10, 11],     // the seller blocks two seats
    &[6, 0, 0, 0, 12],            // and one more
    &[7, 0],                      // and gives the two back
    &[8, 80, 0, 1, 90, 40, 0, 0], // and changes the prices
    &[0, 1, 6, 0, 1, 13, 18],     // lee holds at the new ones
    &[4, 1, 0, 0, 3],             // and books, and never pays
    &[9, 10, 1],                  // some time passes, and all holds are extended
    &[9, 255, 0],                 // much time passes, and what is held runs out
    &[8, 80, 1, 0],               // the seller wants to be asked from now on
    &[0, 0, 0, 0, 2],             // kim holds again
    &[4, 0, 0, 0, 4],             // and books
    &[11, 0, 2],                  // and the seller says no
    &[0, 0, 0, 0, 2],             // kim holds once more
];

fn sale() -> Sale {
    let mut sale = Sale::open();
    SALE.iter().for_each(|step| sale.step(&mut Input::of(step)));
    sale
}

fn records() -> Vec<Seed> {
    let entries = sale().entries;
    let (caller, details) = (seller().account, show_details());
    let made = RegistryEvent::ShowCreated { show: onrush_engine::id::ShowId(2), seller: caller, details, key: None };
    let changed = RegistryEvent::ShowChanged { show: SHOW, details: show_details() };
    let steps: Vec<u8> = SALE.iter().flat_map(|step| [&[0], *step].concat()).collect();
    let body = |entries: &[onrush_engine::event::Entry]| {
        encode_entries(entries).iter().flat_map(|body| body.to_vec()).collect::<Vec<u8>>()
    };
    let mut seeds = vec![
        seed("records", "frame", &[0], &[include_bytes!("../../../engine/tests/simulation/format-1.record")]),
        seed("records", "opening", &[1], &[&body(&entries[..1])]),
        seed("records", "whole-sale", &[1], &[&body(&entries)]),
        seed("records", "sale", &[2], &[&body(&entries[1..])]),
        seed("records", "show-made", &[3], &[&encode_registry(after(1), &made)]),
        seed("records", "show-changed", &[3], &[&encode_registry(after(1), &changed)]),
        seed("records", "engine-started", &[3], &[&encode_registry(after(1), &RegistryEvent::EngineStarted)]),
        seed("records", "steps", &[4, 2], &[&steps]),
    ];
    for (kind, numbers) in
        (0..10).zip([[1, 1], [0, 0], [1, 0], [0, 1], [0, 0], [2, 0], [1, 0], [4, 9], [60, 0], [0, 0]])
    {
        seeds.push(seed("records", &format!("steps-then-event-{kind}"), &[4, 2], &[&steps, &[230, kind], &numbers]));
    }
    // Each event alone, after the opening: what does not fit is refused.
    let alone = entries.iter().enumerate().skip(1);
    seeds.extend(
        alone.map(|(place, entry)| {
            seed("records", &format!("event-{place}"), &[2], &[&body(std::slice::from_ref(entry))])
        }),
    );
    seeds
}

fn snapshots() -> Vec<Seed> {
    let sale = sale();
    let (image, sequence) = (sale.inventory.image(), sale.entries.len() as u64);
    let body = encode_image(&image);
    let file = Snapshot { epoch: 1, stream: STREAM, sequence, tip: Digest::GENESIS, image }.encode();
    let steps = SALE.concat();
    let opened = encode_image(&Sale::open().inventory.image());
    let mut seeds = vec![
        seed("snapshots", "file", &[0], &[&file]),
        seed("snapshots", "body", &[1], &[&body]),
        seed("snapshots", "body-opened", &[1], &[&opened]),
        seed(
            "snapshots",
            "body-format-1",
            &[1],
            &[include_bytes!("../../../engine/tests/simulation/format-1.snapshot")],
        ),
        seed("snapshots", "steps", &[2, SALE.len() as u8], &[&steps]),
    ];
    for part in 0..8 {
        let change = [part, 0, 17, 3, 2, 40];
        seeds.push(seed("snapshots", &format!("steps-then-change-{part}"), &[2, SALE.len() as u8], &[&steps, &change]));
    }
    seeds
}

fn notices() -> Vec<Seed> {
    let booking = BookingId { performance: PERFORMANCE, number: 7, nonce: 9 };
    let payment = format!(
        r#"{{"id":"tpay_1","reference":"{booking}","amount":150,"currency":"KRW","status":"captured","refunds":[]}}"#
    );
    let test_psp = format!(r#"{{"type":"payment.captured","data":{payment}}}"#);
    let refunded = test_psp.replace(r#""refunds":[]"#, r#""refunds":[{"name":"refund-0","amount":50}]"#);
    let stripe = format!(
        r#"{{"type":"payment_intent.succeeded","data":{{"object":{{"id":"pi_1","amount":150,"currency":"krw",
        "status":"succeeded","client_secret":null,"metadata":{{"booking":"{booking}"}}}}}}}}"#
    );
    let another = stripe.replace("payment_intent.succeeded", "charge.refunded");
    vec![
        seed("notices", "test-psp-unsigned", &[0], &[b"msg_1\n1800000000\nv1,AAAA\n", test_psp.as_bytes()]),
        seed("notices", "test-psp", &[1], &[test_psp.as_bytes()]),
        seed("notices", "test-psp-refunded", &[1], &[refunded.as_bytes()]),
        seed("notices", "stripe-unsigned", &[2], &[b"t=1800000000,v1=00ff\n", stripe.as_bytes()]),
        seed("notices", "stripe", &[3], &[stripe.as_bytes()]),
        seed("notices", "stripe-another-event", &[3], &[another.as_bytes()]),
    ]
}

fn ticket_codes() -> Vec<Seed> {
    let own = br#"{"keys":[{"kid":"03a107bf","kty":"OKP","crv":"Ed25519","x":"A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"}]}"#;
    let no_key = br#"{"keys":[{"kid":"00000000","kty":"OKP","crv":"Ed25519","x":"AAAA"}]}"#;
    vec![
        seed("ticket_codes", "code", &[0], &[code(0).as_bytes()]),
        seed("ticket_codes", "code-korean", &[0], &[code(1).as_bytes()]),
        seed("ticket_codes", "code-no-label", &[0], &[code(2).as_bytes()]),
        seed("ticket_codes", "unchanged", &[1, 1], &[]),
        seed("ticket_codes", "byte-changed", &[1, 1], &[&[0, 60, 0, 65]]),
        seed("ticket_codes", "cut", &[1, 1], &[&[0, 80, 3]]),
        seed("ticket_codes", "key-set", &[2], &[own]),
        seed("ticket_codes", "key-set-no-key", &[2], &[no_key]),
    ]
}

fn tokens() -> Vec<Seed> {
    let header = br#"{"typ":"at+jwt","alg":"HS256","kid":"fuzz"}"#;
    let claims =
        br#"{"sub":"acc_kim","role":"buyer","aud":"onrush","iat":1650000000,"nbf":1650000000,"exp":4800000000}"#;
    let expired = br#"{"sub":"acc_kim","role":"admin","aud":"onrush","iat":0,"nbf":0,"exp":1}"#;
    let none = br#"{"typ":"at+jwt","alg":"none","kid":"fuzz"}"#;
    vec![
        seed("tokens", "buyer", &[0], &[minted(0, Role::Buyer).as_bytes()]),
        seed("tokens", "seller", &[0], &[minted(3, Role::Seller).as_bytes()]),
        seed("tokens", "admin", &[0], &[minted(4, Role::Admin).as_bytes()]),
        seed("tokens", "unchanged", &[1, 0, 0], &[]),
        seed("tokens", "byte-changed", &[1, 1, 0], &[&[0, 60, 0, 65]]),
        seed("tokens", "cut", &[1, 2, 3], &[&[0, 200, 3]]),
        seed("tokens", "signed", &[2], &[header, b"\n", claims]),
        seed("tokens", "signed-expired", &[2], &[header, b"\n", expired]),
        seed("tokens", "signed-alg-none", &[2], &[none, b"\n", claims]),
        seed("tokens", "signed-by-hs384", &[3, 0], &[header, b"\n", claims]),
        seed("tokens", "signed-by-a-stranger", &[3, 2], &[header, b"\n", claims]),
    ]
}
#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn the_sale_has_an_event_of_each_kind_and_a_request_key_of_each() {
        let sale = super::sale();
        let kinds =
            sale.entries.iter().map(|entry| format!("{:?}", entry.event).split(['(', ' ']).next().map(str::to_owned));
        // After the one that is missing, a performance called off, nothing happens any more.
        let kinds: BTreeSet<_> = kinds.collect();
        assert_eq!(kinds.len(), 15, "{kinds:?}");
        let made = sale.inventory.image().replays;
        let made = made.iter().map(|replay| format!("{:?}", replay.made).split(' ').next().map(str::to_owned));
        assert_eq!(made.collect::<BTreeSet<_>>().len(), 4);
    }
}
