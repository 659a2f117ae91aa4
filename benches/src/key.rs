//! Access tokens, signed with the key of the server they are for: a thousand of them, without a thousand processes.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// A server's signing key.
pub struct Key {
    kid: String,
    secret: EncodingKey,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    role: &'a str,
    aud: &'a str,
    iat: u64,
    nbf: u64,
    exp: u64,
}

impl Key {
    /// Reads a key file: one line, `<kid>:<base64url>`.
    ///
    /// # Errors
    /// Where it is not there, or holds something else.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let line = fs::read_to_string(path).with_context(|| format!("cannot read the key file {}", path.display()))?;
        let parts = line.trim().split_once(':').context("the key file does not hold a key")?;
        let secret = URL_SAFE_NO_PAD.decode(parts.1).context("the key file does not hold a key")?;
        Ok(Self { kid: parts.0.to_owned(), secret: EncodingKey::from_secret(&secret) })
    }

    /// A key that opens nothing, for servers that look at no token; as long as a real one.
    pub fn of_nobody() -> Self {
        Self { kid: "bare-hyper0".to_owned(), secret: EncodingKey::from_secret(&[7; 32]) }
    }

    /// A token for an account, valid for an hour.
    pub fn token(&self, account: &str, role: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.kid.clone());
        let claims = Claims { sub: account, role, aud: "onrush", iat: now, nbf: now, exp: now + 3600 };
        jsonwebtoken::encode(&header, &claims, &self.secret).expect("claims of plain fields are always JSON")
    }
}
