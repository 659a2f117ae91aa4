//! Where performances live. The only file that knows where engines are.

use std::sync::Arc;

use onrush_api::problem::{Kind, Problem};
use onrush_engine::client::{Client, Performance};
use onrush_engine::feed::AccountHistory;
use onrush_engine::id::{AccountId, PerformanceId, ShowId};
use onrush_engine::journal::Durability;
use onrush_engine::mailbox::{Answered, Ask};
use onrush_engine::owner::RegistryAnswered;
use onrush_engine::performance::Opening;
use onrush_engine::registry::{RegistryCommand, Show};
use onrush_engine::time::Timestamp;

use crate::problems;

/// The engines of an edge: one in this process, or some elsewhere.
pub struct Directory {
    engine: Client,
}

impl Directory {
    /// A directory of what a client knows.
    pub fn of(engine: Client) -> Self {
        Self { engine }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.engine.now()
    }

    pub(crate) fn durability(&self) -> Durability {
        self.engine.durability()
    }

    /// Whether there is an engine in this process, whether it answers or not.
    pub(crate) fn has_engine_here(&self) -> bool {
        self.engine.has_engine_here()
    }

    /// Whether there is an engine that answers.
    pub(crate) fn is_ready(&self) -> bool {
        self.engine.is_ready()
    }

    pub(crate) fn performance(&self, id: PerformanceId) -> Result<Performance, Problem> {
        self.engine.performance(id).ok_or_else(|| self.unknown("There is no such performance."))
    }

    pub(crate) fn show(&self, id: ShowId) -> Result<Arc<Show>, Problem> {
        self.engine.shows().get(id).ok_or_else(|| self.unknown("There is no such show."))
    }

    /// Nobody is told that something is not there while an engine that may have it has not been heard.
    fn unknown(&self, detail: &str) -> Problem {
        if self.engine.knows_all() { Problem::new(Kind::NotFound).detail(detail) } else { problems::overloaded() }
    }

    pub(crate) fn shows(&self) -> Vec<Arc<Show>> {
        self.engine.shows().all()
    }

    /// An account's bookings, with the `newest` of them.
    pub(crate) async fn history(&self, account: &AccountId, newest: usize) -> Result<AccountHistory, Problem> {
        self.engine.history(account, newest).await.map_err(|_| problems::overloaded())
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
