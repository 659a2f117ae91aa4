//! The bytes of events and states, as rkyv archives: format 1, and what later ones add to it. The engine's own types are
//! not archived, so that they may change while old journals stay readable: a later format gets a module of its own beside
//! [`v1`], and this one stays.

mod v1;
mod v2;
mod v3;
mod v4;

use rkyv::rancor;
use thiserror::Error;

use super::BODY_LEN_MAX;
use super::frame::{Body, Digest};
use crate::event::Entry;
use crate::inventory::{Image, Inventory};
use crate::registry::RegistryEvent;
use crate::time::Timestamp;

/// A body is not what its format says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// It is no archive.
    #[error("the body is no archive of its format")]
    Archive,
    /// It is one, but a field has a value that its format does not know.
    #[error("the body's field '{0}' has a value that its format does not know")]
    Field(&'static str),
}

/// The bodies that hold these entries, in order; each fits a record. Those that say nothing that format 1 cannot say are
/// in format 1.
pub fn encode_entries(entries: &[Entry]) -> Vec<Body> {
    let mut bodies = Vec::with_capacity(1);
    encode_within(entries, &mut bodies);
    bodies
}

fn encode_within(entries: &[Entry], bodies: &mut Vec<Body>) {
    let archived = v1::entries(entries);
    let format = archived.iter().map(v1::Entry::format).max().unwrap_or(1);
    let body = Body { format, bytes: archive(&archived) };
    if body.len() <= BODY_LEN_MAX || entries.len() == 1 {
        bodies.push(body);
        return;
    }
    let (head, tail) = entries.split_at(entries.len() / 2);
    encode_within(head, bodies);
    encode_within(tail, bodies);
}

/// Reads the entries of a record.
///
/// # Errors
/// [`DecodeError`], where the bytes hold something else.
pub fn decode_entries(body: &[u8]) -> Result<Vec<Entry>, DecodeError> {
    unarchive::<Vec<v1::Entry>>(body)?.into_iter().map(v1::Entry::read).collect()
}

/// The body that holds an event of the registry.
pub fn encode_registry(at: Timestamp, event: &RegistryEvent) -> Body {
    let entry = v1::RegistryEntry::write(at, event);
    Body { format: entry.format(), bytes: archive(&entry) }
}

/// Reads an event of the registry.
///
/// # Errors
/// [`DecodeError`], where the bytes hold something else.
pub fn decode_registry(body: &[u8]) -> Result<(Timestamp, RegistryEvent), DecodeError> {
    unarchive::<v1::RegistryEntry>(body)?.read()
}

/// The bytes of an inventory's state, in the first format that can say all of it.
pub fn encode_image(image: &Image) -> Body {
    let sale = v1::Image::write(image);
    let beyond = v2::Image::beyond(image);
    if let Some(to) = image.handed_over {
        return Body { format: 4, bytes: archive(&v4::Image::write(v3::Image::write(sale, beyond, image), to)) };
    }
    if v3::Image::is_needed(image) {
        return Body { format: 3, bytes: archive(&v3::Image::write(sale, beyond, image)) };
    }
    match beyond {
        None => Body { format: 1, bytes: archive(&sale) },
        Some(beyond) => Body { format: 2, bytes: archive(&v2::Image::write(sale, beyond)) },
    }
}

/// Reads an inventory's state.
///
/// # Errors
/// [`DecodeError`], where the bytes hold something else.
pub fn decode_image(format: u16, body: &[u8]) -> Result<Image, DecodeError> {
    match format {
        1 => unarchive::<v1::Image>(body)?.read(),
        2 => unarchive::<v2::Image>(body)?.read(),
        3 => unarchive::<v3::Image>(body)?.read(),
        _ => unarchive::<v4::Image>(body)?.read(),
    }
}

/// What two states are told apart by: the digest of a state's bytes, in format 1 where that can say all of it.
///
/// So it is, whatever formats come: journals of old are kept with the digests that they replay to, and every version has
/// to come to the same ones.
pub fn state_digest(inventory: &Inventory) -> Digest {
    Digest::of(&[&encode_image(&inventory.image())])
}

fn unarchive<T>(body: &[u8]) -> Result<T, DecodeError>
where
    T: rkyv::Archive,
    T::Archived: for<'a> rkyv::bytecheck::CheckBytes<rkyv::api::high::HighValidator<'a, rancor::Failure>>
        + rkyv::Deserialize<T, rkyv::api::high::HighDeserializer<rancor::Failure>>,
{
    rkyv::from_bytes::<T, rancor::Failure>(body).map_err(|_| DecodeError::Archive)
}

fn archive<T>(value: &T) -> Vec<u8>
where
    T: for<'a> rkyv::Serialize<
            rkyv::api::high::HighSerializer<Vec<u8>, rkyv::ser::allocator::ArenaHandle<'a>, rancor::Failure>,
        >,
{
    rkyv::api::high::to_bytes_in::<_, rancor::Failure>(value, Vec::new()).expect("memory is all that archiving needs")
}
