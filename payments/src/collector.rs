//! Sees to every payment: takes the step that is due, and tells the engine what came of it.
//!
//! It keeps nothing of its own. What has to be done stands in the engine's journal; where a step stays without an answer
//! it is taken again, later and later, under the same name.

mod agenda;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use metrics::counter;
use onrush_engine::client::{Client, Performance};
use onrush_engine::command::{Command, PaymentNotice, PaymentStatus};
use onrush_engine::id::BookingId;
use onrush_engine::inventory::{Answer, PaymentView, Stage, Step};
use onrush_engine::mailbox::{Ask, Failure};
use onrush_engine::money::Money;
use onrush_engine::refusal::Refusal;
use quick_cache::sync::Cache;
use thiserror::Error;
use tokio::sync::Semaphore;

use self::agenda::{Agenda, Turn};
use crate::provider::{Charge, Checkout, NoticeError, Order, Provider, ProviderError};

/// A provider's notice may be lost: an open payment is looked at so long before its time is up, whatever happens.
const LAST_LOOK: Duration = Duration::from_secs(3);
/// A step that was answered and led to nothing is taken again after so long.
const WITHOUT_PROGRESS: Duration = Duration::from_secs(5);
/// Who books does not wait longer for the provider's page; reading the booking asks again.
const CHECKOUT_WITHIN: Duration = Duration::from_secs(3);
/// And no more than so many wait at one time.
const WAITING_MAX: usize = 256;
/// Checkouts that are remembered, so that a page that is loaded again asks nobody.
const CHECKOUTS_MAX: usize = 100_000;

/// See the module.
pub struct Collector<P> {
    provider: P,
    client: Client,
    checkouts: Cache<BookingId, Checkout>,
    waiting: Semaphore,
}

/// Why a notice has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotTaken {
    /// It is not to be believed.
    #[error(transparent)]
    Notice(#[from] NoticeError),
    /// The engine cannot take it now: the provider has to send it again.
    #[error("the engine takes no notices now")]
    Unavailable,
}

/// What a look at a booking came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// The engine names the booking again, if there is more to do.
    Done,
    /// To be looked at again after so long.
    Later(Duration),
    /// Nobody answered: to be tried again, later each time.
    NoAnswer,
}

impl<P: Provider> Collector<P> {
    /// A collector of one engine's payments.
    pub fn new(provider: P, client: Client) -> Self {
        Self { provider, client, checkouts: Cache::new(CHECKOUTS_MAX), waiting: Semaphore::new(WAITING_MAX) }
    }

    /// Sees to payments, without end.
    pub async fn run(self: Arc<Self>) {
        let mut agenda = Agenda::default();
        loop {
            tokio::select! {
                due = self.client.dues().take() => due.into_iter().for_each(|booking| agenda.now(booking)),
                turn = agenda.next() => match turn {
                    Turn::Look(booking) => {
                        let this = Arc::clone(&self);
                        agenda.spawn(booking, async move { this.see_to(booking).await });
                    }
                    Turn::Ended(ended) => ended.into_iter().for_each(|(booking, seen)| agenda.note(booking, seen)),
                },
            }
        }
    }

    /// How the buyer pays for a booking that waits for its payment; nothing where the provider does not say soon. The
    /// payment is made known there meanwhile, so that nobody waits for the collector's turn.
    pub async fn checkout(&self, booking: BookingId) -> Option<Checkout> {
        if let Some(known) = self.checkouts.get(&booking) {
            return Some(known);
        }
        // Who asks waits on a connection, and others with them: not for long, and not too many.
        let _place = self.waiting.try_acquire().ok()?;
        let view = self.read(booking).await?;
        matches!(view.step, Some(Step::Open | Step::Await)).then_some(())?;
        tokio::time::timeout(CHECKOUT_WITHIN, self.find_checkout(&view)).await.ok()?
    }

    async fn find_checkout(&self, view: &PaymentView) -> Option<Checkout> {
        match &view.reference {
            None => self.open(view).await.ok()?,
            Some(_) => {
                let charge = self.provider.look_up(&order(view)).await.ok()??;
                self.checkouts.insert(view.booking, charge.checkout);
            }
        }
        self.checkouts.get(&view.booking)
    }

