//! The route table, and what happens to every request on its way to a handler.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Instant;

use hyper::Method;
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use onrush_api::problem::{Kind, Problem};
use onrush_engine::journal::Durability;

use crate::answer::{Answer, HttpResponse};
use crate::config::Config;
use crate::context::Context;
use crate::request::{Request, check_head, read_body, segments};
use crate::routes::{
    accounts, availability, blocks, bookings, catalogue, deployments, document, guests, holds, incidents, members,
    operating, payments, performances, selling, shows, tickets, watching, wishes,
};
use crate::shed::Priority;

/// What is served on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Everything: there is one listener.
    Everything,
    /// The API and its pages.
    Public,
    /// Health and metrics.
    Operations,
}

/// Who may call a route at all; the handler and the engine look closer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Everybody,
    Token,
}

macro_rules! routes {
    ($($route:ident $method:ident $path:literal $access:ident $priority:ident $body:ident $name:literal)*) => {
        /// Every route, one line each in the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Route {
            $($route,)*
            /// No route at all.
            Unknown,
        }

        impl Route {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$route,)* Self::Unknown];

            /// Its label in metrics.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$route => $name,)* Self::Unknown => "unknown" }
            }

            fn access(self) -> Access {
                match self { $(Self::$route => Access::$access,)* Self::Unknown => Access::Everybody }
            }

            fn priority(self) -> Priority {
                match self { $(Self::$route => Priority::$priority,)* Self::Unknown => Priority::Read }
            }

            fn body_len_max(self) -> usize {
                match self { $(Self::$route => Config::$body,)* Self::Unknown => 0 }
            }
        }

        /// The method and path of every route; `*` stands for one segment.
        pub(crate) const TABLE: &[(Route, Method, &str)] = &[$((Route::$route, Method::$method, $path),)*];
    };
}

