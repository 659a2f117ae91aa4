//! The server that a rush is sent against, and the tokens that it accepts.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail, ensure};
use onrush_api::text::Time;
use onrush_api::token::{Role, TokenKeys};

use crate::client::Connection;

/// A server, reached over plain HTTP/1.1.
#[derive(Debug, Clone)]
pub struct Target {
    address: SocketAddr,
    authority: Arc<str>,
    key: Option<Arc<TokenKeys>>,
    /// The server's process, where it is known; on this machine it is looked for otherwise.
    pub server_pid: Option<u32>,
}

impl Target {
    /// How long the bots' tokens are valid; a rush is over long before.
    const TOKEN_TTL: Duration = Duration::from_secs(3600);

    /// The server at `url`, such as `http://127.0.0.1:7700`, whose tokens are signed with `key`.
    ///
    /// # Errors
    /// Where the URL is of another form, or its host has no address.
    pub fn new(url: &str, key: TokenKeys) -> anyhow::Result<Self> {
        let (target, path) = Self::without_key(url)?;
        ensure!(path == "/", "the target '{url}' has a path; give scheme, host and port only");
        Ok(Self { key: Some(Arc::new(key)), ..target })
    }

    /// The server of a URL, and the URL's path.
    pub(crate) fn without_key(url: &str) -> anyhow::Result<(Self, String)> {
        let Some(rest) = url.strip_prefix("http://") else {
            bail!("the target '{url}' must start with http:// (put a proxy that ends TLS in front of https)");
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
        let resolved = match authority.parse::<SocketAddr>() {
            Ok(address) => Some(address),
            Err(_) => resolve(authority).with_context(|| format!("the host of '{url}' has no address"))?,
        };
        let address = resolved.with_context(|| format!("the host of '{url}' has no address"))?;
        Ok((Self { address, authority: authority.into(), key: None, server_pid: None }, path.to_owned()))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// As it stands in a URL.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// A new connection to it.
    pub(crate) fn connection(&self, timeout: Duration) -> Connection {
        Connection::new(self.address, Arc::clone(&self.authority), timeout)
    }

    /// A token of a bot. Its account must have the form that the contract gives accounts.
    pub(crate) fn buyer_token(&self, account: &str) -> String {
        self.token(account, Role::Buyer).expect("bots have well-formed accounts")
    }

    /// A token of a seller.
    ///
    /// # Errors
    /// Where `account` is no account's id.
    pub(crate) fn seller_token(&self, account: &str) -> anyhow::Result<String> {
        let hint = || format!("'{account}' is no account: it must look like acc_rush-seller");
        self.token(account, Role::Seller).with_context(hint)
    }

    fn token(&self, account: &str, role: Role) -> anyhow::Result<String> {
        let key = self.key.as_ref().context("no key to sign tokens with")?;
        Ok(key.mint(account.parse()?, role, now().0, Self::TOKEN_TTL))
    }
}

/// A name may have several addresses (`localhost` often has two), and the server listen at one of them.
fn resolve(authority: &str) -> std::io::Result<Option<SocketAddr>> {
    const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
    let port = if authority.contains(':') { "" } else { ":80" };
    let addresses: Vec<SocketAddr> = format!("{authority}{port}").to_socket_addrs()?.collect();
    let listens = |address: &&SocketAddr| TcpStream::connect_timeout(address, PROBE_TIMEOUT).is_ok();
    Ok(addresses.iter().find(listens).or(addresses.first()).copied())
}

/// The time now, in the contract's form.
pub(crate) fn now() -> Time {
    let epoch: Time = "1970-01-01T00:00:00Z".parse().expect("the epoch is a time");
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(epoch.0 + since_epoch)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use onrush_api::key_file::KeyFile;

    pub(crate) fn key() -> TokenKeys {
        let dir = tempfile::tempdir().unwrap();
        KeyFile::open_or_create(&KeyFile::path_in(dir.path())).unwrap()
    }

    #[test]
    fn a_target_is_scheme_host_and_port() {
        let target = Target::new("http://127.0.0.1:7700/", key()).unwrap();
        assert_eq!((target.address().port(), target.authority()), (7700, "127.0.0.1:7700"));
        assert_eq!(Target::new("http://127.0.0.1", key()).unwrap().address().port(), 80);
        assert_eq!(Target::new("http://[::1]:7700", key()).unwrap().address().port(), 7700);
        for (url, says) in [("https://a", "http://"), ("http://127.0.0.1/v1", "path"), ("localhost:1", "http://")] {
            assert!(Target::new(url, key()).unwrap_err().to_string().contains(says), "{url}");
        }
    }

    #[test]
    fn tokens_speak_for_whom_they_were_minted() {
        let key = key();
        let target = Target::new("http://127.0.0.1:1", key).unwrap();
        let caller = target.key.as_ref().unwrap().check(&target.buyer_token("acc_bot-1-2"), now().0).unwrap();
        assert_eq!((caller.account.as_str(), caller.role), ("acc_bot-1-2", Role::Buyer));
        assert!(target.seller_token("kim").unwrap_err().to_string().contains("acc_rush-seller"));
    }
}
