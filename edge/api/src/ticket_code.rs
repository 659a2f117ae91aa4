//! A ticket's code: signed, so that a door can check it without a network, by a public key that everybody may have.
//!
//! ```text
//! "onr1." base64url( key 4 | performance 8 | booking 4 | seat and tag 8 | issue 2 | label ) "." base64url( Ed25519 64 )
//! ```
//! Numbers are big-endian, and all but the label of fixed length, so that no two tickets have the same bytes. What is
//! signed has the prefix in front. A code says which ticket it is and which issue of it; whether that was used, given away
//! or cancelled since, only the server knows.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use onrush_engine::id::{PerformanceId, TicketId};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::key_file::{self, KeyFileError};

const PREFIX: &str = "onr1.";
const FIXED_LEN: usize = 26;
/// Longer than any label makes a code; nothing that is no code is read far.
const CODE_LEN_MAX: usize = 2048;

/// What a code says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketCode {
    /// Which ticket.
    pub ticket: TicketId,
    /// Which issue of it.
    pub issue: u16,
    /// The seat's label, for whoever has no seat map at hand.
    pub label: String,
}

/// Why a text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CodeError {
    /// It looks like something else.
    #[error("this is no ticket's code")]
    Malformed,
    /// None of the keys at hand has signed it.
    #[error("the code is signed by a key that is not known here")]
    UnknownKey,
    /// Somebody made it up.
    #[error("the code's signature is wrong")]
    Signature,
}

/// The public keys that check codes, as a JWK set (RFC 7517, RFC 8037).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TicketKeySet {
    /// Each key.
    pub keys: Vec<TicketJwk>,
}

/// An Ed25519 public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TicketJwk {
    /// Its name, which codes carry.
    pub kid: String,
    /// `OKP`
    pub kty: String,
    /// `Ed25519`
    pub crv: String,
    /// The key, in base64url.
    pub x: String,
}

/// Checks codes.
#[derive(Debug, Clone, Default)]
pub struct TicketVerifier(Vec<([u8; 4], VerifyingKey)>);

/// Makes codes, and checks them.
pub struct TicketKeys {
    newest: SigningKey,
    verifier: TicketVerifier,
}

impl fmt::Debug for TicketKeys {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TicketKeys").field(&self.verifier).finish()
    }
}

/// The first bytes of the public key: a name that nobody has to give.
fn kid(key: &VerifyingKey) -> [u8; 4] {
    let [a, b, c, d, ..] = key.to_bytes();
    [a, b, c, d]
}

fn hex(kid: [u8; 4]) -> String {
    format!("{:08x}", u32::from_be_bytes(kid))
}

impl TicketKeys {
    /// Where the key of a data directory lives.
    pub fn path_in(data: &Path) -> PathBuf {
        data.join("ticket.key")
    }

    /// Reads the keys of a file, a seed in base64url each line, the newest last; makes the file first if it is not there.
    ///
    /// # Errors
    /// [`KeyFileError`], with what to do.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyFileError> {
        let io = |source| KeyFileError::Io { path: path.to_owned(), source };
        if !path.exists() {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(|error| io(std::io::Error::other(error)))?;
            key_file::write(path, &format!("{}\n", URL_SAFE_NO_PAD.encode(seed))).map_err(io)?;
        }
        Self::open(path)
    }

    /// Reads the keys of a file.
    ///
    /// # Errors
    /// [`KeyFileError`], with what to do.
    pub fn open(path: &Path) -> Result<Self, KeyFileError> {
        let text = key_file::read(path)?;
        let seed =
            |line: &str| Some(SigningKey::from_bytes(&URL_SAFE_NO_PAD.decode(line.trim()).ok()?.try_into().ok()?));
        let keys: Option<Vec<SigningKey>> = text.lines().map(seed).collect();
        keys.and_then(Self::of).ok_or_else(|| KeyFileError::Malformed { path: path.to_owned() })
    }

    fn of(keys: Vec<SigningKey>) -> Option<Self> {
        let verifier =
            TicketVerifier(keys.iter().map(|key| (kid(&key.verifying_key()), key.verifying_key())).collect());
        Some(Self { newest: keys.into_iter().next_back()?, verifier })
    }

    /// A ticket's code.
    pub fn sign(&self, code: &TicketCode) -> String {
        let mut payload = Vec::with_capacity(FIXED_LEN + code.label.len());
        payload.extend_from_slice(&kid(&self.newest.verifying_key()));
        payload.extend_from_slice(&code.ticket.performance.0.to_be_bytes());
        payload.extend_from_slice(&code.ticket.number.to_be_bytes());
        payload.extend_from_slice(&code.ticket.nonce.to_be_bytes());
        payload.extend_from_slice(&code.issue.to_be_bytes());
        payload.extend_from_slice(code.label.as_bytes());
        let signature = self.newest.sign(&signed(&payload));
        format!("{PREFIX}{}.{}", URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    /// Checks codes that any of the keys has signed.
    pub fn verifier(&self) -> &TicketVerifier {
        &self.verifier
    }
}

fn signed(payload: &[u8]) -> Vec<u8> {
    [PREFIX.as_bytes(), payload].concat()
}

impl TicketVerifier {
    /// Reads what others may have.
    ///
    /// # Errors
    /// The kid of the first key that is none.
    pub fn of(set: &TicketKeySet) -> Result<Self, String> {
        let key = |jwk: &TicketJwk| {
            let bytes = URL_SAFE_NO_PAD.decode(&jwk.x).ok().and_then(|bytes| bytes.try_into().ok());
            let key = bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()).filter(|_| jwk.crv == "Ed25519");
            key.map(|key| (kid(&key), key)).ok_or_else(|| jwk.kid.clone())
        };
        set.keys.iter().map(key).collect::<Result<_, _>>().map(Self)
    }

    /// What others may have.
    pub fn set(&self) -> TicketKeySet {
        let jwk = |(kid, key): &([u8; 4], VerifyingKey)| TicketJwk {
            kid: hex(*kid),
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: URL_SAFE_NO_PAD.encode(key.to_bytes()),
        };
        TicketKeySet { keys: self.0.iter().map(jwk).collect() }
    }

    /// Checks a code.
    ///
    /// # Errors
    /// [`CodeError`], where it is none, or nobody known has signed it.
    pub fn check(&self, code: &str) -> Result<TicketCode, CodeError> {
        let text = code.strip_prefix(PREFIX).filter(|_| code.len() <= CODE_LEN_MAX).ok_or(CodeError::Malformed)?;
        let (payload, signature) = text.split_once('.').ok_or(CodeError::Malformed)?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| CodeError::Malformed);
        let (payload, signature) = (decode(payload)?, decode(signature)?);
        let signature = Signature::from_slice(&signature).map_err(|_| CodeError::Malformed)?;
        let read = read(&payload).ok_or(CodeError::Malformed)?;
        let mut known = self.0.iter().filter(|(kid, _)| payload.starts_with(kid)).peekable();
        known.peek().ok_or(CodeError::UnknownKey)?;
        let sound = known.any(|(_, key)| key.verify_strict(&signed(&payload), &signature).is_ok());
        if sound { Ok(read) } else { Err(CodeError::Signature) }
    }
}