routes! {
    CreateShow         POST   "/v1/shows"                          Token     New   BODY_LEN_MAX       "create_show"
    ListShows          GET    "/v1/shows"                          Everybody Read  BODY_LEN_MAX       "list_shows"
    ReadShow           GET    "/v1/shows/*"                        Everybody Read  BODY_LEN_MAX       "read_show"
    ChangeShow         PATCH  "/v1/shows/*"                        Token     New   BODY_LEN_MAX       "change_show"
    ListMembers        GET    "/v1/shows/*/members"                Token     Read  BODY_LEN_MAX       "list_members"
    InviteMember       POST   "/v1/shows/*/members"                Token     New   BODY_LEN_MAX       "invite_member"
    RemoveMember       DELETE "/v1/shows/*/members/*"              Token     Begun BODY_LEN_MAX       "remove_member"
    AddPerformance     POST   "/v1/shows/*/performances"           Token     New   LARGE_BODY_LEN_MAX "add_performance"
    ReadPerformance    GET    "/v1/performances/*"                 Everybody Read  BODY_LEN_MAX       "read_performance"
    ChangePerformance  PATCH  "/v1/performances/*"                 Token     New   BODY_LEN_MAX       "change_performance"
    CancelPerformance  POST   "/v1/performances/*/cancel"          Token     Begun BODY_LEN_MAX       "cancel_performance"
    ReadSeatMap        GET    "/v1/performances/*/seat-map"        Everybody Read  BODY_LEN_MAX       "read_seat_map"
    ReadAvailability   GET    "/v1/performances/*/availability"    Everybody Read  BODY_LEN_MAX       "read_availability"
    StreamAvailability GET    "/v1/performances/*/availability/stream" Everybody Read BODY_LEN_MAX    "stream_availability"
    HoldSeats          POST   "/v1/performances/*/holds"           Token     New   BODY_LEN_MAX       "hold_seats"
    MakeWish           POST   "/v1/performances/*/wishes"          Token     New   BODY_LEN_MAX       "make_wish"
    ListSold           GET    "/v1/performances/*/bookings"        Token     Read  BODY_LEN_MAX       "list_sold"
    ReadSales          GET    "/v1/performances/*/sales"           Token     Read  BODY_LEN_MAX       "read_sales"
    BlockSeats         POST   "/v1/performances/*/blocks"          Token     New   LARGE_BODY_LEN_MAX "block_seats"
    LiftBlock          DELETE "/v1/performances/*/blocks/*"        Token     Begun BODY_LEN_MAX       "lift_block"
    ReadHold           GET    "/v1/holds/*"                        Token     Read  BODY_LEN_MAX       "read_hold"
    ReleaseHold        DELETE "/v1/holds/*"                        Token     Begun BODY_LEN_MAX       "release_hold"
    BookHold           POST   "/v1/bookings"                       Token     Begun BODY_LEN_MAX       "book_hold"
    ListBookings       GET    "/v1/bookings"                       Token     Read  BODY_LEN_MAX       "list_bookings"
    ReadBooking        GET    "/v1/bookings/*"                     Token     Read  BODY_LEN_MAX       "read_booking"
    CancelBooking      POST   "/v1/bookings/*/cancel"              Token     Begun BODY_LEN_MAX       "cancel_booking"
    ApproveBooking     POST   "/v1/bookings/*/approve"             Token     Begun BODY_LEN_MAX       "approve_booking"
    RejectBooking      POST   "/v1/bookings/*/reject"              Token     Begun BODY_LEN_MAX       "reject_booking"
    ReadDocument       GET    "/v1/bookings/*/document"            Token     Read  BODY_LEN_MAX       "booking_document"
    ReturnGuest        POST   "/v1/bookings/*/guest"               Everybody New   BODY_LEN_MAX       "return_guest"
    ListTickets        GET    "/v1/tickets"                        Token     Read  BODY_LEN_MAX       "list_tickets"
    ReadTicketKeys     GET    "/v1/tickets/keys"                   Everybody Read  BODY_LEN_MAX       "ticket_keys"
    ReadTicket         GET    "/v1/tickets/*"                      Token     Read  BODY_LEN_MAX       "read_ticket"
    ReadTicketQr       GET    "/v1/tickets/*/qr.svg"               Token     Read  BODY_LEN_MAX       "ticket_qr"
    TransferTicket     POST   "/v1/tickets/*/transfer"             Token     Begun BODY_LEN_MAX       "transfer_ticket"
    CheckIn            POST   "/v1/tickets/*/check-in"             Token     Begun BODY_LEN_MAX       "check_in"
    ScanTicket         POST   "/v1/check-ins"                      Token     Begun BODY_LEN_MAX       "scan_ticket"
    NotePayment        POST   "/v1/payments/webhook"               Everybody Begun BODY_LEN_MAX       "payment_webhook"
    SignUp             POST   "/v1/accounts"                       Everybody New   BODY_LEN_MAX       "sign_up"
    ReadAccount        GET    "/v1/accounts/me"                    Token     Read  BODY_LEN_MAX       "read_account"
    ChangeAccount      PATCH  "/v1/accounts/me"                    Token     New   BODY_LEN_MAX       "change_account"
    CloseAccount       DELETE "/v1/accounts/me"                    Token     Begun BODY_LEN_MAX       "close_account"
    ListOwnShows       GET    "/v1/accounts/me/shows"              Token     Read  BODY_LEN_MAX       "own_shows"
    MakeKey            POST   "/v1/accounts/me/api-keys"           Token     New   BODY_LEN_MAX       "make_key"
    ListKeys           GET    "/v1/accounts/me/api-keys"           Token     Read  BODY_LEN_MAX       "list_keys"
    RevokeKey          DELETE "/v1/accounts/me/api-keys/*"         Token     Begun BODY_LEN_MAX       "revoke_key"
    SignIn             POST   "/v1/sessions"                       Everybody New   BODY_LEN_MAX       "sign_in"
    RefreshSession     POST   "/v1/sessions/refresh"               Everybody Begun BODY_LEN_MAX       "refresh_session"
    SignOut            DELETE "/v1/sessions/current"               Token     Begun BODY_LEN_MAX       "sign_out"
    ListImages         GET    "/v1/images"                         Token     Read  BODY_LEN_MAX       "list_images"
    RegisterImage      POST   "/v1/images"                         Token     New   BODY_LEN_MAX       "register_image"
    ReadImage          GET    "/v1/images/*"                       Token     Read  BODY_LEN_MAX       "read_image"
    DeleteImage        DELETE "/v1/images/*"                       Token     Begun BODY_LEN_MAX       "delete_image"
    ListTemplates      GET    "/v1/templates"                      Everybody Read  BODY_LEN_MAX       "list_templates"
    ReadTemplate       GET    "/v1/templates/*"                    Everybody Read  BODY_LEN_MAX       "read_template"
    MakeTemplate       POST   "/v1/templates"                      Token     New   BODY_LEN_MAX       "make_template"
    PutTemplate        PUT    "/v1/templates/*"                    Token     New   BODY_LEN_MAX       "put_template"
    DeleteTemplate     DELETE "/v1/templates/*"                    Token     Begun BODY_LEN_MAX       "delete_template"
    Deploy             POST   "/v1/deployments"                    Token     New   BODY_LEN_MAX       "deploy"
    ListDeployments    GET    "/v1/deployments"                    Token     Read  BODY_LEN_MAX       "list_deployments"
    ReadDeployment     GET    "/v1/deployments/*"                  Token     Read  BODY_LEN_MAX       "read_deployment"
    ChangeDeployment   PUT    "/v1/deployments/*"                  Token     New   BODY_LEN_MAX       "change_deployment"
    DeleteDeployment   DELETE "/v1/deployments/*"                  Token     Begun BODY_LEN_MAX       "delete_deployment"
    ScaleDeployment    POST   "/v1/deployments/*/scale"            Token     New   BODY_LEN_MAX       "scale_deployment"
    RenderTemplate     POST   "/v1/templates/*/render"             Token     Read  BODY_LEN_MAX       "render_template"
    ReadUsage          GET    "/v1/deployments/*/usage"            Token     Read  BODY_LEN_MAX       "read_usage"
    ReadCosts          GET    "/v1/deployments/*/costs"            Token     Read  BODY_LEN_MAX       "read_costs"
    ReadPolicies       GET    "/v1/deployments/*/policies"         Token     Read  BODY_LEN_MAX       "read_policies"
    PutPolicies        PUT    "/v1/deployments/*/policies"         Token     New   BODY_LEN_MAX       "put_policies"
    ListNodes          GET    "/v1/nodes"                          Token     Read  BODY_LEN_MAX       "list_nodes"
    ListAnomalies      GET    "/v1/anomalies"                      Token     Read  BODY_LEN_MAX       "list_anomalies"
    ListIncidents      GET    "/v1/incidents"                      Token     Read  BODY_LEN_MAX       "list_incidents"
    OpenIncident       POST   "/v1/incidents"                      Token     New   BODY_LEN_MAX       "open_incident"
    SumUpIncidents     GET    "/v1/incidents/summary"              Token     Read  BODY_LEN_MAX       "sum_up_incidents"
    ReadIncident       GET    "/v1/incidents/*"                    Token     Read  BODY_LEN_MAX       "read_incident"
    ChangeIncident     PATCH  "/v1/incidents/*"                    Token     New   BODY_LEN_MAX       "change_incident"
    MakeDeploymentToken POST  "/v1/deployments/*/token"            Token     New   BODY_LEN_MAX       "deployment_token"
    RelocateDeployment POST   "/v1/deployments/*/relocate"         Token     New   BODY_LEN_MAX       "relocate_deployment"
    OpenApi            GET    "/openapi.json"                      Everybody Read  BODY_LEN_MAX       "openapi"
    Docs               GET    "/docs"                              Everybody Read  BODY_LEN_MAX       "docs"
    Root               GET    "/"                                  Everybody Read  BODY_LEN_MAX       "root"
    ReadProblem        GET    "/problems/*"                        Everybody Read  BODY_LEN_MAX       "problem_page"
    Health             GET    "/healthz"                           Everybody Probe BODY_LEN_MAX       "healthz"
    Ready              GET    "/readyz"                            Everybody Probe BODY_LEN_MAX       "readyz"
    ReadMetrics        GET    "/metrics"                           Everybody Probe BODY_LEN_MAX       "metrics"
}

