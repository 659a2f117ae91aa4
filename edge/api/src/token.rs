//! Access tokens: HS256 JWTs, minted and checked with a key that every process of a platform shares.
//!
//! One algorithm, one audience, one `typ`; `kid` names the key. `alg: none`, another algorithm or an unknown key is
//! refused before anything in the token is believed.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use onrush_engine::id::AccountId;
use onrush_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::text::Text;

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Holds and books.
    Buyer,
    /// Sets shows up and sees who booked.
    Seller,
    /// Operates the platform.
    Admin,
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
    /// From then on the token is void.
    pub expires_at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: Text<AccountId>,
    role: Role,
    aud: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// A key for signing and checking, with the `kid` by which tokens name it.
pub struct TokenKey {
    kid: String,
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
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
    /// Clocks of one platform may differ by so much. The library's default would be a minute.
    const LEEWAY_SECONDS: u64 = 2;

    /// From a secret of at least 32 bytes.
    fn new(kid: String, secret: &[u8]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = Self::LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_audience(&[Self::AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "sub"]);
        Self { kid, signing: EncodingKey::from_secret(secret), checking: DecodingKey::from_secret(secret), validation }
    }

    /// A token for `account` that is valid from `now` on for `ttl`.
    pub fn mint(&self, account: AccountId, role: Role, now: Timestamp, ttl: Duration) -> String {
        let seconds = now.as_millis() / 1000;
        let claims = Claims {
            sub: Text(account),
            role,
            aud: Self::AUDIENCE.to_owned(),
            iat: seconds,
            nbf: seconds,
            exp: seconds.saturating_add(i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX)),
        };
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(Self::TYP.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, &claims, &self.signing).expect("claims of plain fields are always JSON")
    }

    /// Who `token` speaks for. `expires_at` must still be compared with the time of each use.
    ///
    /// # Errors
    /// [`TokenError`], where the token is not to be believed.
    pub fn check(&self, token: &str) -> Result<Caller, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let ours = header.kid.as_deref() == Some(self.kid.as_str()) && header.typ.as_deref() == Some(Self::TYP);
        if !ours || header.alg != Algorithm::HS256 {
            return Err(TokenError::Invalid);
        }
        let data = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation);
        let claims = data.map_err(|error| match error.kind() {
            jsonwebtoken::errors::ErrorKind::ExpiredSignature => TokenError::Expired,
            _ => TokenError::Invalid,
        })?;
        let Claims { sub, role, exp, .. } = claims.claims;
        Ok(Caller { account: sub.0, role, expires_at: Timestamp::from_millis(exp.saturating_mul(1000)) })
    }
}

/// The file that keeps the signing key: one line, `<kid>:<base64url of 32 random bytes>`, readable by its owner only.
pub struct KeyFile;

/// What is wrong with a key file.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// It cannot be read or made.
    #[error("cannot use the key file {path}; a server makes it at its first start, in its data directory")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others may read it.
    #[error("the key file {path} may be read by others; run: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("the key file {path} does not hold a key; move it away and a new one is made at the next start")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl KeyFile {
    /// Where the key of a data directory lives.
    pub fn path_in(data: &Path) -> PathBuf {
        data.join("token.key")
    }

    /// Reads the key, and makes the file first if it is not there.
    ///
    /// # Errors
    /// [`KeyFileError`], with what to do.
    pub fn open_or_create(path: &Path) -> Result<TokenKey, KeyFileError> {
        if !path.exists() {
            Self::create(path).map_err(|source| KeyFileError::Io { path: path.to_owned(), source })?;
        }
        Self::open(path)
    }

    /// Reads the key.
    ///
    /// # Errors
    /// [`KeyFileError`], with what to do.
    pub fn open(path: &Path) -> Result<TokenKey, KeyFileError> {
        let io = |source| KeyFileError::Io { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(io)?.mode();
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Exposed { path: path.to_owned() });
        }
        let text = fs::read_to_string(path).map_err(io)?;
        Self::parse(text.trim()).ok_or_else(|| KeyFileError::Malformed { path: path.to_owned() })
    }

    fn parse(line: &str) -> Option<TokenKey> {
        let (kid, secret) = line.split_once(':')?;
        let secret = URL_SAFE_NO_PAD.decode(secret).ok()?;
        (!kid.is_empty() && secret.len() >= 32).then(|| TokenKey::new(kid.to_owned(), &secret))
    }

    fn create(path: &Path) -> io::Result<()> {
        let mut random = [0u8; 40];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let (kid, secret) = random.split_at(8);
        let line = format!("{}:{}\n", URL_SAFE_NO_PAD.encode(kid), URL_SAFE_NO_PAD.encode(secret));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        path.parent()
            .map_or(Ok(()), |dir| File::open(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn key() -> TokenKey {
        TokenKey::new("k1".to_owned(), &[7; 32])
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
        let caller = key().check(&key().mint(kim(), Role::Seller, now(), Duration::from_secs(60))).unwrap();
        assert_eq!((caller.account, caller.role), (kim(), Role::Seller));
    }

    #[test]
    fn a_token_ends() {
        let past = Timestamp::from_millis(now().as_millis() - 100_000);
        let token = key().mint(kim(), Role::Buyer, past, Duration::from_secs(60));
        assert_eq!(key().check(&token), Err(TokenError::Expired));
    }

    #[test]
    fn a_token_of_the_future_is_refused() {
        let token = key().mint(kim(), Role::Buyer, now() + Duration::from_secs(60), Duration::from_secs(60));
        assert_eq!(key().check(&token), Err(TokenError::Invalid));
    }

    #[test]
    fn every_flipped_character_is_refused() {
        let token = key().mint(kim(), Role::Buyer, now(), Duration::from_secs(60));
        for place in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            // The last digit of a base64 text has bits that stand for nothing; a decoder must refuse them too.
            assert!(key().check(std::str::from_utf8(&forged).unwrap()).is_err(), "at {place}");
        }
    }

    #[test]
    fn no_other_key_algorithm_or_type_is_accepted() {
        let claims = r#"{"sub":"acc_kim","role":"admin","aud":"onrush","iat":0,"nbf":0,"exp":99999999999}"#;
        for header in [r#"{"alg":"none","typ":"at+jwt","kid":"k1"}"#, r#"{"alg":"HS512","typ":"at+jwt","kid":"k1"}"#] {
            let token = format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
            assert_eq!(key().check(&token), Err(TokenError::Invalid));
        }
        let stranger = TokenKey::new("k1".to_owned(), &[8; 32]);
        let token = stranger.mint(kim(), Role::Buyer, now(), Duration::from_secs(60));
        assert_eq!(key().check(&token), Err(TokenError::Invalid));
        let other_kid = TokenKey::new("k2".to_owned(), &[7; 32]);
        let token = other_kid.mint(kim(), Role::Buyer, now(), Duration::from_secs(60));
        assert_eq!(key().check(&token), Err(TokenError::Invalid));
    }

    #[test]
    fn the_key_file_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = KeyFile::path_in(dir.path());
        let token = KeyFile::open_or_create(&path).unwrap().mint(kim(), Role::Buyer, now(), Duration::from_secs(60));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(KeyFile::open_or_create(&path).unwrap().check(&token).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(KeyFile::open(&path), Err(KeyFileError::Exposed { .. })));
    }
}