    /// Takes a provider's notice.
    ///
    /// # Errors
    /// [`NotTaken`]
    pub async fn take_notice(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), NotTaken> {
        let Some(notice) = self.provider.read_notice(headers, body)? else { return Ok(()) };
        match self.note(notice).await {
            Ok(()) | Err(Failure::Refused(_)) => Ok(()),
            Err(_) => Err(NotTaken::Unavailable),
        }
    }

    async fn see_to(&self, booking: BookingId) -> Seen {
        let Some(view) = self.read(booking).await else { return Seen::NoAnswer };
        let Some(step) = view.step else { return Seen::Done };
        let taken = match (step, view.reference.as_deref()) {
            (Step::Open, _) | (_, None) => self.open(&view).await,
            (Step::Await, Some(_)) => self.look(&view).await,
            (Step::Capture, Some(reference)) => {
                let captured = self.provider.capture(&order(&view), reference).await;
                self.tell_charge(&view, captured).await
            }
            (Step::Void, Some(reference)) => self.void(&view, reference).await,
            (Step::Refund { number, amount }, Some(reference)) => self.refund(&view, reference, number, amount).await,
        };
        self.seen(&view, step, taken)
    }

    fn seen(&self, view: &PaymentView, step: Step, taken: Result<(), Trouble>) -> Seen {
        let booking = view.booking;
        match taken {
            Ok(()) if step == Step::Await => Seen::Later(self.next_look(view)),
            // The engine names the booking at once where this led anywhere.
            Ok(()) => Seen::Later(WITHOUT_PROGRESS),
            Err(Trouble::Provider(error)) => {
                counter!("onrush_payment_steps_failed_total").increment(1);
                tracing::warn!(%booking, ?step, %error, "a step of a payment has to be taken again");
                Seen::NoAnswer
            }
            Err(Trouble::Engine(Failure::Refused(refusal))) => {
                counter!("onrush_payment_mismatches_total").increment(1);
                tracing::error!(%booking, ?step, %refusal, "the provider's payment is not the booking's: somebody has to look");
                Seen::NoAnswer
            }
            Err(Trouble::Engine(_)) => Seen::NoAnswer,
        }
    }

    /// Shortly before its time is up; now and then while a bank is asked. Open payments are many, and each is looked at
    /// once, so that what is due soon never waits behind them.
    fn next_look(&self, view: &PaymentView) -> Duration {
        let left = view.until.map_or(Duration::ZERO, |until| until - self.client.now()).saturating_sub(LAST_LOOK);
        let soon = Duration::from_secs(1);
        if view.stage == Stage::Charging { left.clamp(soon, Duration::from_secs(10)) } else { left.max(soon) }
    }

    /// Makes a payment known that the provider has not named yet. Under the same name it is the same payment, whoever asks,
    /// and however often; of two who ask at once, one does.
    async fn open(&self, view: &PaymentView) -> Result<(), Trouble> {
        let open = async {
            let charge = self.provider.authorise(&order(view)).await?;
            self.note(charge.notice(view.booking)).await.map_err(Trouble::Engine)?;
            Ok::<_, Trouble>(charge.checkout)
        };
        match self.checkouts.get_or_insert_async(&view.booking, open).await {
            Err(Trouble::Provider(ProviderError::Refused(why))) => {
                tracing::warn!(booking = %view.booking, why, "the provider does not take this payment");
                self.note_end(view, PaymentStatus::Failed).await
            }
            opened => opened.map(drop),
        }
    }

    async fn look(&self, view: &PaymentView) -> Result<(), Trouble> {
        match self.provider.look_up(&order(view)).await? {
            Some(charge) => self.note(charge.notice(view.booking)).await.map_err(Trouble::Engine),
            None => Ok(()),
        }
    }

    /// The buyer may have paid at the last moment: who looks first learns of it, and the seats may still be had.
    async fn void(&self, view: &PaymentView, reference: &str) -> Result<(), Trouble> {
        if view.stage != Stage::Authorised {
            let Some(charge) = self.provider.look_up(&order(view)).await? else {
                return self.note_end(view, PaymentStatus::Voided).await;
            };
            if !matches!(charge.status, PaymentStatus::Opened | PaymentStatus::Charging) {
                return self.note(charge.notice(view.booking)).await.map_err(Trouble::Engine);
            }
        }
        let voided = self.provider.void(&order(view), reference).await;
        self.tell_charge(view, voided).await
    }

