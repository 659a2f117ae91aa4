//! Frames: four bytes that say how long, little endian, and an archive.

use std::io;

use futures_util::StreamExt as _;
use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::{Archive, Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::{FRAME_LEN_MAX, PATIENCE, WireError};

const LENGTH: usize = size_of::<u32>();

/// Reads frames.
pub(crate) type Frames<R> = FramedRead<R, LengthDelimitedCodec>;

/// The frames of a connection, none longer than [`FRAME_LEN_MAX`].
pub(crate) fn frames<R: AsyncRead>(reader: R) -> Frames<R> {
    LengthDelimitedCodec::builder()
        .little_endian()
        .length_field_type::<u32>()
        .max_frame_length(FRAME_LEN_MAX)
        .new_read(reader)
}

/// The next frame's archive; waits for it.
///
/// # Errors
/// [`WireError`], where there is none.
pub(crate) async fn next<R: AsyncRead + Unpin>(frames: &mut Frames<R>) -> Result<BytesMut, WireError> {
    frames.next().await.ok_or(WireError::Closed)?.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => WireError::TooLong,
        _ => WireError::Io(error),
    })
}

/// Writes what there is, however much, as long as the other end goes on taking it.
///
/// # Errors
/// [`WireError`], where it does not.
pub(crate) async fn write<W: AsyncWrite + Unpin>(writer: &mut W, mut frames: &[u8]) -> Result<(), WireError> {
    while !frames.is_empty() {
        let written = timeout(PATIENCE, writer.write(frames)).await.map_err(|_| WireError::Silent)??;
        if written == 0 {
            return Err(WireError::Closed);
        }
        frames = &frames[written..];
    }
    // What is encrypted would wait for the next frame, and who may write now may not any more by then.
    timeout(PATIENCE, writer.flush()).await.map_err(|_| WireError::Silent)??;
    Ok(())
}

/// What an archive says. Every byte is checked.
///
/// # Errors
/// [`WireError::Frame`], where it says nothing.
pub(crate) fn read<T>(archive: &[u8]) -> Result<T, WireError>
where
    T: Archive,
    T::Archived: for<'a> CheckBytes<HighValidator<'a, Error>> + Deserialize<T, HighDeserializer<Error>>,
{
    rkyv::from_bytes(archive).map_err(WireError::Frame)
}

/// Adds a message's frame to what is to be written; says whether it is short enough, and adds nothing where it is not.
pub(crate) fn append<T>(out: &mut Vec<u8>, message: &T) -> bool
where
    T: for<'v, 'a> Serialize<HighSerializer<&'v mut Vec<u8>, ArenaHandle<'a>, Error>>,
{
    let begin = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    let written = rkyv::api::high::to_bytes_in(message, &mut *out).is_ok();
    let length = out.len() - begin - LENGTH;
    if !written || length > FRAME_LEN_MAX {
        out.truncate(begin);
        return false;
    }
    out[begin..begin + LENGTH].copy_from_slice(&(length as u32).to_le_bytes());
    true
}
