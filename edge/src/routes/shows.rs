//! Shows: made and changed by their seller, read by everybody.

use hyper::StatusCode;
use onrush_api::page::{Cursor, Page};
use onrush_api::problem::{FieldError, Kind, Problem};
use onrush_api::shows::{Field, MemberRole, Show, ShowDraft, ShowPatch};
use onrush_api::text::{Text, Time};
use onrush_engine::id::ShowId;
use onrush_engine::registry::{self, RegistryCommand, RegistryMade, ShowDetails};

use crate::answer::Answer;
use crate::auth::SELLERS;
use crate::context::{Context, MERGES_MAX};
use crate::request::Request;
use crate::routes::members;

/// Make a show
#[utoipa::path(post, path = "/v1/shows", tag = "Shows", params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ShowDraft, security(("token" = [])),
    responses((status = 201, body = Show), (status = 422, description = "`invalid-body`")))]
pub(crate) async fn create(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&SELLERS)?;
    let draft: ShowDraft = request.json()?;
    let details = details(draft)?;
    // 0 names no stream of the journal.
    let show = ShowId(rand::random::<u64>().max(1));
    let command = RegistryCommand::CreateShow { show, caller, details, key: request.key("create_show")? };
    let answered = request.context.directory.register(command, None).await?;
    let RegistryMade::Show(show) = answered.made else { return Err(Problem::new(Kind::Internal)) };
    let body = body(request.context, &*request.context.directory.show(show)?);
    let location = format!("/v1/shows/{show}");
    Ok(Answer::json(StatusCode::CREATED, &body).location(location).replayed(answered.replayed))
}

/// List shows
#[utoipa::path(get, path = "/v1/shows", tag = "Shows", responses((status = 200, body = Page<Show>)), params(
    ("q" = Option<String>, Query, description = "Part of the title, a name of the cast, or the venue"),
    ("field" = Option<Field>, Query, description = "Only this field"),
    ("on_sale" = Option<bool>, Query, description = "Only shows that can, or cannot, be bought now"),
    ("limit" = Option<u32>, Query, description = "1 to 200, default 50"),
    ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")))]
pub(crate) fn list(request: &Request<'_>) -> Result<Answer, Problem> {
    let filter = Filter::read(request)?;
    page_of(request, |show| filter.matches(request.context, show), |_| None)
}

/// List your shows
///
/// Those that you sell, and those that you were invited to.
#[utoipa::path(get, path = "/v1/accounts/me/shows", tag = "Shows", security(("token" = [])),
    responses((status = 200, body = Page<Show>)),
    params(("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)))]
pub(crate) fn own(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&SELLERS)?;
    let own = |show: &registry::Show| show.seller == caller.account || show.members.contains_key(&caller.account);
    page_of(request, own, |show| show.members.get(&caller.account).copied().map(members::role))
}

fn page_of(
    request: &Request<'_>,
    matches: impl Fn(&registry::Show) -> bool,
    role: impl Fn(&registry::Show) -> Option<MemberRole>,
) -> Result<Answer, Problem> {
    let page = request.page()?;
    let shows = request.context.directory.shows();
    let mut items = Vec::new();
    for (place, show) in shows.iter().enumerate().skip(usize::try_from(page.cursor.0).unwrap_or(usize::MAX)) {
        if !matches(show) {
            continue;
        }
        if items.len() == page.limit {
            let next_cursor = Some(Cursor(place as u64).to_string());
            return Ok(Answer::json(StatusCode::OK, &Page { items, next_cursor }));
        }
        items.push(Show { your_role: role(show), ..body(request.context, show) });
    }
    Ok(Answer::json(StatusCode::OK, &Page { items, next_cursor: None }))
}

struct Filter {
    q: Option<String>,
    field: Option<Field>,
    on_sale: Option<bool>,
}

impl Filter {
    fn read(request: &Request<'_>) -> Result<Self, Problem> {
        let bad = |what: &'static str| Problem::new(Kind::BadRequest).detail(what);
        let field = request.query("field").map(|field| serde_json::from_value(field.into())).transpose();
        let on_sale = request.query("on_sale").map(|on_sale| on_sale.parse()).transpose();
        Ok(Self {
            q: request.query("q").map(|q| q.to_lowercase()),
            field: field.map_err(|_| bad("field is concert, musical, theatre, exhibition, sports or space."))?,
            on_sale: on_sale.map_err(|_| bad("on_sale is true or false."))?,
        })
    }

    /// Cheapest first: the list is everybody's to ask for, and most of it is passed over.
    fn matches(&self, context: &Context, show: &registry::Show) -> bool {
        let ShowDetails { title, venue, cast, field, .. } = &show.details;
        let mut texts = [title, venue].into_iter().chain(cast);
        self.field.is_none_or(|wanted| wanted == to_api(*field))
            && self.q.as_ref().is_none_or(|q| texts.any(|text| text.to_lowercase().contains(q)))
            && self.on_sale.is_none_or(|wanted| wanted == on_sale(context, show))
    }
}

/// Read a show
#[utoipa::path(get, path = "/v1/shows/{show}", tag = "Shows", params(("show" = String, Path)),
    responses((status = 200, body = Show), (status = 404, description = "`not-found`")))]
