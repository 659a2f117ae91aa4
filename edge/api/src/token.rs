//! Access tokens: HS256 JWTs, minted and checked with keys that every process of a platform shares.
//!
//! One algorithm, one audience, one `typ`; `kid` names the key. Where there is a newer key, the older ones still check
//! what they have signed, so that a new key signs nobody out. `alg: none`, another algorithm or an unknown key is
//! refused before anything in the token is believed.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use onrush_engine::id::AccountId;
use onrush_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use crate::session::{Scope, Scopes, SessionId};
use crate::text::Text;

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Holds and books.
    Buyer,
    /// Sets shows up and sees who booked.
    Seller,
    /// Operates the platform.
    Admin,
    /// Holds and books without an account.
    Guest,
}

impl FromStr for Role {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "buyer" => Ok(Self::Buyer),
            "seller" => Ok(Self::Seller),
            "admin" => Ok(Self::Admin),
            _ => Err("expected buyer, seller or admin".to_owned()),
        }
    }
}

/// Who a token speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// What it may do.
    pub role: Role,
    /// The session it belongs to; none for a token that an operator minted.
    pub session: Option<SessionId>,
    /// What of that the token may be used for.
    pub scopes: Scopes,
    /// From then on the token is void.
    pub expires_at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: Text<AccountId>,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<Text<SessionId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<Scope>>,
    aud: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// A key for signing and checking, with the `kid` by which tokens name it.
pub(crate) struct TokenKey {
    kid: String,
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    /// Nothing is signed with it before that: by then every process of the platform knows it.
    signs_from: Timestamp,
}

/// The keys of a platform, the newest last. They can be exchanged while they are in use.
#[derive(Debug)]
pub struct TokenKeys {
    /// Invariant: there is at least one.
    keys: ArcSwap<Vec<TokenKey>>,
    generation: AtomicU64,
}

/// Why a token was not accepted. The client learns no more than the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Not a JWT of ours: wrong shape, algorithm, key, signature, audience or claims.
    #[error("the access token is not valid")]
    Invalid,
    /// It was valid once.
    #[error("the access token has expired")]
    Expired,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key itself never stands in a log.
        write!(f, "TokenKey({})", self.kid)
    }
}

impl TokenKey {
    const AUDIENCE: &'static str = "onrush";
    /// RFC 9068: what an access token calls itself, so that no other JWT of this key passes for one.
    const TYP: &'static str = "at+jwt";
    /// Clocks of one platform may differ by so much.
    const LEEWAY: Duration = Duration::from_secs(2);

    /// From a secret of at least 32 bytes.
    pub(crate) fn new(kid: String, secret: &[u8], signs_from: Timestamp) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are compared here: the library reads the wall clock, which may be stepped while a server runs.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.set_audience(&[Self::AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "sub"]);
        let (signing, checking) = (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret));
        Self { kid, signing, checking, validation, signs_from }
    }

    fn mint(&self, caller: &Caller, now: Timestamp) -> String {
        let seconds = now.as_millis() / 1000;
        let claims = Claims {
            sub: Text(caller.account),
            role: caller.role,
            sid: caller.session.map(Text),
            scopes: caller.scopes.list(),
            aud: Self::AUDIENCE.to_owned(),
            iat: seconds,
            nbf: seconds,
            exp: caller.expires_at.as_millis() / 1000,
        };
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(Self::TYP.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, &claims, &self.signing).expect("claims of plain fields are always JSON")
    }

    fn check(&self, token: &str, now: Timestamp) -> Result<Caller, TokenError> {
        let data = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation);
        let Claims { sub, role, sid, scopes, nbf, exp, .. } = data.map_err(|_| TokenError::Invalid)?.claims;
        let scopes = scopes.map_or(Scopes::All, |scopes| Scopes::some(&scopes));
        let time = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        let expires_at = time(exp);
        if expires_at <= now {
            return Err(TokenError::Expired);
        }
        // Whoever minted it may go by the wall clock, and a server by one that has run on since its start.
        let wall = Timestamp::MIN + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if time(nbf) > now.max(wall) + Self::LEEWAY {
            return Err(TokenError::Invalid);
        }
        Ok(Caller { account: sub.0, role, session: sid.map(|Text(session)| session), scopes, expires_at })
    }
}

impl TokenKeys {
    /// Keys in the order in which they were made, of which there is at least one.
    pub(crate) fn new(keys: Vec<TokenKey>) -> Self {
        assert!(!keys.is_empty(), "a key file without a key is refused");
        Self { keys: ArcSwap::from_pointee(keys), generation: AtomicU64::new(0) }
    }

