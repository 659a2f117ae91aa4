//! Wishes: said before the rush, asked for in it.
//!
//! A wish is kept nowhere: its id says all of it, in base64. It takes no more rights than `best_available` does, so it needs
//! no signature; what it says is checked when it is read, like any other body.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::StatusCode;
use onrush_api::problem::Problem;
use onrush_api::text::Text;
use onrush_api::token::Role;
use onrush_api::wishes::{Fallback, Wish, WishDraft};
use onrush_engine::command::{self, Preferred};
use onrush_engine::feed::Publication;
use onrush_engine::id::PerformanceId;
use onrush_engine::seat_map::SectionIndex;

use crate::answer::Answer;
use crate::request::Request;
use crate::routes::holds;

const BUYERS: [Role; 2] = [Role::Buyer, Role::Guest];
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
    let written = write(id, &preferred(&publication, &draft)?);
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

/// Performance, quantity, fallback, the price if there is one (a byte says so), then the sections.
pub(crate) fn write(performance: PerformanceId, wish: &Preferred) -> String {
    let mut bytes = performance.0.to_be_bytes().to_vec();
    bytes.extend(wish.quantity.to_be_bytes());
    bytes.push(wish.fallback as u8);
    bytes.push(u8::from(wish.price_max.is_some()));
    bytes.extend(wish.price_max.iter().flat_map(|price| price.to_be_bytes()));
    bytes.extend(wish.sections.iter().flat_map(|section| section.0.to_be_bytes()));
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The wish that an id says, if it is one of this performance.
pub(crate) fn read(publication: &Publication, id: &str) -> Result<command::Wish, Problem> {
    let sections = publication.map.sections().len();
    let known = parse(id).filter(|(performance, wish)| {
        let there = wish.sections.iter().all(|section| usize::from(section.0) < sections);
        *performance == publication.performance && there && wish.sections.len() <= SECTIONS_MAX
    });
    let (_, wish) = known.ok_or_else(|| Problem::field("/wish", "no wish for this performance"))?;
    holds::check_quantity(wish.quantity, "/wish")?;
    Ok(command::Wish::Preferred(Box::new(wish)))
}

fn parse(id: &str) -> Option<(PerformanceId, Preferred)> {
    let bytes = URL_SAFE_NO_PAD.decode(id.strip_prefix(PREFIX)?).ok()?;
    let (performance, rest) = bytes.split_first_chunk()?;
    let (quantity, rest) = rest.split_first_chunk()?;
    let ([fallback, has_price], rest) = rest.split_first_chunk()?;
    let (price_max, rest) = match has_price {
        0 => (None, rest),
        1 => rest.split_first_chunk().map(|(price, rest)| (Some(i64::from_be_bytes(*price)), rest))?,
        _ => return None,
    };
    let fallback = match fallback {
        0 => command::Fallback::Nothing,
        1 => command::Fallback::Apart,
        2 => command::Fallback::Elsewhere,
        _ => return None,
    };
    let (sections, []) = rest.as_chunks() else { return None };
    let sections = sections.iter().map(|section| SectionIndex(u16::from_be_bytes(*section))).collect();
    let quantity = u32::from_be_bytes(*quantity);
    Some((PerformanceId(u64::from_be_bytes(*performance)), Preferred { quantity, sections, price_max, fallback }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_as_it_was_written_and_nothing_else_is_one() {
        let wishes = [
            Preferred { quantity: 1, sections: vec![], price_max: None, fallback: command::Fallback::Nothing },
            Preferred {
                quantity: 500,
                sections: (0..16).map(SectionIndex).collect(),
                price_max: Some(165_000),
                fallback: command::Fallback::Elsewhere,
            },
        ];
        for wish in wishes {
            let id = write(PerformanceId(7), &wish);
            assert_eq!(parse(&id), Some((PerformanceId(7), wish)));
            for other in [&id[1..], &id[..id.len() - 1], &format!("{id}A"), "wish_", "wish_!"] {
                assert!(parse(other).is_none(), "{other}");
            }
        }
    }
}
