//! Secrets that machines keep: refresh tokens and keys. The store has their digests only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use onrush_api::accounts::Secret;
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::SessionId;

/// What a refresh token begins with, so that one in a log or a repository is found by those who look for secrets.
pub(super) const REFRESH: &str = "ort_";
/// What a key for a machine begins with.
pub(super) const MACHINE: &str = "onr_";

/// A fresh secret that names `id`, and its digest.
pub(super) fn make(prefix: &str, id: SessionId) -> Result<(Secret, String), Problem> {
    let text = format!("{prefix}{id}.{}", text()?);
    let digest = digest(&text);
    Ok((Secret(text), digest))
}

/// The first refresh token of a session: the digests of what all its tokens have in common, and of itself.
pub(super) fn begin(id: SessionId) -> Result<(Secret, String, String), Problem> {
    let family = format!("{REFRESH}{id}.{}", text()?);
    let (secret, digest_of_secret) = next(&family)?;
    Ok((secret, digest(&family), digest_of_secret))
}

/// The refresh token that comes after another, and its digest.
pub(super) fn next(token_or_family: &str) -> Result<(Secret, String), Problem> {
    let family = family(token_or_family).unwrap_or(token_or_family);
    let text = format!("{family}.{}", text()?);
    let digest = digest(&text);
    Ok((Secret(text), digest))
}

/// What a refresh token has in common with all others of its session: whoever does not know it makes up tokens in vain.
fn family(token: &str) -> Option<&str> {
    token.rsplit_once('.').map(|(family, _)| family).filter(|family| family.contains('.'))
}

/// Whether a refresh token is one of a session's, used or not.
pub(super) fn is_of_family(token: &Secret, kept: &str) -> bool {
    family(&token.0).is_some_and(|family| is_right(&Secret(family.to_owned()), kept))
}

/// What a secret names; nothing where it is none of ours.
pub(super) fn names(prefix: &str, secret: &Secret) -> Option<SessionId> {
    let (id, _) = secret.0.strip_prefix(prefix)?.split_once('.')?;
    id.parse().ok()
}

fn text() -> Result<String, Problem> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

/// Whether a secret is the one with this digest. blake3 compares in constant time.
pub(super) fn is_right(secret: &Secret, kept: &str) -> bool {
    blake3::Hash::from_hex(kept).is_ok_and(|kept| kept == blake3::hash(secret.0.as_bytes()))
}

/// 256 random bits need no salt and no slow hash.
fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// An id that nobody can guess.
pub(crate) fn id() -> Result<SessionId, Problem> {
    random().map(|bytes| SessionId(u128::from_le_bytes(bytes)))
}

/// A short digest of what is not to be kept as it is: an address, a place, a request's key.
pub(super) fn short(what: &[u8]) -> u64 {
    let digest = blake3::hash(what);
    u64::from_le_bytes(*digest.as_bytes().first_chunk().expect("a digest has 32 bytes"))
}

fn random<const N: usize>() -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Problem::new(Kind::Internal))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_names_its_session_and_only_the_very_same_is_right() {
        let session = id().unwrap();
        let (secret, kept) = make(REFRESH, session).unwrap();
        assert_eq!((names(REFRESH, &secret), names(MACHINE, &secret)), (Some(session), None));
        assert!(is_right(&secret, &kept) && !kept.contains(&secret.0[40..]));
        assert!(!is_right(&Secret(secret.0.clone() + "A"), &kept) && !is_right(&secret, "no digest"));
    }

    #[test]
    fn the_refresh_tokens_of_a_session_are_a_family() {
        let (first, family, kept) = begin(id().unwrap()).unwrap();
        let (second, kept_of_second) = next(&first.0).unwrap();
        assert!(is_right(&first, &kept) && is_right(&second, &kept_of_second) && !is_right(&second, &kept));
        assert!(is_of_family(&first, &family) && is_of_family(&second, &family));
        let made_up = Secret(format!("{}.x", first.0.split_once('.').unwrap().0));
        assert!(!is_of_family(&made_up, &family));
    }
}