    /// Goes on with other keys.
    pub(crate) fn exchange(&self, with: &Self) {
        self.keys.store(with.keys.load_full());
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// How often the keys were exchanged: what was checked before is to be checked anew, as its key may be gone.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A token for all that `account` may do, of no session, valid from `now` on for `ttl`.
    pub fn mint(&self, account: AccountId, role: Role, now: Timestamp, ttl: Duration) -> String {
        self.mint_for(&Caller { account, role, session: None, scopes: Scopes::All, expires_at: now + ttl }, now)
    }

    /// A token that speaks for `caller`, valid from `now` on.
    pub fn mint_for(&self, caller: &Caller, now: Timestamp) -> String {
        let keys = self.keys.load();
        let signing = keys.iter().rev().find(|key| key.signs_from <= now).or(keys.first());
        signing.expect("there is at least one key").mint(caller, now)
    }

    /// Who `token` speaks for at a time. `expires_at` must be compared with the time of each later use.
    ///
    /// # Errors
    /// [`TokenError`], where the token is not to be believed.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<Caller, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        if header.typ.as_deref() != Some(TokenKey::TYP) || header.alg != Algorithm::HS256 {
            return Err(TokenError::Invalid);
        }
        let keys = self.keys.load();
        let key = keys.iter().find(|key| header.kid.as_deref() == Some(key.kid.as_str()));
        key.ok_or(TokenError::Invalid)?.check(token, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn keys(kid: &str, secret: u8) -> TokenKeys {
        TokenKeys::new(vec![TokenKey::new(kid.to_owned(), &[secret; 32], Timestamp::MIN)])
    }

    fn key() -> TokenKeys {
        keys("k1", 7)
    }

    fn now() -> Timestamp {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::MIN + wall
    }

    fn kim() -> AccountId {
        "acc_kim".parse().unwrap()
    }

    #[test]
    fn what_is_minted_is_accepted() {
        let caller = key().check(&key().mint(kim(), Role::Seller, now(), Duration::from_secs(60)), now()).unwrap();
        assert_eq!((caller.account, caller.role), (kim(), Role::Seller));
    }

    #[test]
    fn a_token_ends() {
        let past = Timestamp::from_millis(now().as_millis() - 100_000);
        let token = key().mint(kim(), Role::Buyer, past, Duration::from_secs(60));
        assert_eq!(key().check(&token, now()), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_of_the_future_is_refused() {
        let token = key().mint(kim(), Role::Buyer, now() + Duration::from_secs(60), Duration::from_secs(60));
        assert_eq!(key().check(&token, now()), Err(TokenError::Invalid));
    }

    #[test]
    fn every_flipped_character_is_refused() {
        let token = key().mint(kim(), Role::Buyer, now(), Duration::from_secs(60));
        for place in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            // The last digit of a base64 text has bits that stand for nothing; a decoder must refuse them too.
            assert!(key().check(std::str::from_utf8(&forged).unwrap(), now()).is_err(), "at {place}");
        }
    }

    #[test]
    fn no_other_key_algorithm_or_type_is_accepted() {
        let claims = r#"{"sub":"acc_kim","role":"admin","aud":"onrush","iat":0,"nbf":0,"exp":99999999999}"#;
        for header in [r#"{"alg":"none","typ":"at+jwt","kid":"k1"}"#, r#"{"alg":"HS512","typ":"at+jwt","kid":"k1"}"#] {
            let token = format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
            assert_eq!(key().check(&token, now()), Err(TokenError::Invalid));
        }
        let stranger = keys("k1", 8);
        let token = stranger.mint(kim(), Role::Buyer, now(), Duration::from_secs(60));
        assert_eq!(key().check(&token, now()), Err(TokenError::Invalid));
        let other_kid = keys("k2", 7);
        let token = other_kid.mint(kim(), Role::Buyer, now(), Duration::from_secs(60));
        assert_eq!(key().check(&token, now()), Err(TokenError::Invalid));
    }

    #[test]
    fn what_our_own_key_signs_for_another_purpose_is_refused() {
        let mint = |typ: &str, audience: &str| {
            let (now, header) = (now().as_millis() / 1000, Header { typ: Some(typ.to_owned()), ..Header::default() });
            let claims = serde_json::json!({
                "sub": "acc_kim", "role": "buyer", "aud": audience, "iat": now, "nbf": now, "exp": now + 60,
            });
            let header = Header { kid: Some("k1".to_owned()), ..header };
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&[7; 32])).unwrap()
        };
        assert!(key().check(&mint("at+jwt", "onrush"), now()).is_ok());
        for (typ, audience) in [("JWT", "onrush"), ("at+jwt", "others"), ("", "onrush")] {
            assert_eq!(key().check(&mint(typ, audience), now()), Err(TokenError::Invalid), "{typ} for {audience}");
        }
    }

    #[test]
    fn a_session_and_its_scopes_stand_in_its_tokens() {
        let scopes = Scopes::some(&[Scope::Sell]);
        let expires_at = Timestamp::from_millis(now().as_millis() / 1000 * 1000) + Duration::from_secs(60);
        let caller = Caller { account: kim(), role: Role::Admin, session: Some(SessionId(7)), scopes, expires_at };
        assert_eq!(key().check(&key().mint_for(&caller, now()), now()), Ok(caller));
    }

    #[test]
    fn a_newer_key_signs_from_its_time_on_and_the_older_one_still_checks() {
        let key = |kid: &str, from| TokenKey::new(kid.to_owned(), kid.repeat(16).as_bytes(), from);
        let both = TokenKeys::new(vec![key("k1", Timestamp::MIN), key("k2", now() + Duration::from_secs(10))]);
        let mint = |at| both.mint(kim(), Role::Buyer, at, Duration::from_secs(60));
        let (old, new) = (mint(now()), mint(now() + Duration::from_secs(10)));
        let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid;
        assert_eq!((kid(&old).as_deref(), kid(&new).as_deref()), (Some("k1"), Some("k2")));
        assert!(both.check(&old, now()).is_ok());
        both.exchange(&TokenKeys::new(vec![key("k2", Timestamp::MIN)]));
        assert_eq!((both.check(&old, now()), both.generation()), (Err(TokenError::Invalid), 1));
    }
}
