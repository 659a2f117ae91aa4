//! What a request is addressed to: paths, queries, cursors, identifiers, times, seat labels. Whatever is read is what was
//! written: each thing has one text.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::LazyLock;

use hyper::{Method, Uri};
use onrush_api::page::{Cursor, PageQuery};
use onrush_api::text::{CurrencyCode, Time};
use onrush_edge::fuzzing::{query_value, route, segments};
use onrush_engine::id::{AccountId, BlockId, BookingId, HoldId, PerformanceId, ShowId};
use onrush_engine::money::Currency;
use onrush_engine::seat_map::SeatMap;

use crate::hall::opening;
use crate::input::Input;

/// Bytes as a request's target, as a text that names something, and as a seat's label.
pub fn run(bytes: &[u8]) {
    let mut input = Input::of(bytes);
    match input.byte() % 3 {
        0 => target(input.rest()),
        1 => String::from_utf8_lossy(input.rest()).split('\n').for_each(name),
        _ => String::from_utf8_lossy(input.rest()).split('\n').for_each(label),
    }
}

fn target(bytes: &[u8]) {
    let Ok(uri) = Uri::try_from(bytes) else { return };
    let path = uri.path();
    for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::HEAD, Method::TRACE] {
        let found = route(&method, path).is_some();
        let whole = path == "/" || path.split('/').skip(1).all(|segment| !segment.is_empty());
        assert!(!found || whole, "an empty segment is no id");
    }
    let (found, count) = segments(path);
    found.iter().take(count).for_each(|segment| name(segment));
    let query = uri.query().unwrap_or_default();
    let value = |name: &str| {
        let value = query_value(query, name);
        assert_eq!(value, decoded(query, name));
        value
    };
    ["q", "field", "on_sale", "fields"].into_iter().for_each(|name| drop(value(name)));
    let (limit, cursor) = (value("limit"), value("cursor"));
    if let Ok(page) = PageQuery::parse(limit.as_deref(), cursor.as_deref()) {
        assert!((1..=PageQuery::LIMIT_MAX).contains(&page.limit));
        assert!(limit.is_none_or(|limit| limit.trim_start_matches('0') == page.limit.to_string()));
        assert!(cursor.is_none_or(|cursor| cursor == page.cursor.to_string()));
    }
}

/// A value of a query, read once more by the rules of WHATWG's form decoding, step by step.
fn decoded(query: &str, name: &str) -> Option<String> {
    let pair = query.split('&').find(|pair| pair.split('=').next() == Some(name))?;
    let value = pair.get(name.len() + 1..).unwrap_or_default().as_bytes();
    let hex = |at: usize| value.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut bytes, mut at) = (Vec::new(), 0);
    while at < value.len() {
        match (value[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => bytes.push(b' '),
            (byte, ..) => bytes.push(byte),
        }
        at += 1;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn name(text: &str) {
    one_text::<ShowId>(text);
    one_text::<PerformanceId>(text);
    one_text::<HoldId>(text);
    one_text::<BookingId>(text);
    one_text::<BlockId>(text);
    one_text::<AccountId>(text);
    one_text::<Cursor>(text);
    one_text::<CurrencyCode>(text);
    if let Ok(currency) = text.parse::<Currency>() {
        assert_eq!(currency.as_str(), text);
    }
    // A time may be written in many zones; ours is read to the same time.
    if let Ok(time) = text.parse::<Time>() {
        assert_eq!(time.to_string().parse(), Ok(time));
    }
}

fn one_text<T: FromStr + Display>(text: &str) {
    if let Ok(thing) = text.parse::<T>() {
        assert_eq!(thing.to_string(), text);
    }
}

static MAP: LazyLock<SeatMap> = LazyLock::new(|| opening().seat_map().expect("the hall is sound"));

fn label(text: &str) {
    if let Some(seat) = MAP.seat_labelled(text) {
        assert_eq!(MAP.label(seat).to_string(), text);
    }
}
