//! The container pool: images that are known, and what becomes of those that go.

use std::collections::BTreeMap;

use onrush_api::images::{Image, ImageDeleted, ImageDraft};
use onrush_api::problem::{FieldError, Kind, Problem};
use onrush_api::templates::Template;
use onrush_api::text::Time;
use onrush_api::token::Caller;

use super::{Catalogue, IMAGE, TEMPLATE, all, checks, get, put, remove};
use crate::accounts::secret;
use crate::callers::{check_admin, check_operates};
use crate::deployments;
use crate::store::{Change, Store, StoreError};

const IMAGES_MAX: usize = 500;

impl Catalogue {
    /// Every image.
    pub(crate) async fn images(&self, caller: &Caller) -> Result<Vec<Image>, Problem> {
        check_operates(caller)?;
        self.store.ask(|store| all(store, IMAGE)).await
    }

    /// One of them.
    pub(crate) async fn image(&self, caller: &Caller, id: &str) -> Result<Image, Problem> {
        check_operates(caller)?;
        let id = id.to_owned();
        self.store.ask(move |store| get(store, IMAGE, &id)).await?.ok_or_else(unknown)
    }

    /// Has an image known; the same again is the same one, and says so.
    ///
    /// # Errors
    /// `forbidden`, `invalid-body`, `limit-exceeded`, and `already-known`, which names each field that another image has.
    pub(crate) async fn register(&self, caller: &Caller, draft: ImageDraft) -> Result<(Image, bool), Problem> {
        check_admin(caller)?;
        checks::image(&draft)?;
        let ImageDraft { name, alias, version, reference, spec } = draft;
        let (id, created_at) = (format!("img_{}", secret::id()?), Time(self.clock.now()));
        let fresh = Image { id, name, alias, version, reference, spec, created_at };
        let decided = self.store.ask(move |store| {
            store.write(|| {
                let known: Vec<Image> = all(store, IMAGE)?;
                Ok(match admit(fresh, known) {
                    Ok((image, false)) => (put(IMAGE, &image.id, &image), Ok((image, false))),
                    decided => (Change::default(), decided),
                })
            })
        });
        decided.await?
    }

    /// Lets an image go; what used it.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, and `image-in-use`, unless that is to be so.
    pub(crate) async fn remove_image(&self, caller: &Caller, id: &str, force: bool) -> Result<ImageDeleted, Problem> {
        check_admin(caller)?;
        let id = id.to_owned();
        let decided = self.store.ask(move |store| {
            store.write(|| {
                if get::<Image>(store, IMAGE, &id)?.is_none() {
                    return Ok((Change::default(), Err(unknown())));
                }
                let used = users(store, &id)?;
                if force || used == ImageDeleted::default() {
                    return Ok((remove(IMAGE, &id), Ok(used)));
                }
                let users = used.templates.into_iter().chain(used.deployments).collect();
                Ok((Change::default(), Err(Problem::new(Kind::ImageInUse).used_by(users))))
            })
        });
        decided.await?
    }
}

fn unknown() -> Problem {
    Problem::new(Kind::NotFound).detail("There is no such image.")
}

/// The image, if nothing that it has is another's; or the one that there is, if it says the same.
fn admit(fresh: Image, known: Vec<Image>) -> Result<(Image, bool), Problem> {
    let as_fresh = |other: &Image| Image { id: fresh.id.clone(), created_at: fresh.created_at, ..other.clone() };
    if let Some(same) = known.iter().find(|other| as_fresh(other) == fresh) {
        return Ok((same.clone(), true));
    }
    let mut errors = Vec::new();
    let mut taken = |is_taken: &dyn Fn(&Image) -> bool, pointer: &str| {
        if let Some(other) = known.iter().find(|other| is_taken(other)) {
            let detail = format!("is that of {} {} ({}) already", other.name, other.version, other.id);
            errors.push(FieldError { pointer: pointer.to_owned(), detail });
        }
    };
    taken(&|other| (&other.name, &other.version) == (&fresh.name, &fresh.version), "/version");
    taken(&|other| other.alias == fresh.alias, "/alias");
    taken(&|other| other.reference == fresh.reference, "/reference");
    if !errors.is_empty() {
        return Err(Problem::new(Kind::AlreadyKnown).errors(errors));
    }
    if known.len() >= IMAGES_MAX {
        let detail = format!("There are {IMAGES_MAX} images. Delete one that nothing uses.");
        return Err(Problem::new(Kind::LimitExceeded).detail(detail).limit(IMAGES_MAX as u64));
    }
    Ok((fresh, false))
}

/// What uses an image.
fn users(store: &Store, id: &str) -> Result<ImageDeleted, StoreError> {
    let names = |template: &Template| {
        template.engine.as_deref() == Some(id) || template.companions.iter().any(|companion| companion.image == id)
    };
    let templates = all(store, TEMPLATE)?.into_iter().filter(names).map(|template| template.id).collect();
    Ok(ImageDeleted { templates, deployments: deployments::running(store, id)? })
}

/// Images by their ids.
pub(super) fn by_id(store: &Store) -> Result<BTreeMap<String, Image>, StoreError> {
    Ok(all::<Image>(store, IMAGE)?.into_iter().map(|image| (image.id.clone(), image)).collect())
}