pub(crate) fn read(request: &Request<'_>) -> Result<Answer, Problem> {
    let show = request.context.directory.show(request.id(2)?)?;
    Ok(Answer::json(StatusCode::OK, &body(request.context, &show)))
}

/// Change a show
#[utoipa::path(patch, path = "/v1/shows/{show}", tag = "Shows", params(("show" = String, Path)),
    request_body = ShowPatch, security(("token" = [])), responses((status = 200, body = Show)))]
pub(crate) async fn change(request: &Request<'_>) -> Result<Answer, Problem> {
    let show: ShowId = request.id(2)?;
    let caller = request.caller_for(show, registry::Duty::Manage, &SELLERS)?;
    let patch: ShowPatch = request.json()?;
    let _alone = request.context.changing(show.0).await;
    let mut tries = 1;
    loop {
        let known = request.context.directory.show(show)?;
        let (patch, before) = (patch.clone(), body(request.context, &known));
        let details = details(ShowDraft {
            title: patch.title.unwrap_or(before.title),
            field: patch.field.unwrap_or(before.field),
            cast: patch.cast.unwrap_or(before.cast),
            venue: patch.venue.unwrap_or(before.venue),
            description: patch.description.unwrap_or(before.description),
            poster_url: patch.poster_url.unwrap_or(before.poster_url),
        })?;
        let based_on = Some(Box::new(known.details.clone()));
        let command = RegistryCommand::ChangeShow { show, caller, based_on, details };
        match request.context.directory.register(command, None).await {
            // Over another edge; what is said now came with the answer.
            Err(problem) if problem.kind == Kind::ChangedMeanwhile && tries < MERGES_MAX => tries += 1,
            changed => {
                changed?;
                break;
            }
        }
    }
    Ok(Answer::json(StatusCode::OK, &body(request.context, &*request.context.directory.show(show)?)))
}

pub(crate) fn details(draft: ShowDraft) -> Result<ShowDetails, Problem> {
    let mut errors = Vec::new();
    let mut check = |holds: bool, pointer: &str, detail: &str| {
        if !holds {
            errors.push(FieldError { pointer: pointer.to_owned(), detail: detail.to_owned() });
        }
    };
    let shorter = |text: &str, max: usize| text.chars().count() <= max;
    let line = |text: &str| shorter(text, 200) && !text.chars().any(char::is_control);
    check(!draft.title.trim().is_empty() && line(&draft.title), "/title", "one line of 1 to 200 characters");
    let cast = draft.cast.len() <= 100 && draft.cast.iter().all(|name| line(name));
    check(cast, "/cast", "at most 100 names, each one line of at most 200 characters");
    check(line(&draft.venue), "/venue", "one line of at most 200 characters");
    check(shorter(&draft.description, 8000), "/description", "at most 8000 characters");
    let poster = draft.poster_url.as_ref().is_none_or(|url| url.starts_with("https://") && shorter(url, 1000));
    check(poster, "/poster_url", "an https: URL of at most 1000 characters");
    if !errors.is_empty() {
        return Err(Problem::new(Kind::InvalidBody).errors(errors));
    }
    Ok(ShowDetails {
        title: draft.title.into_boxed_str(),
        field: to_engine(draft.field),
        cast: draft.cast.into_iter().map(String::into_boxed_str).collect(),
        venue: draft.venue.into_boxed_str(),
        description: draft.description.into_boxed_str(),
        poster_url: draft.poster_url.map(String::into_boxed_str),
    })
}

/// Whether any of its performances is.
fn on_sale(context: &Context, show: &registry::Show) -> bool {
    let now = context.now();
    show.performances.iter().any(|id| {
        context.directory.performance(*id).is_ok_and(|performance| performance.publication.rules().on_sale(now))
    })
}

fn body(context: &Context, show: &registry::Show) -> Show {
    let details = &show.details;
    Show {
        id: Text(show.id),
        seller: Text(show.seller),
        title: details.title.to_string(),
        field: to_api(details.field),
        cast: details.cast.iter().map(|name| name.to_string()).collect(),
        venue: details.venue.to_string(),
        description: details.description.to_string(),
        poster_url: details.poster_url.as_deref().map(str::to_owned),
        created_at: Time(show.created_at),
        on_sale: on_sale(context, show),
        your_role: None,
        performances: show.performances.iter().copied().map(Text).collect(),
    }
}

fn to_engine(field: Field) -> registry::Field {
    match field {
        Field::Concert => registry::Field::Concert,
        Field::Musical => registry::Field::Musical,
        Field::Theatre => registry::Field::Theatre,
        Field::Exhibition => registry::Field::Exhibition,
        Field::Sports => registry::Field::Sports,
        Field::Space => registry::Field::Space,
    }
}

fn to_api(field: registry::Field) -> Field {
    match field {
        registry::Field::Concert => Field::Concert,
        registry::Field::Musical => Field::Musical,
        registry::Field::Theatre => Field::Theatre,
        registry::Field::Exhibition => Field::Exhibition,
        registry::Field::Sports => Field::Sports,
        registry::Field::Space => Field::Space,
    }
}