impl Route {
    fn is_on(self, surface: Surface) -> bool {
        let operations = matches!(self, Self::Health | Self::Ready | Self::ReadMetrics);
        match surface {
            Surface::Everything => true,
            Surface::Public => !operations,
            Surface::Operations => operations,
        }
    }

    async fn handle(self, request: &Request<'_>) -> Result<Answer, Problem> {
        match self {
            Self::CreateShow => shows::create(request).await,
            Self::ListShows => shows::list(request),
            Self::ListOwnShows => shows::own(request),
            Self::ReadShow => shows::read(request),
            Self::ChangeShow => shows::change(request).await,
            Self::ListMembers => members::list(request),
            Self::InviteMember => members::invite(request).await,
            Self::RemoveMember => members::remove(request).await,
            Self::AddPerformance => performances::add(request).await,
            Self::ReadPerformance => performances::read(request),
            Self::ChangePerformance => performances::change(request).await,
            Self::CancelPerformance => performances::cancel(request).await,
            Self::ReadSeatMap => performances::seat_map(request),
            Self::ReadAvailability => availability::read(request),
            Self::StreamAvailability => availability::stream(request),
            Self::HoldSeats => holds::hold(request).await,
            Self::MakeWish => wishes::make(request),
            Self::ReadHold => holds::read(request).await,
            Self::ReleaseHold => holds::release(request).await,
            Self::BookHold => bookings::book(request).await,
            Self::ListBookings => bookings::list(request).await,
            Self::ReadBooking => bookings::read(request).await,
            Self::CancelBooking => bookings::cancel(request).await,
            Self::ApproveBooking => bookings::approve(request).await,
            Self::RejectBooking => bookings::reject(request).await,
            Self::ReadDocument => document::read(request).await,
            Self::ReturnGuest => guests::come_back(request).await,
            Self::ListTickets => tickets::list(request).await,
            Self::ReadTicketKeys => Ok(tickets::keys(request)),
            Self::ReadTicket => tickets::read(request).await,
            Self::ReadTicketQr => tickets::qr(request).await,
            Self::TransferTicket => tickets::transfer(request).await,
            Self::CheckIn => tickets::check_in(request).await,
            Self::ScanTicket => tickets::scan(request).await,
            Self::NotePayment => payments::notice(request).await,
            Self::ListSold => selling::list_sold(request).await,
            Self::ReadSales => selling::sales(request).await,
            Self::BlockSeats => blocks::block(request).await,
            Self::LiftBlock => blocks::lift(request).await,
            Self::SignUp => accounts::sign_up(request).await,
            Self::ReadAccount => accounts::read(request).await,
            Self::ChangeAccount => accounts::change(request).await,
            Self::CloseAccount => accounts::close(request).await,
            Self::MakeKey => accounts::make_key(request).await,
            Self::ListKeys => accounts::list_keys(request).await,
            Self::RevokeKey => accounts::revoke_key(request).await,
            Self::SignIn => accounts::sign_in(request).await,
            Self::RefreshSession => accounts::refresh(request).await,
            Self::SignOut => accounts::sign_out(request).await,
            Self::ListImages => catalogue::images(request).await,
            Self::RegisterImage => catalogue::register(request).await,
            Self::ReadImage => catalogue::image(request).await,
            Self::DeleteImage => catalogue::delete_image(request).await,
            Self::ListTemplates => catalogue::templates(request).await,
            Self::ReadTemplate => catalogue::template(request).await,
            Self::MakeTemplate => catalogue::make_template(request).await,
            Self::PutTemplate => catalogue::put_template(request).await,
            Self::DeleteTemplate => catalogue::delete_template(request).await,
            Self::Deploy => deployments::deploy(request).await,
            Self::ListDeployments => deployments::list(request).await,
            Self::ReadDeployment => deployments::read(request).await,
            Self::ChangeDeployment => deployments::change(request).await,
            Self::DeleteDeployment => deployments::delete(request).await,
            Self::ScaleDeployment => deployments::scale(request).await,
            Self::MakeDeploymentToken => deployments::token(request).await,
            Self::RelocateDeployment => deployments::relocate(request).await,
            Self::RenderTemplate => catalogue::render(request).await,
            Self::ReadUsage => watching::usage(request).await,
            Self::ReadCosts => watching::costs(request).await,
            Self::ReadPolicies => watching::policies(request).await,
            Self::PutPolicies => watching::put_policies(request).await,
            Self::ListNodes => watching::nodes(request).await,
            Self::ListAnomalies => watching::anomalies(request).await,
            Self::ListIncidents => incidents::list(request).await,
            Self::OpenIncident => incidents::open(request).await,
            Self::SumUpIncidents => incidents::summary(request).await,
            Self::ReadIncident => incidents::read(request).await,
            Self::ChangeIncident => incidents::change(request).await,
            Self::OpenApi => Ok(operating::openapi(request)),
            Self::Docs => Ok(operating::docs(request)),
            Self::Root => Ok(operating::root()),
            Self::ReadProblem => operating::problem(request),
            Self::Health => Ok(operating::health()),
            Self::Ready => operating::ready(request),
            Self::ReadMetrics => Ok(operating::metrics(request).await),
            Self::Unknown => Err(Problem::new(Kind::NotFound)),
        }
    }
}

