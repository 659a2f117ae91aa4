//! The seller's side of a rush: makes a show and a performance before it, reads who booked after it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use onrush_api::availability::Availability;
use onrush_api::bookings::Booking;
use onrush_api::page::Page;
use onrush_api::performances::{Performance, PerformanceDraft, SaleDraft};
use onrush_api::problem::ProblemBody;
use onrush_api::seat_map::SeatMap;
use onrush_api::shows::{Field, Show, ShowDraft};
use onrush_api::text::Time;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::{Connection, Request, Response};
use crate::target::{Target, now};

/// The account that rushes sell with unless they are told otherwise.
pub(crate) const SELLER: &str = "acc_rush-seller";

/// A seller with a connection of its own.
pub(crate) struct Seller {
    connection: Connection,
    target: String,
    token: String,
    /// Makes the idempotency keys of this run different from those of any other.
    run: u64,
    posts: u32,
}

impl Seller {
    /// How long a hold lasts in a performance that a rush makes: the shortest that the contract has, so that abandoned
    /// seats come back while the bots are still there.
    const HOLD_TTL_SECONDS: u32 = 10;

    /// A seller at `target`.
    ///
    /// # Errors
    /// Where `account` is no account's id.
    pub(crate) fn new(target: &Target, account: &str, run: u64, timeout: Duration) -> anyhow::Result<Self> {
        let token = target.seller_token(account)?;
        let connection = target.connection(timeout);
        Ok(Self { connection, target: target.authority().to_owned(), token, run, posts: 0 })
    }

    /// Makes a show with one performance, on sale at once, in a hall that the server knows.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses.
    pub(crate) async fn make_performance(&mut self, venue: &str) -> anyhow::Result<Performance> {
        let show = ShowDraft {
            title: format!("Rush {:x}", self.run),
            field: Field::Concert,
            cast: Vec::new(),
            venue: venue.to_owned(),
            description: "Made by onrush-loadgen for a rush; it may be removed.".to_owned(),
            poster_url: None,
        };
        let show: Show = self.post("/v1/shows", &show).await.context("cannot make a show")?;
        let path = format!("/v1/shows/{}/performances", show.id.0);
        let hint = || format!("cannot make a performance in the venue '{venue}'");
        self.post(&path, &performance(venue)).await.with_context(hint)
    }

    /// An existing performance.
    ///
    /// # Errors
    /// Where it is not there or not on sale.
    pub(crate) async fn performance(&mut self, id: &str) -> anyhow::Result<Performance> {
        let path = format!("/v1/performances/{id}");
        let hint = || format!("cannot use the performance {id}: give the id of one at this server, or --venue");
        let performance: Performance = self.get(&path).await.with_context(hint)?;
        if !performance.on_sale {
            let sale = &performance.sale;
            bail!(
                "the performance {id} is not on sale now: it is from {} to {}; choose another, or use --venue",
                sale.opens_at,
                sale.closes_at
            );
        }
        Ok(performance)
    }

    /// The layout of a performance.
    pub(crate) async fn seat_map(&mut self, performance: &str) -> anyhow::Result<SeatMap> {
        self.get(&format!("/v1/performances/{performance}/seat-map")).await.context("cannot read the seat map")
    }

    /// The state of all its seats.
    pub(crate) async fn availability(&mut self, performance: &str) -> anyhow::Result<Availability> {
        let path = format!("/v1/performances/{performance}/availability");
        self.get(&path).await.context("cannot read the availability")
    }

    /// Everybody who booked, over all pages.
    pub(crate) async fn bookings(&mut self, performance: &str) -> anyhow::Result<Vec<Booking>> {
        let path = format!("/v1/performances/{performance}/bookings?limit=200");
        let hint = || "cannot read the seller's list of bookings; of another seller's performance, name them: --seller";
        let mut bookings = Vec::new();
        let mut next = Some(path.clone());
        while let Some(path_of_page) = next {
            let page: Page<Booking> = self.get(&path_of_page).await.with_context(hint)?;
            next = page.next_cursor.map(|cursor| format!("{path}&cursor={cursor}"));
            bookings.extend(page.items);
        }
        Ok(bookings)
    }

    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> anyhow::Result<T> {
        let token = Some(self.token.as_str());
        self.connection.write(&Request { token, ..Request::get(format_args!("{path}")) });
        self.answer(path).await
    }

    async fn post<T: DeserializeOwned>(&mut self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        self.posts += 1;
        let body = serde_json::to_vec(body)?;
        let key = Some(format_args!("{:x}-seller-{}", self.run, self.posts));
        let (token, path_written) = (Some(self.token.as_str()), format_args!("{path}"));
        self.connection.write(&Request { method: "POST", path: path_written, token, key, etag: None, body: &body });
        self.answer(path).await
    }

    /// The seller tries a few times, too: after a rush its connection may long have been closed as idle.
    async fn answer<T: DeserializeOwned>(&mut self, path: &str) -> anyhow::Result<T> {
        const TRIES_MAX: u64 = 5;
        let mut tries = 1;
        loop {
            let answer = self.connection.exchange().await;
            let temporary = answer.as_ref().map_or_else(|e| e.may_have_acted(), |r| matches!(r.status, 429 | 503));
            if temporary && tries < TRIES_MAX {
                tokio::time::sleep(Duration::from_millis(100 * tries * tries)).await;
                tries += 1;
                continue;
            }
            let response = answer.with_context(|| {
                format!("no answer from http://{}; is the server running, and is this its address?", self.target)
            })?;
            return self.read(&response).with_context(|| format!("{path} at http://{}", self.target));
        }
    }

    fn read<T: DeserializeOwned>(&self, response: &Response) -> anyhow::Result<T> {
        let body = self.connection.body(response);
        if response.status < 300 {
            return serde_json::from_slice(body).context("the answer has another shape than the contract says");
        }
        let Ok(problem) = serde_json::from_slice::<ProblemBody>(body) else {
            bail!("status {} without a problem that could be read", response.status);
        };
        let hint = match response.status {
            401 => " (is --key-file the key of this server?)",
            _ => "",
        };
        let fields = problem.errors.unwrap_or_default();
        let fields: String = fields.iter().map(|field| format!(" {}: {}.", field.pointer, field.detail)).collect();
        bail!("{}: {}{fields}{hint}", problem.title, problem.detail)
    }
}

fn performance(venue: &str) -> PerformanceDraft {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    PerformanceDraft {
        starts_at: Time(now().0 + DAY),
        ends_at: None,
        seat_map: None,
        venue_preset: Some(venue.to_owned()),
        tiers: Vec::new(),
        sale: SaleDraft { hold_ttl_seconds: Some(Seller::HOLD_TTL_SECONDS), ..SaleDraft::default() },
    }
}
