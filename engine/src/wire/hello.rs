//! How an edge and an engine, or an edge and a control plane, come to believe each other: each answers the other's random number with the key that they
//! share, and the key never leaves. Without certificates ([`super::credentials`]) what follows is neither encrypted nor signed: whoever can
//! answer at an engine's address, or change what is on the way, can act as one of the two. It belongs into a network where nobody
//! else is.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::key::{Key, NONCE_LEN, Nonce, random};
use super::{PATIENCE, VERSION, WireError};

/// What both ends begin with.
const MAGIC: [u8; 6] = *b"onrush";
const PROOF_LEN: usize = blake3::OUT_LEN;

/// Says who this is, as an engine. Nothing is done for whoever is not believed.
///
/// # Errors
/// [`WireError`], where the other end is not believed.
pub(super) async fn as_engine<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, key: &Key) -> Result<(), WireError> {
    greet(stream, key, *b"engine", *b"edge  ").await
}

/// Says who this is, as an edge.
///
/// # Errors
/// [`WireError`], where the other end is not believed.
pub(super) async fn as_edge<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, key: &Key) -> Result<(), WireError> {
    greet(stream, key, *b"edge  ", *b"engine").await
}

/// Says who this is, as a control plane, to an edge that asks it.
///
/// # Errors
/// [`WireError`], where the other end is not believed.
pub(super) async fn as_plane<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, key: &Key) -> Result<(), WireError> {
    greet(stream, key, *b"plane ", *b"asker ").await
}

/// Says who this is, as an edge that asks a control plane.
///
/// # Errors
/// [`WireError`], where the other end is not believed.
pub(super) async fn as_asker<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, key: &Key) -> Result<(), WireError> {
    greet(stream, key, *b"asker ", *b"plane ").await
}

async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    key: &Key,
    own_role: [u8; 6],
    other_role: [u8; 6],
) -> Result<(), WireError> {
    let greeting = async {
        let own = random()?;
        let mut hello = [0; MAGIC.len() + 2 + NONCE_LEN];
        hello[..6].copy_from_slice(&MAGIC);
        hello[6..8].copy_from_slice(&VERSION.to_le_bytes());
        hello[8..].copy_from_slice(&own);
        stream.write_all(&hello).await?;
        stream.flush().await?;
        let theirs = read_hello(stream).await?;
        stream.write_all(key.proof(&own_role, &theirs, &own).as_bytes()).await?;
        stream.flush().await?;
        let mut proof = [0; PROOF_LEN];
        // Who does not believe this end closes.
        stream.read_exact(&mut proof).await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => WireError::Key,
            _ => WireError::Io(error),
        })?;
        // Compared in constant time.
        (blake3::Hash::from_bytes(proof) == key.proof(&other_role, &own, &theirs)).then_some(()).ok_or(WireError::Key)
    };
    tokio::time::timeout(PATIENCE, greeting).await.map_err(|_| WireError::Silent)?
}

async fn read_hello<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Nonce, WireError> {
    let mut magic = [0; MAGIC.len()];
    stream.read_exact(&mut magic).await?;
    if magic != MAGIC {
        return Err(WireError::Stranger);
    }
    let theirs = stream.read_u16_le().await?;
    if theirs != VERSION {
        return Err(WireError::Version { theirs });
    }
    let mut nonce = [0; NONCE_LEN];
    stream.read_exact(&mut nonce).await?;
    Ok(nonce)
}