/// A line of the table with its path cut into segments, once.
struct Line {
    route: Route,
    method: Method,
    segments: [&'static str; 6],
    count: usize,
}

static LINES: LazyLock<Vec<Line>> = LazyLock::new(|| {
    let line = |(route, method, path): &(Route, Method, &'static str)| {
        let (segments, count) = segments(path);
        Line { route: *route, method: method.clone(), segments, count }
    };
    TABLE.iter().map(line).collect()
});

impl Line {
    fn matches(&self, given: &[&str]) -> bool {
        let same = |(want, have): (&&str, &&str)| want == have || (*want == "*" && !have.is_empty());
        self.count == given.len() && self.segments.iter().zip(given).all(same)
    }
}

/// The route of a request, or the methods that its path has instead.
pub(crate) fn find(method: &Method, path: &str) -> Result<Route, Vec<&'static Method>> {
    let (given, count) = segments(path);
    let Some(given) = given.get(..count) else { return Err(Vec::new()) };
    // hyper leaves the body out of an answer to HEAD (RFC 9110, section 9.3.2).
    let method = if method == Method::HEAD { &Method::GET } else { method };
    // The first path that matches is what is asked for: a later one may match, too, with `*` for a word.
    let Some(first) = LINES.iter().find(|line| line.matches(given)) else { return Err(Vec::new()) };
    let mut methods = Vec::new();
    for line in LINES.iter().filter(|line| line.segments == first.segments) {
        if line.method == *method {
            return Ok(line.route);
        }
        methods.push(&line.method);
    }
    Err(methods)
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const DURABILITY: HeaderName = HeaderName::from_static("onrush-durability");

/// Answers a request, whatever it is.
pub(crate) async fn respond(
    context: &Context,
    surface: Surface,
    peer: IpAddr,
    request: hyper::Request<Incoming>,
) -> HttpResponse {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let found = find(&parts.method, parts.uri.path());
    let found = found.and_then(|route| if route.is_on(surface) { Ok(route) } else { Err(Vec::new()) });
    let outcome = match (check_head(&parts), &found) {
        (Err(problem), _) => Ok(Answer::problem(&problem).last(parts.version)),
        (Ok(()), Ok(route)) => run(context, *route, peer, &parts, body).await,
        (Ok(()), Err(methods)) if methods.is_empty() => Err(Problem::new(Kind::NotFound)),
        (Ok(()), Err(methods)) => Ok(method_not_allowed(methods)),
    };
    let route = found.unwrap_or(Route::Unknown);
    let answer = outcome.unwrap_or_else(|problem| Answer::problem(&problem));
    let id = request_id(&parts);
    let mut response = answer.with(X_REQUEST_ID, id.clone()).into_response();
    if context.directory.durability() == Durability::Relaxed {
        response.headers_mut().insert(DURABILITY, HeaderValue::from_static("relaxed"));
    }
    let status = response.status();
    context.metrics.answered(route, status.as_u16(), begun.elapsed());
    if status.is_server_error() {
        tracing::warn!(route = route.name(), status = status.as_u16(), request_id = ?id, "a request failed");
    } else {
        tracing::debug!(route = route.name(), status = status.as_u16(), request_id = ?id, "answered");
    }
    response
}

async fn run(
    context: &Context,
    route: Route,
    peer: IpAddr,
    parts: &hyper::http::request::Parts,
    body: Incoming,
) -> Result<Answer, Problem> {
    let _admitted = context.in_flight.admit(route.priority())?;
    let caller = match route.access() {
        Access::Everybody => None,
        Access::Token => Some(context.tokens.caller(&parts.headers, context.now())?),
    };
    let Config { body_read_timeout, request_timeout, .. } = context.config;
    let deadline = tokio::time::Instant::now() + request_timeout;
    let body_timeout = body_read_timeout.min(request_timeout);
    let body = read_body(&parts.headers, body, route.body_len_max(), body_timeout).await?;
    let request = Request { context, parts, caller, body, peer };
    let answered = tokio::time::timeout_at(deadline, route.handle(&request)).await;
    answered.unwrap_or_else(|_| Err(Problem::new(Kind::OutcomeUnknown).retry_after(1)))
}

fn method_not_allowed(methods: &[&Method]) -> Answer {
    let names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    Answer::problem(&Problem::new(Kind::MethodNotAllowed)).allow(&names.join(", "))
}

/// The client's own id, where it is one; else one of ours.
fn request_id(parts: &hyper::http::request::Parts) -> HeaderValue {
    let given = parts
        .headers
        .get(X_REQUEST_ID)
        .filter(|id| (1..=128).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic));
    given.cloned().unwrap_or_else(|| {
        HeaderValue::try_from(format!("{:016x}", rand::random::<u64>())).expect("hex digits are a header")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_by_its_own_line() {
        for (route, method, pattern) in TABLE {
            let path = pattern.replace('*', "x");
            assert_eq!(find(method, &path), Ok(*route), "{method} {path}");
        }
    }

    #[test]
    fn whoever_may_get_may_ask_for_the_head() {
        assert_eq!(find(&Method::HEAD, "/healthz"), Ok(Route::Health));
        assert_eq!(find(&Method::HEAD, "/v1/bookings/x/cancel"), Err(vec![&Method::POST]));
    }

    #[test]
    fn another_path_or_method_is_not_found() {
        assert_eq!(find(&Method::GET, "/v1/show"), Err(vec![]));
        assert_eq!(find(&Method::GET, "/v1/shows/"), Err(vec![]), "an empty segment is no id");
        assert_eq!(find(&Method::PUT, "/v1/shows"), Err(vec![&Method::POST, &Method::GET]));
        assert_eq!(find(&Method::TRACE, "/healthz"), Err(vec![&Method::GET]));
        assert_eq!(find(&Method::PATCH, "/v1/incidents/summary"), Err(vec![&Method::GET]), "a word is no id");
        assert_eq!(find(&Method::PATCH, "/v1/incidents/inc_1"), Ok(Route::ChangeIncident));
        assert_eq!(find(&Method::GET, "/v1/performances/x/blocks/y/z/w"), Err(vec![]));
    }
}
