//! Frames: four bytes that say how long, little endian, and an archive.

use futures_util::StreamExt as _;
use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::{Archive, Deserialize, Serialize};
use tokio::io::AsyncRead;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::{FRAME_LEN_MAX, WireError};

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
    Ok(frames.next().await.ok_or(WireError::Closed)??)
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
