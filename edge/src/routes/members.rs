//! Members of a show: whom its seller lets do what.

use hyper::StatusCode;
use onrush_api::page::Page;
use onrush_api::problem::{Kind, Problem};
use onrush_api::shows::{Member, MemberRole};
use onrush_api::text::Text;
use onrush_api::token::Role;
use onrush_engine::id::{AccountId, ShowId};
use onrush_engine::registry::{Duty, RegistryCommand};

use crate::answer::Answer;
use crate::auth::SELLERS;
use crate::request::Request;
use crate::routes::accounts;

/// List a show's members
///
/// For its seller.
#[utoipa::path(get, path = "/v1/shows/{show}/members", tag = "Shows", params(("show" = String, Path)),
    security(("token" = [])), responses((status = 200, body = Page<Member>)))]
pub(crate) fn list(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&SELLERS)?;
    let show = request.context.directory.show(request.id(2)?)?;
    if !show.belongs_to(caller) {
        return Err(Problem::new(Kind::NotFound).detail("You have no such show."));
    }
    let items = show.members.iter().map(|(account, duty)| Member { account: Text(*account), role: role(*duty) });
    Ok(Answer::json(StatusCode::OK, &Page { items: items.collect(), next_cursor: None }))
}

/// Invite a member
///
/// An account with the seller's role: `manage` may do all that you may but invite, `door` lets people in, `view` sees who
/// booked and how it sells. Said again with another role, that one holds.
#[utoipa::path(post, path = "/v1/shows/{show}/members", tag = "Shows", params(("show" = String, Path)),
    request_body = Member, security(("token" = [])),
    responses((status = 201, body = Member), (status = 403, description = "`limit-exceeded`")))]
pub(crate) async fn invite(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&SELLERS)?;
    let show: ShowId = request.id(2)?;
    let member: Member = request.json()?;
    if member.account.0 == caller.account {
        return Err(Problem::field("/account", "this is your own account, which may do all of that"));
    }
    accounts::check_is(request, member.account.0, Role::Seller, "/account").await?;
    let duty = Some(duty(member.role));
    let command = RegistryCommand::SetMember { show, caller, member: member.account.0, duty };
    request.context.directory.register(command, None).await?;
    Ok(Answer::json(StatusCode::CREATED, &member))
}

/// Remove a member
///
/// 204 also where there is none.
#[utoipa::path(delete, path = "/v1/shows/{show}/members/{account}", tag = "Shows",
    params(("show" = String, Path), ("account" = String, Path)), security(("token" = [])), responses((status = 204)))]
pub(crate) async fn remove(request: &Request<'_>) -> Result<Answer, Problem> {
    let caller = request.caller_as(&SELLERS)?;
    let show: ShowId = request.id(2)?;
    let member: AccountId = request.account(4)?;
    let command = RegistryCommand::SetMember { show, caller, member, duty: None };
    request.context.directory.register(command, None).await?;
    Ok(Answer::done())
}

pub(crate) fn role(duty: Duty) -> MemberRole {
    match duty {
        Duty::Manage => MemberRole::Manage,
        Duty::Door => MemberRole::Door,
        Duty::View => MemberRole::View,
    }
}

fn duty(role: MemberRole) -> Duty {
    match role {
        MemberRole::Manage => Duty::Manage,
        MemberRole::Door => Duty::Door,
        MemberRole::View => Duty::View,
    }
}