fn read(payload: &[u8]) -> Option<TicketCode> {
    let (fixed, label) = payload.split_at_checked(FIXED_LEN)?;
    let bytes = |at: usize, len: usize| fixed.get(at..at + len);
    let word = |at| Some(u64::from_be_bytes(bytes(at, 8)?.try_into().ok()?));
    let ticket = TicketId {
        performance: PerformanceId(word(4)?),
        number: u32::from_be_bytes(bytes(12, 4)?.try_into().ok()?),
        nonce: word(16)?,
    };
    let issue = u16::from_be_bytes(bytes(24, 2)?.try_into().ok()?);
    Some(TicketCode { ticket, issue, label: String::from_utf8(label.to_vec()).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys() -> (tempfile::TempDir, TicketKeys) {
        let dir = tempfile::tempdir().unwrap();
        let keys = TicketKeys::open_or_create(&TicketKeys::path_in(dir.path())).unwrap();
        (dir, keys)
    }

    fn code(number: u32, nonce: u64, issue: u16, label: &str) -> TicketCode {
        TicketCode { ticket: TicketId { performance: PerformanceId(7), number, nonce }, issue, label: label.to_owned() }
    }

    #[test]
    fn a_code_is_read_by_whoever_has_the_public_keys() {
        let (dir, keys) = keys();
        let ticket = code(3, 9, 1, "가-1-12");
        let text = keys.sign(&ticket);
        let others = TicketVerifier::of(&keys.verifier().set()).unwrap();
        assert_eq!(others.check(&text), Ok(ticket));
        let again = TicketKeys::open_or_create(&TicketKeys::path_in(dir.path())).unwrap();
        assert_eq!(again.verifier().set(), keys.verifier().set());
        let (_, stranger) = self::keys();
        assert_eq!(stranger.verifier().check(&text), Err(CodeError::UnknownKey));
        for wrong in ["", "onr1.", "onr1.AAAA.AAAA", &text[5..], &text.replace('.', "")] {
            assert_eq!(others.check(wrong), Err(CodeError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn every_flipped_character_is_seen() {
        let (_dir, keys) = keys();
        let text = keys.sign(&code(3, 9, 1, "A-1-12"));
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert!(keys.verifier().check(&forged).is_err(), "{forged}");
        }
    }

    proptest! {
        #[test]
        fn different_tickets_have_different_codes(
            one in (any::<u32>(), any::<u64>(), any::<u16>(), "[a-z0-9-]{0,12}"),
            other in (any::<u32>(), any::<u64>(), any::<u16>(), "[a-z0-9-]{0,12}"),
        ) {
            let (_dir, keys) = keys();
            let text = |ticket: &(u32, u64, u16, String)| keys.sign(&code(ticket.0, ticket.1, ticket.2, &ticket.3));
            prop_assert_eq!(text(&one) == text(&other), one == other);
            let read = keys.verifier().check(&text(&one)).unwrap();
            prop_assert_eq!(read, code(one.0, one.1, one.2, &one.3));
        }
    }
}
