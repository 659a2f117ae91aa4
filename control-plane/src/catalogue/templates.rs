//! Templates: those that are shipped, the platform's, and sellers' own.

use onrush_api::problem::{Kind, Problem};
use onrush_api::templates::{Template, TemplateDraft};
use onrush_api::text::Text;
use onrush_api::token::Caller;

use super::images::by_id;
use super::parts::Parts;
use super::{Catalogue, TEMPLATE, all, checks, get, put, remove};
use crate::accounts::secret;
use crate::callers::{check_operates, is_admin};
use crate::deployments::template::shipped;
use crate::store::{Change, StoreError};

/// Templates of one seller, of all sellers together, and of the platform.
const PER_SELLER_MAX: usize = 50;
const ALL_SELLERS_MAX: usize = 2_000;
const PLATFORM_MAX: usize = 500;

/// Whether a caller may use a template: what nobody owns is for everybody.
fn may_see(template: &Template, caller: Option<&Caller>) -> bool {
    let owner = template.owner.as_ref().map(|owner| owner.0);
    owner.is_none_or(|owner| caller.is_some_and(|caller| is_admin(caller) || caller.account == owner))
}

/// Whether a caller may change it.
fn may_change(template: &Template, caller: &Caller) -> bool {
    !template.shipped && (is_admin(caller) || template.owner == Some(Text(caller.account)))
}

impl Catalogue {
    /// Every template that a caller may use: shipped ones, the platform's, and their own.
    pub(crate) async fn templates(&self, caller: Option<&Caller>) -> Result<Vec<Template>, Problem> {
        let own: Vec<Template> = self.store.ask(|store| all(store, TEMPLATE)).await?;
        let own = own.into_iter().filter(|template| may_see(template, caller));
        Ok(shipped().into_iter().chain(own).collect())
    }

    /// One of them.
    pub(crate) async fn template(&self, caller: Option<&Caller>, id: &str) -> Result<Template, Problem> {
        if let Some(known) = shipped().into_iter().find(|template| template.id == id) {
            return Ok(known);
        }
        let wanted = id.to_owned();
        let found: Option<Template> = self.store.ask(move |store| get(store, TEMPLATE, &wanted)).await?;
        found.filter(|template| may_see(template, caller)).ok_or_else(unknown)
    }

    /// A template, and what it comes to with the images that there are.
    pub(crate) async fn plan(&self, caller: &Caller, id: &str) -> Result<(Template, Parts), Problem> {
        let template = self.template(Some(caller), id).await?;
        let images = self.store.ask(by_id).await?;
        let parts = Parts::of(&template, &images)?;
        Ok((template, parts))
    }

    /// Makes a template: an admin's is the platform's, a seller's their own. The same again is the same one, and says so.
    ///
    /// # Errors
    /// `forbidden`, `invalid-body`, `limit-exceeded`, and `already-known` where one of theirs has the title.
    pub(crate) async fn make_template(
        &self,
        caller: &Caller,
        draft: TemplateDraft,
    ) -> Result<(Template, bool), Problem> {
        check_operates(caller)?;
        let owner = (!is_admin(caller)).then_some(Text(caller.account));
        let fresh = template_of(format!("tpl_{}", secret::id()?), draft, owner);
        let decided = self.store.ask(move |store| {
            store.write(|| {
                let (known, images) = (all::<Template>(store, TEMPLATE)?, by_id(store)?);
                let checked = checks::template(&draft_of(&fresh), &images, fresh.owner.is_none());
                Ok(match checked.and_then(|()| admit(fresh, &known)) {
                    Ok((template, false)) => (put(TEMPLATE, &template.id, &template), Ok((template, false))),
                    decided => (Change::default(), decided),
                })
            })
        });
        decided.await?
    }

    /// Has a template be another. Deployments that were made from it stay as they are, until they are asked for once more.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `invalid-body`, `already-known`.
    pub(crate) async fn put_template(
        &self,
        caller: &Caller,
        id: &str,
        draft: TemplateDraft,
    ) -> Result<Template, Problem> {
        self.change_template(caller, id, move |before, known, images| {
            checks::template(&draft, images, before.owner.is_none())?;
            let now = template_of(before.id.clone(), draft, before.owner);
            let others = || known.iter().filter(|other| other.id != now.id);
            if others().any(|other| (&other.title, &other.owner) == (&now.title, &now.owner)) {
                return Err(title_taken());
            }
            Ok((put(TEMPLATE, &now.id, &now), now))
        })
        .await
    }

