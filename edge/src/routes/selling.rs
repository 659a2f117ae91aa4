//! Selling: who booked, and how a performance sells; as JSON, and as CSV for a spreadsheet.

use std::collections::BTreeMap;

use hyper::StatusCode;
use onrush_api::bookings::{Booking, BookingStatus};
use onrush_api::page::{Cursor, Page};
use onrush_api::problem::{Kind, Problem};
use onrush_api::selling::{BookingCounts, MoneyCounts, Sales, SalesRow};
use onrush_api::text::{Text, Time};
use onrush_engine::client::Performance;
use onrush_engine::command::Caller;
use onrush_engine::event::Standing;
use onrush_engine::feed::Publication;
use onrush_engine::id::PerformanceId;
use onrush_engine::inventory::{Answer as EngineAnswer, BookingView, Stage};
use onrush_engine::mailbox::Ask;
use onrush_engine::money::Money;
use onrush_engine::registry::Duty;
use onrush_engine::seat_map::SeatIndex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::answer::Answer;
use crate::apart::apart;
use crate::auth::SELLERS;
use crate::context::Context;
use crate::request::Request;
use crate::routes::{bookings, guests};

/// Bookings that the engine is asked for in one go: not so many that others wait for it.
const AT_ONCE: u32 = 500;

/// List who booked
///
/// For the performance's seller; oldest first. `format=csv` answers with all of them, for a spreadsheet.
#[utoipa::path(get, path = "/v1/performances/{performance}/bookings", tag = "Selling", security(("token" = [])),
    params(("performance" = String, Path), ("status" = Option<BookingStatus>, Query), ("buyer" = Option<String>, Query),
           ("format" = Option<String>, Query, description = "`csv`, or left out"),
           ("limit" = Option<u32>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<Booking>)))]
pub(crate) async fn list_sold(request: &Request<'_>) -> Result<Answer, Problem> {
    let performance = request.context.directory.performance(request.id(2)?)?;
    let caller = request.caller_for(performance.publication.show, Duty::View, &SELLERS)?;
    let wanted = Wanted::of(request)?;
    if is_csv(request)? {
        let (views, _place) = all(request.context, &performance, caller).await?;
        let bodies = move || {
            let bookings = views.iter().map(|view| bookings::body(&performance.publication, view));
            bookings.filter(|booking| wanted.has(booking)).collect()
        };
        let mut bookings: Vec<Booking> = apart(bodies).await?;
        guests::name(request, &mut bookings).await;
        return apart(move || csv("bookings", BOOKING_COLUMNS, bookings.into_iter().map(booking_row))).await;
    }
    let page = request.page()?;
    let at_once = wanted.at_once(page.limit);
    let mut from = u32::try_from(page.cursor.0).unwrap_or(u32::MAX);
    let mut items = Vec::new();
    loop {
        let (views, total) = some(request.context, &performance, caller, from..from.saturating_add(at_once)).await?;
        for view in &views {
            if items.len() == page.limit {
                return Ok(page_of(request, items, Some(Cursor(u64::from(from)))).await);
            }
            items.extend(Some(bookings::body(&performance.publication, view)).filter(|booking| wanted.has(booking)));
            from += 1;
        }
        if from >= total || views.is_empty() {
            return Ok(page_of(request, items, None).await);
        }
    }
}

async fn page_of(request: &Request<'_>, mut items: Vec<Booking>, next: Option<Cursor>) -> Answer {
    guests::name(request, &mut items).await;
    Answer::json(StatusCode::OK, &Page { items, next_cursor: next.map(|next| next.to_string()) })
}

/// Which bookings are asked for.
struct Wanted {
    status: Option<BookingStatus>,
    buyer: Option<String>,
}

impl Wanted {
    fn of(request: &Request<'_>) -> Result<Self, Problem> {
        let status = request.query("status").map(|status| {
            let known = serde_json::from_value(serde_json::Value::String(status));
            known.map_err(|error| Problem::new(Kind::BadRequest).detail(format!("status: {error}.")))
        });
        Ok(Self { status: status.transpose()?, buyer: request.query("buyer") })
    }

    /// Bookings to ask the engine for in one go: one beyond the page tells whether there is a next one; what a filter lets
    /// through is not known before.
    fn at_once(&self, limit: usize) -> u32 {
        match self {
            Self { status: None, buyer: None } => limit as u32 + 1,
            _ => AT_ONCE,
        }
    }

    fn has(&self, booking: &Booking) -> bool {
        self.status.is_none_or(|status| status == booking.status)
            && self.buyer.as_ref().is_none_or(|buyer| *buyer == booking.buyer.0.to_string())
    }
}

/// Whether CSV is asked for.
fn is_csv(request: &Request<'_>) -> Result<bool, Problem> {
    match request.query("format").as_deref() {
        None | Some("json") => Ok(false),
        Some("csv") => Ok(true),
        Some(_) => Err(Problem::new(Kind::BadRequest).detail("format is csv or json.")),
    }
}

