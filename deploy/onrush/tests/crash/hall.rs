//! Halls to be sold: a show with one performance of one section, and who sells and buys there.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use onrush_api::key_file::KeyFile;
use onrush_api::token::{Role, TokenKeys};
use onrush_engine::time::Timestamp;
use serde_json::{Value, json};

use crate::http::{Call, Connection};
use crate::random::Random;

const ROWS: u64 = 60;
const SEATS_PER_ROW: u64 = 50;
/// All seats of a hall.
pub(crate) const CAPACITY: usize = (ROWS * SEATS_PER_ROW) as usize;

/// Signs tokens as the server does.
pub(crate) struct Tokens(TokenKeys);

impl Tokens {
    pub(crate) fn of(data: &Path) -> Self {
        Self(KeyFile::open(&KeyFile::path_in(data)).expect("the server has made its key"))
    }

    pub(crate) fn seller(&self) -> String {
        self.mint("acc_crash-seller", Role::Seller)
    }

    pub(crate) fn admin(&self) -> String {
        self.mint("acc_crash-admin", Role::Admin)
    }

    pub(crate) fn buyer(&self, number: usize) -> String {
        self.mint(&format!("acc_crash-{number}"), Role::Buyer)
    }

    fn mint(&self, account: &str, role: Role) -> String {
        let account = account.parse().expect("a well-formed account");
        self.0.mint(account, role, now(), Duration::from_hours(48))
    }
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    Timestamp::MIN + SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970")
}

/// Puts a hall on sale; its performance's id.
pub(crate) fn open(connection: &mut Connection, tokens: &Tokens) -> String {
    let show = json!({"title": "A night of crashes", "field": "concert"});
    let show = create(connection, tokens, "/v1/shows".to_owned(), &show);
    let performance = json!({
        "starts_at": "2099-01-01T20:00:00Z",
        "seat_map": {"sections": [{"kind": "reserved", "name": "A", "tier": "All", "rows": rows()}]},
        "tiers": [{"name": "All", "price": {"amount": 0, "currency": "KRW"}}],
        "sale": {"hold_ttl_seconds": 3600, "max_seats_per_buyer": 1_000_000, "max_holds_per_buyer": 1_000_000},
    });
    create(connection, tokens, format!("/v1/shows/{show}/performances"), &performance)
}

fn rows() -> Vec<Value> {
    (1..=ROWS).map(|row| json!({"name": row.to_string(), "seats": SEATS_PER_ROW})).collect()
}

fn create(connection: &mut Connection, tokens: &Tokens, path: String, body: &Value) -> String {
    let call = Call { key: None, ..Call::post(path, "", body) };
    let made = connection.ask(&call, &tokens.seller());
    assert_eq!(made.status, 201, "{}", made.text());
    made.json::<Value>()["id"].as_str().expect("what is made has an id").to_owned()
}

/// What a buyer asks for: the best there is, or seats by name, which others may have.
pub(crate) fn wish(random: &mut Random) -> Value {
    let quantity = 1 + random.below(4);
    if random.below(2) == 0 {
        return json!({"best_available": {"quantity": quantity, "adjacent": false}});
    }
    let (row, first) = (1 + random.below(ROWS), 1 + random.below(SEATS_PER_ROW - quantity));
    let seats: Vec<String> = (first..first + quantity).map(|seat| format!("A-{row}-{seat}")).collect();
    json!({"seats": seats})
}

/// A seat's place in an availability.
pub(crate) fn place(label: &str) -> usize {
    let numbers = label.strip_prefix("A-").and_then(|rest| rest.split_once('-'));
    let (row, seat) = numbers.unwrap_or_else(|| panic!("'{label}' is no seat of the hall"));
    let number = |text: &str| text.parse::<usize>().expect("rows and seats are numbered");
    (number(row) - 1) * SEATS_PER_ROW as usize + number(seat) - 1
}
