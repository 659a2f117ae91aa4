//! The printable confirmation of a booking: HTML, and PDF.

mod pdf;

use std::fmt::Write as _;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::ACCEPT;
use onrush_api::bookings::{Booking, BookingStatus};
use onrush_api::holds::PricedSeat;
use onrush_api::problem::{Kind, Problem};
use onrush_api::text::{Money, Time};
use onrush_api::tickets::Ticket;
use onrush_engine::feed::Publication;
use onrush_engine::id::BookingId;
use onrush_engine::registry::Show;

use self::pdf::Layout;
use crate::answer::Answer;
use crate::apart::apart;
use crate::pages::escape;
use crate::request::Request;
use crate::routes::{bookings, guests, tickets};

/// Read a booking's confirmation
///
/// HTML made for print, or PDF where `Accept` names it: what was booked, what it cost, and a QR code for each ticket that is
/// yours.
#[utoipa::path(get, path = "/v1/bookings/{booking}/document", tag = "Tickets", security(("token" = [])),
    params(("booking" = String, Path)), responses((status = 200, content((String = "text/html"), (Vec<u8> = "application/pdf"))),
    (status = 409, description = "`booking-closed`, `payment-pending`, `approval-pending`")))]
pub(crate) async fn read(request: &Request<'_>) -> Result<Answer, Problem> {
    let id: BookingId = request.id(2)?;
    let caller = request.reader_of(id.performance)?;
    let mut booking = bookings::fetch(request, caller, id).await?;
    check_confirmed(booking.status)?;
    guests::name(request, std::slice::from_mut(&mut booking)).await;
    let (publication, views) = tickets::of_booking(request.context, caller, id).await?;
    let show = request.context.directory.show(publication.show)?;
    let (keys, as_pdf) = (Arc::clone(&request.context.ticket_keys), wants_pdf(request));
    let printed = apart(move || {
        let tickets: Vec<Ticket> =
            views.iter().map(|view| tickets::body(&keys, &publication, view, caller.account)).collect();
        if !as_pdf {
            return Ok(Answer::page(html(&show, &publication, &booking, &tickets).into()));
        }
        let file = layout(&show, &publication, &booking, &tickets).finish(&show.details.title)?;
        Ok(Answer::text(StatusCode::OK, PDF, file).named("confirmation.pdf"))
    });
    Ok(printed.await??.varies_by_accept())
}

fn check_confirmed(status: BookingStatus) -> Result<(), Problem> {
    let (kind, detail) = match status {
        BookingStatus::Confirmed | BookingStatus::PartlyCancelled => return Ok(()),
        BookingStatus::PendingPayment => (Kind::PaymentPending, "There is a confirmation to print once it is paid."),
        BookingStatus::PendingApproval => {
            (Kind::ApprovalPending, "There is a confirmation to print once the seller has approved it.")
        }
        _ => (Kind::BookingClosed, "Only a confirmed booking has a confirmation to print."),
    };
    Err(Problem::new(kind).detail(detail))
}

const PDF: &str = "application/pdf";

/// Whether the client asks for PDF by name; whoever takes anything gets the page.
fn wants_pdf(request: &Request<'_>) -> bool {
    let accepted = request.parts.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(names_pdf)
}

/// Whether a range of `Accept` names PDF, and not as what the client does not take: `q=0` (RFC 9110, 12.4.2).
fn names_pdf(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let named = parts.next().is_some_and(|range| range.eq_ignore_ascii_case(PDF));
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    named && weight.is_none_or(|weight| weight.parse() != Ok(0.0))
}

fn layout(show: &Show, publication: &Publication, booking: &Booking, tickets: &[Ticket]) -> Layout {
    let mut layout = Layout::new();
    layout.text(22.0, &show.details.title);
    layout.text(11.0, &show.details.venue);
    layout.text(13.0, &clock(Time(publication.rules().terms.starts_at)));
    layout.space(12.0);
    layout.row(["Seat", "Tier", "Price"]);
    booking.seats.iter().for_each(|seat| layout.row([&seat.label, &seat.tier, &money(seat.price)]));
    layout.row(["Total", "", &money(booking.total)]);
    layout.space(12.0);
    if let Some(guest) = &booking.guest {
        layout.text(11.0, &format!("Booked by {}, {}", guest.name, guest.phone));
    }
    if let Some(purpose) = &booking.purpose {
        layout.text(11.0, &format!("For: {purpose}"));
    }
    layout.text(9.0, &format!("Booking {} of {}", booking.id.0, clock(booking.created_at)));
    for (ticket, code) in tickets.iter().filter_map(|ticket| Some((ticket, ticket.code.as_ref()?))) {
        let used = ticket.checked_in_at.map(|at| format!("used {}", clock(at)));
        let said: Vec<String> = [ticket.seat.clone(), ticket.tier.clone()].into_iter().chain(used).collect();
        layout.ticket(code, &said);
    }
    layout
}

