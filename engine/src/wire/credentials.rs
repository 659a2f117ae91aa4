//! What two ends of a connection know each other by: the key that they share, and certificates, where these are configured.
//!
//! The key keeps strangers out. With certificates all that goes over a connection is encrypted and signed, too (TLS 1.3), and each end
//! has to have one that the platform's own authority has signed for the name [`NAME`]. Every member of a platform is called that: what
//! it is, it says by the key, and where it is may change.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::{ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::key::{Key, is_exposed};
use super::{PATIENCE, WireError, hello};

/// What certificates are for.
pub const NAME: &str = "onrush";

/// See the module.
#[derive(Clone)]
pub struct Credentials {
    key: Key,
    tls: Option<Tls>,
}

impl From<Key> for Credentials {
    fn from(key: Key) -> Self {
        Self { key, tls: None }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.tls.is_some() { "Credentials(key, certificate)" } else { "Credentials(key)" })
    }
}

/// Certificates, read once.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

/// Why certificates cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file holds nothing of the kind.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// Others may read the private key.
    #[error("others on this machine may read {0}, so it is no secret: chmod 600")]
    Exposed(PathBuf),
    /// They do not fit together.
    #[error("the certificate, its key and the authority's certificate do not fit together")]
    Unfit(#[from] rustls::Error),
    /// The authority cannot be one.
    #[error("the authority's certificate cannot be used")]
    Authority(#[from] VerifierBuilderError),
}

impl Tls {
    /// Those of PEM files: a certificate with what it was signed by, its private key, and the authority's certificate.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(certificate: &Path, key: &Path, authority: &Path) -> Result<Self, TlsError> {
        let file = |path: &Path| {
            let path = path.to_owned();
            |source| TlsError::File { path, source }
        };
        let all = |path: &Path| CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
        let chain = all(certificate).map_err(file(certificate))?;
        let private = PrivateKeyDer::from_pem_file(key).map_err(file(key))?;
        if std::fs::metadata(key).is_ok_and(|key| is_exposed(&key)) {
            return Err(TlsError::Exposed(key.to_owned()));
        }
        let mut roots = RootCertStore::empty();
        for root in all(authority).map_err(file(authority))? {
            roots.add(root)?;
        }
        let (roots, provider) = (Arc::new(roots), Arc::new(ring::default_provider()));
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
        let accepts = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13])?;
        let accepts =
            accepts.with_client_cert_verifier(clients).with_single_cert(chain.clone(), private.clone_key())?;
        let connects = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
        let connects = connects.with_root_certificates(roots).with_client_auth_cert(chain, private)?;
        Ok(Self { acceptor: Arc::new(accepts).into(), connector: Arc::new(connects).into() })
    }
}

impl Credentials {
    /// A key, and certificates.
    pub fn new(key: Key, tls: Option<Tls>) -> Self {
        Self { key, tls }
    }

    /// Believes an edge that has come to an engine, or does not.
    pub(crate) async fn as_engine(&self, stream: TcpStream) -> Result<Stream, WireError> {
        let mut stream = self.accept(stream).await?;
        hello::as_engine(&mut stream, &self.key).await?;
        Ok(stream)
    }

    /// Goes to an engine, and is believed there, or is not.
    pub(crate) async fn as_edge(&self, stream: TcpStream) -> Result<Stream, WireError> {
        let mut stream = self.connect(stream).await?;
        hello::as_edge(&mut stream, &self.key).await?;
        Ok(stream)
    }

    /// Believes an edge that has come to a control plane, or does not.
    ///
    /// # Errors
    /// [`WireError`], where it does not.
    pub async fn as_plane(&self, stream: TcpStream) -> Result<Stream, WireError> {
        let mut stream = self.accept(stream).await?;
        hello::as_plane(&mut stream, &self.key).await?;
        Ok(stream)
    }

    /// Goes to a control plane, and is believed there, or is not.
    ///
    /// # Errors
    /// [`WireError`], where it is not.
    pub async fn as_asker(&self, stream: TcpStream) -> Result<Stream, WireError> {
        let mut stream = self.connect(stream).await?;
        hello::as_asker(&mut stream, &self.key).await?;
        Ok(stream)
    }

    async fn accept(&self, stream: TcpStream) -> Result<Stream, WireError> {
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(stream)) };
        let accepted = timeout(PATIENCE, tls.acceptor.accept(stream)).await.map_err(|_| WireError::Silent)?;
        let accepted = accepted.map_err(why)?;
        // That the authority has signed it was checked; a cluster's signs for others, too.
        let theirs = accepted.get_ref().1.peer_certificates().and_then(<[_]>::first).ok_or(WireError::Key)?;
        let is_member = ParsedCertificate::try_from(theirs).and_then(|theirs| verify_server_name(&theirs, &name()));
        is_member.map_err(|error| WireError::Tls(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        Ok(Stream::Tls(Box::new(accepted.into())))
    }

    async fn connect(&self, stream: TcpStream) -> Result<Stream, WireError> {
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(stream)) };
        let connected =
            timeout(PATIENCE, tls.connector.connect(name(), stream)).await.map_err(|_| WireError::Silent)?;
        Ok(Stream::Tls(Box::new(connected.map_err(why)?.into())))
    }
}

fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).expect("a plain word is a name")
}

/// What is wrong with certificates stays so until somebody does something; a connection that broke off does not.
fn why(error: io::Error) -> WireError {
    let is_of_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    if is_of_tls { WireError::Tls(error) } else { WireError::Io(error) }
}

/// A connection of two that believe each other.
pub enum Stream {
    /// As it goes over the network.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
