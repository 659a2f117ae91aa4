//! Wishes: said before the rush, asked for in it.
//!
//! A wish is kept nowhere: its id says all of it, as JSON in base64. It takes no more rights than `best_available` does, so it needs
//! no signature; what it says is checked when it is read, like any other body.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::StatusCode;
use onrush_api::problem::Problem;
use onrush_api::text::Text;
use onrush_api::wishes::{Fallback, Wish, WishDraft};
use onrush_engine::command::{self, Preferred};
use onrush_engine::feed::Publication;
use onrush_engine::id::PerformanceId;

use crate::answer::Answer;
use crate::auth::BUYERS;
use crate::request::Request;
use crate::routes::holds;

/// Sections of one wish: each is looked through while others wait.
const SECTIONS_MAX: usize = 16;
const PREFIX: &str = "wish_";

/// Say what you would like
///
/// Before the sale opens, or at any time. The answer's `id` goes as `wish` into the request for a hold, which then takes the
/// first of these ways that has the seats, in one step: the sections in their order, then what `fallback` allows.
#[utoipa::path(post, path = "/v1/performances/{performance}/wishes", tag = "Holding and booking",
    params(("performance" = String, Path)), request_body = WishDraft, security(("token" = [])),
    responses((status = 201, body = Wish)))]
pub(crate) fn make(request: &Request<'_>) -> Result<Answer, Problem> {
    request.caller_as(&BUYERS)?;
    let id: PerformanceId = request.id(2)?;
    let publication = request.context.directory.performance(id)?.publication;
    let draft: WishDraft = request.json()?;
    preferred(&publication, &draft)?;
    let written = write(id, &draft);
    let WishDraft { quantity, sections, price_max, fallback } = draft;
    let wish = Wish { id: written, performance: Text(id), quantity, sections, price_max, fallback };
    Ok(Answer::json(StatusCode::CREATED, &wish))
}

pub(crate) fn preferred(publication: &Publication, draft: &WishDraft) -> Result<Preferred, Problem> {
    holds::check_quantity(draft.quantity, "/quantity")?;
    if draft.sections.len() > SECTIONS_MAX {
        return Err(Problem::field("/sections", format!("at most {SECTIONS_MAX}")));
    }
    if draft.price_max.is_some_and(|price| price < 0) {
        return Err(Problem::field("/price_max", "0 or more"));
    }
    let named = draft.sections.iter().enumerate();
    let sections = named.map(|(place, name)| holds::section(publication, name, &format!("/sections/{place}")));
    let fallback = match draft.fallback {
        Fallback::Nothing => command::Fallback::Nothing,
        Fallback::Apart => command::Fallback::Apart,
        Fallback::Elsewhere => command::Fallback::Elsewhere,
    };
    let sections = sections.collect::<Result<Vec<_>, _>>()?;
    if (1..sections.len()).any(|place| sections[..place].contains(&sections[place])) {
        return Err(Problem::field("/sections", "a section is named twice"));
    }
    Ok(Preferred { quantity: draft.quantity, sections, price_max: draft.price_max, fallback })
}

/// The id of a wish for a performance's seats.
pub(crate) fn write(performance: PerformanceId, draft: &WishDraft) -> String {
    let said = serde_json::to_vec(&(Text(performance), draft)).expect("the API's types are plain and always make JSON");
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(said))
}

/// The wish that an id says, if it is one of this performance.
pub(crate) fn read(publication: &Publication, id: &str) -> Result<command::Wish, Problem> {
    let said = id.strip_prefix(PREFIX).and_then(|said| URL_SAFE_NO_PAD.decode(said).ok());
    let said = said.and_then(|said| serde_json::from_slice::<(Text<PerformanceId>, WishDraft)>(&said).ok());
    let own = said.filter(|(performance, _)| performance.0 == publication.performance);
    let wish = own.and_then(|(_, draft)| preferred(publication, &draft).ok());
    let wish = wish.ok_or_else(|| Problem::field("/wish", "no wish for this performance"))?;
    Ok(command::Wish::Preferred(Box::new(wish)))
}
