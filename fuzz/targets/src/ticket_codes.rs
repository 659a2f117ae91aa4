//! Tickets' codes, and the public keys that check them: no code is good that was not signed, and one that is says what was
//! signed.

use std::sync::LazyLock;

use onrush_api::ticket_code::{TicketCode, TicketKeySet, TicketKeys, TicketVerifier};
use onrush_engine::id::{BookingId, TicketId};

use crate::hall::PERFORMANCE;
use crate::input::Input;
use crate::secret_file;

/// A key that everybody knows, so that the corpus can hold codes.
const KEY_FILE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n";

static KEYS: LazyLock<TicketKeys> =
    LazyLock::new(|| secret_file::read(KEY_FILE, TicketKeys::path_in, TicketKeys::open));

/// Bytes as a code, as changes of a sound one, and as a set of keys.
pub fn run(bytes: &[u8]) {
    let mut input = Input::of(bytes);
    match input.byte() % 3 {
        0 => {
            std::str::from_utf8(input.rest()).ok().and_then(check);
        }
        1 => changed(input),
        _ => keys(input.rest()),
    }
}

/// The code of one of a few tickets.
pub fn code(which: u8) -> String {
    KEYS.sign(&ticket(which))
}

fn ticket(which: u8) -> TicketCode {
    let booking = BookingId { performance: PERFORMANCE, number: u32::from(which), nonce: 9 };
    let label = ["A-1-1", "가-1-12", ""][usize::from(which % 3)].to_owned();
    TicketCode { ticket: TicketId::of(booking, u32::from(which)), issue: u16::from(which), label }
}

/// Checks a code; one that is accepted is the one that would be signed for what it says.
fn check(text: &str) -> Option<TicketCode> {
    let code = KEYS.verifier().check(text).ok()?;
    assert_eq!(KEYS.sign(&code), text, "accepted, but never signed");
    Some(code)
}

/// A sound code, cut and written over in places: accepted only where nothing came of it.
fn changed(mut input: Input<'_>) {
    let which = input.byte();
    let sound = code(which);
    assert_eq!(check(&sound), Some(ticket(which)));
    let changed = input.changes(&sound);
    assert_eq!(check(&changed).is_some(), changed == sound);
}

/// Keys that are read are told to others as they are used.
fn keys(bytes: &[u8]) {
    let Ok(set) = serde_json::from_slice::<TicketKeySet>(bytes) else { return };
    let Ok(verifier) = TicketVerifier::of(&set) else { return };
    let told = verifier.set();
    assert_eq!(TicketVerifier::of(&told).expect("what is told can be read").set(), told);
    let known = told.keys.iter().any(|key| KEYS.verifier().set().keys.contains(key));
    assert_eq!(verifier.check(&code(1)).is_ok(), known, "a code is good by a key that has not signed it");
}