/// Read how a performance sells
///
/// By `day` (the default), `hour`, `tier` or `section`; `format=csv` answers with the rows alone.
#[utoipa::path(get, path = "/v1/performances/{performance}/sales", tag = "Selling", security(("token" = [])),
    params(("performance" = String, Path), ("by" = Option<String>, Query, description = "`day`, `hour`, `tier`, `section`"),
           ("format" = Option<String>, Query, description = "`csv`, or left out")),
    responses((status = 200, body = Sales)))]
pub(crate) async fn sales(request: &Request<'_>) -> Result<Answer, Problem> {
    let id: PerformanceId = request.id(2)?;
    let performance = request.context.directory.performance(id)?;
    let caller = request.caller_for(performance.publication.show, Duty::View, &SELLERS)?;
    let by = By::of(request)?;
    let in_csv = is_csv(request)?;
    let (views, _place) = all(request.context, &performance, caller).await?;
    let as_of = Time(request.context.now());
    apart(move || {
        let sales = count(&performance.publication, &views, by, as_of);
        match in_csv {
            true => csv("sales", SALES_COLUMNS, sales.rows.into_iter().map(sales_row)),
            false => Answer::json(StatusCode::OK, &sales),
        }
    })
    .await
}

/// What sold seats are counted by.
#[derive(Debug, Clone, Copy)]
enum By {
    Day,
    Hour,
    Tier,
    Section,
}

impl By {
    fn of(request: &Request<'_>) -> Result<Self, Problem> {
        match request.query("by").as_deref() {
            None | Some("day") => Ok(Self::Day),
            Some("hour") => Ok(Self::Hour),
            Some("tier") => Ok(Self::Tier),
            Some("section") => Ok(Self::Section),
            Some(_) => Err(Problem::new(Kind::BadRequest).detail("by is day, hour, tier or section.")),
        }
    }

    fn key(self, publication: &Publication, view: &BookingView, seat: SeatIndex) -> String {
        let map = &publication.map;
        match self {
            Self::Day => Time(view.created_at).to_string()[..10].to_owned(),
            Self::Hour => Time(view.created_at).to_string()[..13].to_owned(),
            Self::Tier => publication.tiers[usize::from(map.tier_of(seat).0)].to_string(),
            Self::Section => map.plan().sections[usize::from(map.section_of(seat).0)].name.to_string(),
        }
    }
}

async fn some(
    context: &Context,
    performance: &Performance,
    caller: Caller,
    numbers: std::ops::Range<u32>,
) -> Result<(Vec<BookingView>, u32), Problem> {
    let answered = context.directory.ask(performance, Ask::Bookings(caller, numbers)).await?;
    let EngineAnswer::Bookings(views, total) = answered.answer else { return Err(Problem::new(Kind::Internal)) };
    Ok((views, total))
}

/// So many have all bookings of a performance in memory at one time.
static COLLECTING: Semaphore = Semaphore::const_new(2);

/// All bookings of a performance, and a place among those who have so many: it is free when the second is dropped.
async fn all(
    context: &Context,
    performance: &Performance,
    caller: Caller,
) -> Result<(Vec<BookingView>, SemaphorePermit<'static>), Problem> {
    let place = COLLECTING.acquire().await.map_err(|_| Problem::new(Kind::Internal))?;
    let mut views = Vec::new();
    loop {
        let from = views.len() as u32;
        let (more, total) = some(context, performance, caller, from..from.saturating_add(AT_ONCE)).await?;
        views.extend(more);
        if views.len() as u32 >= total {
            return Ok((views, place));
        }
    }
}

/// Amounts while they are summed up, in minor units.
#[derive(Default)]
struct Sums {
    collected: i64,
    reserved: i64,
    tickets: i64,
    kept: i64,
    refunded: i64,
    refund_due: i64,
}

fn count(publication: &Publication, views: &[BookingView], by: By, as_of: Time) -> Sales {
    let tally = publication.tally();
    let (mut bookings, mut sums) = (BookingCounts::default(), Sums::default());
    let mut rows: BTreeMap<String, (u32, u32, i64)> = BTreeMap::new();
    let (mut sold, mut waiting) = (0, 0);
    for view in views {
        count_status(&mut bookings, bookings::status(view));
        add_money(&mut sums, publication, view);
        match view.standing {
            Standing::Confirmed => {
                sold += view.seats.len() as u32;
                add_rows(&mut rows, publication, view, by);
            }
            _ => waiting += view.seats.len() as u32,
        }
    }
    let currency = publication.rules().prices.0[0].currency;
    let money = |amount| Money { amount, currency }.into();
    let row = |(key, (bookings, seats, revenue))| SalesRow { key, bookings, seats, revenue: money(revenue) };
    let capacity = publication.map.capacity();
    let offered = u64::from(capacity.saturating_sub(tally.blocked)).max(1);
    Sales {
        performance: Text(publication.performance),
        as_of,
        capacity,
        sold,
        waiting,
        held: tally.held,
        blocked: tally.blocked,
        sell_through: (u64::from(sold) * 10_000 / offered) as u32,
        bookings,
        money: MoneyCounts {
            collected: money(sums.collected),
            reserved: money(sums.reserved),
            tickets: money(sums.tickets),
            kept: money(sums.kept),
            refunded: money(sums.refunded),
            refund_due: money(sums.refund_due),
        },
        rows: rows.into_iter().map(row).collect(),
    }
}

