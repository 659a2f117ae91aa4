//! Access tokens: none is believed that was not signed, and one that is says what was signed.

use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use onrush_api::key_file::KeyFile;
use onrush_api::token::{Caller, Role, TokenKeys};
use onrush_engine::time::Timestamp;
use serde::Deserialize;

use crate::hall::{after, caller};
use crate::input::Input;
use crate::secret_file;

/// A key that everybody knows, so that the corpus can hold tokens.
const KEY_FILE: &str = "fuzz:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const SECRET: [u8; 32] = {
    let mut secret = [0; 32];
    let mut at = 0;
    while at < 32 {
        secret[at] = at as u8;
        at += 1;
    }
    secret
};

static KEY: LazyLock<TokenKeys> = LazyLock::new(|| secret_file::read(KEY_FILE, KeyFile::path_in, KeyFile::open));

/// Bytes as a token, as changes of a sound one, and as what somebody signs.
pub fn run(bytes: &[u8]) {
    let mut input = Input::of(bytes);
    match input.byte() % 4 {
        0 => {
            std::str::from_utf8(input.rest()).ok().and_then(check);
        }
        1 => changed(input),
        2 => signed(input.rest(), Algorithm::HS256, &SECRET),
        _ => {
            let (algorithm, secret) =
                input.one_of(&[(Algorithm::HS384, SECRET), (Algorithm::HS512, SECRET), (Algorithm::HS256, [7; 32])]);
            signed(input.rest(), algorithm, &secret);
        }
    }
}

/// A token that is valid for a hundred years.
pub fn minted(which: u8, role: Role) -> String {
    KEY.mint(caller(which).account, role, after(-150_000_000), Duration::from_hours(24 * 36_525))
}

/// What a token has to say. What else it says, nobody reads: there the bytes need not even be text.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    sub: String,
    role: Role,
    exp: i64,
}

/// Checks a token; one that is accepted was signed with our key over these very bytes, and speaks for whom it says.
fn check(token: &str) -> Option<Caller> {
    let caller = KEY.check(token, Timestamp::MIN).ok()?;
    let (message, signature) = token.rsplit_once('.').expect("an accepted token has a signature");
    assert_eq!(signature, sign(message, Algorithm::HS256, &SECRET), "accepted, but never signed");
    let part = |place: usize| {
        let part = message.split('.').nth(place).expect("an accepted token has two parts");
        URL_SAFE_NO_PAD.decode(part).expect("an accepted token is base64")
    };
    let header: Header = serde_json::from_slice(&part(0)).expect("an accepted token has a header");
    assert_eq!((&*header.alg, &*header.typ, &*header.kid), ("HS256", "at+jwt", "fuzz"));
    let claims: Claims = serde_json::from_slice(&part(1)).expect("an accepted token has claims");
    assert_eq!((&*claims.aud, &*claims.sub, claims.role), ("onrush", caller.account.as_str(), caller.role));
    assert_eq!(caller.expires_at, Timestamp::from_millis(claims.exp.saturating_mul(1000)));
    Some(caller)
}

fn sign(message: &str, algorithm: Algorithm, secret: &[u8]) -> String {
    crypto::sign(message.as_bytes(), &EncodingKey::from_secret(secret), algorithm).expect("an HMAC signs anything")
}

/// A sound token, cut, stretched and written over in places: accepted only where nothing came of it.
fn changed(mut input: Input<'_>) {
    let role = input.one_of(&[Role::Buyer, Role::Seller, Role::Admin, Role::Guest]);
    let which = input.byte();
    let token = minted(which, role);
    let original = check(&token).expect("what was minted is accepted");
    assert_eq!((original.account, original.role), (caller(which).account, role));
    let changed = input.changes(&token);
    assert_eq!(check(&changed), (changed == token).then_some(original));
}

/// A header and claims, each a line, that somebody signs.
fn signed(lines: &[u8], algorithm: Algorithm, secret: &[u8]) {
    let mut lines = lines.splitn(2, |byte| *byte == b'\n').map(|line| URL_SAFE_NO_PAD.encode(line));
    let message = format!("{}.{}", lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let accepted = check(&format!("{message}.{}", sign(&message, algorithm, secret)));
    assert!(accepted.is_none() || (algorithm, secret) == (Algorithm::HS256, SECRET.as_slice()), "a stranger's token");
}