    /// Lets a template go. Deployments that were made from it go on as they are.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub(crate) async fn remove_template(&self, caller: &Caller, id: &str) -> Result<(), Problem> {
        self.change_template(caller, id, |before, _, _| Ok((remove(TEMPLATE, &before.id), ()))).await
    }

    /// Changes a template that a caller may change.
    async fn change_template<T: Send + 'static>(
        &self,
        caller: &Caller,
        id: &str,
        change: impl FnOnce(Template, &[Template], &Images) -> Result<(Change, T), Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        check_operates(caller)?;
        let seen = self.template(Some(caller), id).await?;
        if !may_change(&seen, caller) {
            let detail = "The template is the platform's, and stays as it is. Make one of your own from it.";
            return Err(Problem::new(Kind::Forbidden).detail(detail));
        }
        let decided = self.store.ask(move |store| {
            store.write(|| {
                let (known, images) = (all::<Template>(store, TEMPLATE)?, by_id(store)?);
                let Some(before) = known.iter().find(|template| template.id == seen.id) else {
                    return Ok::<_, StoreError>((Change::default(), Err(unknown())));
                };
                Ok(match change(before.clone(), &known, &images) {
                    Ok((change, answer)) => (change, Ok(answer)),
                    Err(problem) => (Change::default(), Err(problem)),
                })
            })
        });
        decided.await?
    }
}

/// Images by their ids.
type Images = std::collections::BTreeMap<String, onrush_api::images::Image>;

fn template_of(id: String, draft: TemplateDraft, owner: Option<Text<onrush_engine::id::AccountId>>) -> Template {
    let TemplateDraft { title, about, engine, companions, parameters } = draft;
    Template { id, title, about, engine, companions, parameters, owner, shipped: false }
}

fn draft_of(template: &Template) -> TemplateDraft {
    let Template { title, about, engine, companions, parameters, .. } = template.clone();
    TemplateDraft { title, about, engine, companions, parameters }
}

/// The template, if its owner has no other of its title; or the one that there is, if it says the same.
fn admit(fresh: Template, known: &[Template]) -> Result<(Template, bool), Problem> {
    let of_owner = || known.iter().filter(|other| other.owner == fresh.owner);
    if let Some(other) = of_owner().find(|other| other.title == fresh.title) {
        let is_same = draft_of(other) == draft_of(&fresh);
        return if is_same { Ok((other.clone(), true)) } else { Err(title_taken()) };
    }
    let full = |most: usize, whose: &str| {
        let detail = format!("{whose} may have {most} templates. Delete one.");
        Problem::new(Kind::LimitExceeded).detail(detail).limit(most as u64)
    };
    let of_sellers = known.iter().filter(|other| other.owner.is_some()).count();
    match fresh.owner {
        None if of_owner().count() >= PLATFORM_MAX => Err(full(PLATFORM_MAX, "The platform")),
        Some(_) if of_owner().count() >= PER_SELLER_MAX => Err(full(PER_SELLER_MAX, "One seller")),
        Some(_) if of_sellers >= ALL_SELLERS_MAX => Err(full(ALL_SELLERS_MAX, "All sellers together")),
        _ => Ok((fresh, false)),
    }
}

fn title_taken() -> Problem {
    let error = onrush_api::problem::FieldError {
        pointer: "/title".to_owned(),
        detail: "is that of another of these templates".to_owned(),
    };
    Problem::new(Kind::AlreadyKnown).errors(vec![error])
}

fn unknown() -> Problem {
    let names: Vec<_> = shipped().into_iter().map(|template| template.id).collect();
    let detail = format!(
        "There is no such template. Shipped are {}; GET /v1/templates lists all that you can use.",
        names.join(", ")
    );
    Problem::new(Kind::NotFound).detail(detail)
}