fn html(show: &Show, publication: &Publication, booking: &Booking, tickets: &[Ticket]) -> String {
    let terms = &publication.rules().terms;
    let title = escape(&show.details.title);
    let mut body = String::new();
    let mut add = |text: std::fmt::Arguments<'_>| body.write_fmt(text).expect("memory takes text");
    add(format_args!("<h1>{title}</h1><p>{}</p>", escape(&show.details.venue)));
    add(format_args!("<p><strong>{}</strong></p>", clock(Time(terms.starts_at))));
    add(format_args!("<table><thead><tr><th>Seat<th>Tier<th class=n>Price</thead><tbody>"));
    booking.seats.iter().for_each(|seat| add(format_args!("{}", row(seat))));
    add(format_args!("</tbody><tfoot><tr><th colspan=2>Total<td class=n>{}</tfoot></table>", money(booking.total)));
    if let Some(guest) = &booking.guest {
        add(format_args!("<p>Booked by {}, {}</p>", escape(&guest.name), escape(&guest.phone)));
    }
    if let Some(purpose) = &booking.purpose {
        add(format_args!("<p>For: {}</p>", escape(purpose)));
    }
    add(format_args!("<p><small>Booking {} of {}</small></p>", booking.id.0, clock(booking.created_at)));
    tickets.iter().for_each(|ticket| add(format_args!("{}", stub(ticket))));
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>{title}</title><style>{STYLE}</style><main>{body}</main></html>"
    )
}

fn row(seat: &PricedSeat) -> String {
    let (label, tier) = (escape(&seat.label), escape(&seat.tier));
    format!("<tr><td>{label}<td>{tier}<td class=n>{}", money(seat.price))
}

/// What is shown at the door: only its holder has a code to show.
fn stub(ticket: &Ticket) -> String {
    let Some(code) = &ticket.code else { return String::new() };
    // The picture is a document of its own; inside a page its first line has no place.
    let svg = tickets::qr_svg(code);
    let svg = svg.find("<svg").map_or("", |at| &svg[at..]);
    let used = ticket.checked_in_at.map_or(String::new(), |at| format!("<br>used {}", clock(at)));
    format!(
        "<section>{svg}<p><strong>{}</strong><br>{}{used}</p></section>",
        escape(&ticket.seat),
        escape(&ticket.tier)
    )
}

/// Minor units as people write them: most currencies have a hundredth, some a thousandth, some none (ISO 4217).
fn money(money: Money) -> String {
    const WHOLE: [&str; 16] = [
        "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
    ];
    const THOUSANDTHS: [&str; 7] = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
    let currency = money.currency.0.to_string();
    let digits = match currency.as_str() {
        whole if WHOLE.contains(&whole) => return format!("{} {currency}", money.amount),
        thousandths if THOUSANDTHS.contains(&thousandths) => 3,
        _ => 2,
    };
    let unit = 10i64.pow(digits as u32);
    format!("{}.{:0digits$} {currency}", money.amount / unit, money.amount % unit)
}

fn clock(time: Time) -> String {
    let text = time.to_string();
    let minutes = text.get(..16).unwrap_or(&text).replace('T', " ");
    format!("{minutes} UTC")
}

const STYLE: &str = "body{font:11pt/1.5 system-ui,'Noto Sans KR',sans-serif;margin:0;color:#111;background:#fff}\
    main{max-width:18cm;margin:1.5cm auto;padding:0 1rem}h1{margin:0}table{border-collapse:collapse;width:100%}\
    th,td{text-align:left;padding:.3rem 0;border-bottom:1px solid #ccc}.n{text-align:right}\
    section{display:flex;gap:1rem;align-items:center;break-inside:avoid;border:1px dashed #999;margin:1rem 0;padding:.5rem}\
    svg{width:4cm;height:4cm}@page{margin:1.5cm}@media print{main{margin:0}}";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(amount: i64, currency: &str) -> String {
        let currency = currency.parse().unwrap();
        money(onrush_engine::money::Money { amount, currency }.into())
    }

    #[test]
    fn pdf_is_for_those_who_name_it() {
        let asked = |accept: &str| accept.split(',').any(names_pdf);
        assert!(asked("application/pdf"));
        assert!(asked("text/html, Application/PDF;q=0.5"));
        assert!(!asked("*/*"));
        assert!(!asked("text/html, application/pdf;q=0"));
        assert!(!asked("application/pdf; Q=0.000"));
    }

    #[test]
    fn money_is_written_in_its_currencys_units() {
        assert_eq!(of(165_000, "KRW"), "165000 KRW");
        assert_eq!(of(12_305, "USD"), "123.05 USD");
        assert_eq!(of(12_305, "KWD"), "12.305 KWD");
    }
}