fn count_status(counts: &mut BookingCounts, status: BookingStatus) {
    let count = match status {
        BookingStatus::Confirmed | BookingStatus::PartlyCancelled => &mut counts.confirmed,
        BookingStatus::PendingPayment => &mut counts.pending_payment,
        BookingStatus::PendingApproval => &mut counts.pending_approval,
        BookingStatus::Cancelled | BookingStatus::Refunded => &mut counts.cancelled,
        BookingStatus::Rejected => &mut counts.rejected,
        BookingStatus::Expired => &mut counts.expired,
        BookingStatus::PaymentFailed => &mut counts.payment_failed,
    };
    *count += 1;
}

/// What came is tickets, has gone back, is due, or is kept: the last is what is left, so that nothing is left over.
fn add_money(sums: &mut Sums, publication: &Publication, view: &BookingView) {
    let price = |seat: &SeatIndex| view.prices.of(publication.map.tier_of(*seat)).amount;
    let tickets: i64 = match view.standing {
        Standing::Confirmed => view.seats.iter().map(price).sum(),
        _ => 0,
    };
    sums.tickets += tickets;
    let Some(payment) = &view.payment else { return };
    let came = match payment.stage {
        Stage::Captured => payment.amount,
        Stage::Authorised if view.standing == Standing::Confirmed => payment.amount,
        _ => return,
    };
    let sum = if payment.stage == Stage::Captured { &mut sums.collected } else { &mut sums.reserved };
    *sum += came;
    sums.refunded += payment.refunded();
    sums.refund_due += payment.refund_due();
    sums.kept += came - tickets - payment.refunded() - payment.refund_due();
}

fn add_rows(rows: &mut BTreeMap<String, (u32, u32, i64)>, publication: &Publication, view: &BookingView, by: By) {
    let mut seen = Vec::new();
    for seat in &view.seats {
        let key = by.key(publication, view, *seat);
        let row = rows.entry(key.clone()).or_default();
        row.1 += 1;
        row.2 += view.prices.of(publication.map.tier_of(*seat)).amount;
        if !seen.contains(&key) {
            row.0 += 1;
            seen.push(key);
        }
    }
}

const BOOKING_COLUMNS: &[&str] = &[
    "id",
    "status",
    "buyer",
    "seats",
    "total",
    "currency",
    "payment",
    "asked",
    "refunded",
    "purpose",
    "created_at",
    "guest",
    "phone",
];
const SALES_COLUMNS: &[&str] = &["key", "bookings", "seats", "revenue", "currency"];

fn booking_row(booking: Booking) -> Vec<String> {
    let labels: Vec<&str> = booking.seats.iter().map(|seat| seat.label.as_str()).collect();
    let payment = booking.payment.as_ref();
    let (guest, phone) = booking.guest.map(|guest| (guest.name, guest.phone)).unwrap_or_default();
    vec![
        booking.id.0.to_string(),
        word(booking.status),
        booking.buyer.0.to_string(),
        labels.join(" "),
        booking.total.amount.to_string(),
        booking.total.currency.0.to_string(),
        payment.map_or_else(String::new, |payment| word(payment.status)),
        payment.map_or(0, |payment| payment.amount.amount).to_string(),
        payment.map_or(0, |payment| payment.refunded.amount).to_string(),
        booking.purpose.unwrap_or_default(),
        booking.created_at.to_string(),
        guest,
        phone,
    ]
}

/// A status as JSON has it.
fn word(status: impl serde::Serialize) -> String {
    let word = serde_json::to_value(status).ok();
    word.and_then(|word| Some(word.as_str()?.to_owned())).unwrap_or_default()
}

fn sales_row(row: SalesRow) -> Vec<String> {
    let (amount, currency) = (row.revenue.amount.to_string(), row.revenue.currency.0.to_string());
    vec![row.key, row.bookings.to_string(), row.seats.to_string(), amount, currency]
}

/// A file for a spreadsheet (RFC 4180).
fn csv(name: &str, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Answer {
    // Quoted throughout: where a spreadsheet takes another character for the separator, a field is still one field.
    let mut builder = csv::WriterBuilder::new();
    let builder = builder.terminator(csv::Terminator::CRLF).quote_style(csv::QuoteStyle::Always);
    let mut writer = builder.from_writer(Vec::new());
    let columns = columns.iter().map(|column| (*column).to_owned()).collect();
    for row in std::iter::once(columns).chain(rows) {
        writer.write_record(row.iter().map(|field| plain(field))).expect("memory takes rows of one length");
    }
    let bytes = writer.into_inner().expect("memory takes what is left");
    Answer::text(StatusCode::OK, "text/csv; charset=utf-8", bytes).named(&format!("{name}.csv"))
}

/// What a spreadsheet would take for a formula is text (OWASP, CSV injection).
fn plain(field: &str) -> String {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        format!("'{field}")
    } else {
        field.to_owned()
    }
}
