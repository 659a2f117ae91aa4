//! Where performances live. The only file that knows where engines are.

use std::sync::Arc;

use onrush_api::problem::{Kind, Problem};
use onrush_engine::Health;
use onrush_engine::client::{Client, Performance};
use onrush_engine::id::{AccountId, BookingId, PerformanceId, ShowId};
use onrush_engine::journal::Durability;
use onrush_engine::mailbox::{Answered, Ask};
use onrush_engine::owner::RegistryAnswered;
use onrush_engine::performance::Opening;
use onrush_engine::registry::{RegistryCommand, Show};
use onrush_engine::time::Timestamp;

use crate::problems;

/// The engines of an edge: one, in this process.
pub struct Directory {
    engine: Client,
}

impl Directory {
    /// A directory of one engine.
    pub fn of(engine: Client) -> Self {
        Self { engine }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.engine.now()
    }

    pub(crate) fn durability(&self) -> Durability {
        self.engine.durability()
    }

    /// Whether every engine has recovered and still answers.
    pub(crate) fn is_ready(&self) -> bool {
        *self.engine.health().borrow() == Health::Running
    }

    pub(crate) fn performance(&self, id: PerformanceId) -> Result<Performance, Problem> {
        self.engine.performance(id).ok_or_else(|| Problem::new(Kind::NotFound).detail("There is no such performance."))
    }

    pub(crate) fn show(&self, id: ShowId) -> Result<Arc<Show>, Problem> {
        let show = self.engine.shows().get(id);
        show.ok_or_else(|| Problem::new(Kind::NotFound).detail("There is no such show."))
    }

    pub(crate) fn shows(&self) -> Vec<Arc<Show>> {
        self.engine.shows().all()
    }

    pub(crate) fn history(&self, account: &AccountId, skip: usize, limit: usize) -> (Vec<BookingId>, usize) {
        self.engine.histories().page(account, skip, limit)
    }

    /// The bookings of which an account was given a ticket.
    pub(crate) fn received(&self, account: &AccountId) -> Vec<BookingId> {
        self.engine.histories().received(account)
    }

    pub(crate) async fn ask(&self, performance: &Performance, ask: Ask) -> Result<Answered, Problem> {
        let outcome = self.engine.ask(performance, ask).await;
        outcome.map_err(|failure| problems::of_failure(failure, &performance.publication.map))
    }

    pub(crate) async fn register(
        &self,
        command: RegistryCommand,
        opening: Option<Box<Opening>>,
    ) -> Result<RegistryAnswered, Problem> {
        self.engine.register(command, opening).await.map_err(problems::of_registry)
    }
}