    /// Tells the engine what a step came to. A provider that refuses it has come further meanwhile: it is looked at.
    async fn tell_charge(&self, view: &PaymentView, outcome: Result<Charge, ProviderError>) -> Result<(), Trouble> {
        let charge = match outcome {
            Err(refused @ ProviderError::Refused(_)) => {
                let found = self.provider.look_up(&order(view)).await?;
                found.and_then(|charge| settled(view.stage, charge)).ok_or(refused)?
            }
            outcome => outcome?,
        };
        self.note(charge.notice(view.booking)).await.map_err(Trouble::Engine)
    }

    /// Tells the engine that nothing will come of a payment.
    async fn note_end(&self, view: &PaymentView, status: PaymentStatus) -> Result<(), Trouble> {
        let reference = view.reference.clone();
        let notice = PaymentNotice { booking: view.booking, reference, amount: None, status };
        self.note(notice).await.map_err(Trouble::Engine)
    }

    async fn refund(&self, view: &PaymentView, reference: &str, number: u32, amount: i64) -> Result<(), Trouble> {
        let amount = Money { amount, currency: view.amount.currency };
        self.provider.refund(&order(view), reference, number, amount).await?;
        let status = PaymentStatus::Refunded(number);
        let notice = PaymentNotice { booking: view.booking, reference: Some(reference.into()), amount: None, status };
        self.note(notice).await.map_err(Trouble::Engine)
    }

    async fn read(&self, booking: BookingId) -> Option<PaymentView> {
        let performance = self.performance(booking)?;
        match self.client.ask(&performance, Ask::Payment(booking)).await.ok()?.answer {
            Answer::Payment(view) => Some(view),
            _ => None,
        }
    }

    async fn note(&self, notice: PaymentNotice) -> Result<(), Failure> {
        let unknown = Failure::Refused(Refusal::UnknownBooking);
        let performance = self.performance(notice.booking).ok_or(unknown)?;
        let booking = notice.booking;
        let outcome = self.client.ask(&performance, Ask::Command(Command::NotePayment(notice))).await;
        if let Err(error) = &outcome {
            tracing::warn!(%booking, %error, "the engine did not take a notice");
        }
        outcome.map(drop)
    }

    fn performance(&self, booking: BookingId) -> Option<Performance> {
        self.client.performance(booking.performance)
    }
}

/// Why a step is not at its end.
#[derive(Debug)]
enum Trouble {
    Provider(ProviderError),
    Engine(Failure),
}

impl From<ProviderError> for Trouble {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

/// A charge of which a step was refused, if nothing more comes of that step. A bank that is still being asked may say yes or
/// no: until then nothing can be done.
fn settled(stage: Stage, charge: Charge) -> Option<Charge> {
    match charge.status {
        PaymentStatus::Captured | PaymentStatus::Failed | PaymentStatus::Voided => Some(charge),
        // What was reserved is not any longer.
        PaymentStatus::Opened if stage == Stage::Authorised => Some(Charge { status: PaymentStatus::Failed, ..charge }),
        _ => None,
    }
}

fn order(view: &PaymentView) -> Order {
    Order { booking: view.booking, amount: view.amount, reference: view.reference.as_deref().map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use onrush_engine::money::Currency;

    use super::*;
    use crate::provider::Checkout;

    #[test]
    fn a_step_that_is_refused_is_over_where_the_provider_has_come_to_an_end() {
        let outcome = |stage, status| {
            let amount = Money { amount: 1000, currency: Currency::KRW };
            let charge = Charge { reference: "p1".to_owned(), status, amount, checkout: Checkout::default() };
            settled(stage, charge).map(|charge| charge.status)
        };
        for end in [PaymentStatus::Captured, PaymentStatus::Failed, PaymentStatus::Voided] {
            assert_eq!(outcome(Stage::Authorised, end), Some(end));
            assert_eq!(outcome(Stage::Open, end), Some(end));
        }
        assert_eq!(
            outcome(Stage::Authorised, PaymentStatus::Opened),
            Some(PaymentStatus::Failed),
            "nothing is reserved"
        );
        assert_eq!(outcome(Stage::Open, PaymentStatus::Opened), None, "the buyer may still pay");
        assert_eq!(outcome(Stage::Authorised, PaymentStatus::Charging), None);
        assert_eq!(outcome(Stage::Authorised, PaymentStatus::Authorised), None);
    }
}
