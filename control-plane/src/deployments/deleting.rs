//! The end of a deployment: it is written down that it goes, if it may, and its supervisor sees to that, whoever waits for it.

use std::sync::Arc;

use onrush_api::problem::{Kind, Problem};
use onrush_api::token::Caller;
use tokio::sync::watch;

use super::supervisor::{Gone, Supervisor};
use super::{Deployments, Outstanding, change_record, unknown};
use crate::callers::check_operates;

impl Deployments {
    /// Ends a show's engine, and puts its journal aside. The show is gone with it.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `temporary-reduced-capacity` where the engine is not heard, so that nobody knows what it
    /// has, and `bookings-outstanding` where money is, and where a performance is not over, unless `force`d.
    pub async fn delete(&self, caller: &Caller, id: &str, force: bool) -> Result<(), Problem> {
        check_operates(caller)?;
        let gone = match self.goes(caller, id)? {
            Some(gone) => gone,
            None => self.let_go(caller, id, force).await?,
        };
        self.gone(id, gone).await
    }

    /// Whether a deployment of the caller's that is to go has gone, and every change of that; nothing where it is not to go.
    fn goes(&self, caller: &Caller, id: &str) -> Result<Option<watch::Receiver<Gone>>, Problem> {
        let supervisors = self.working()?;
        let known = supervisors.going.get(id).or_else(|| supervisors.by_id.get(id));
        let goes = known.filter(|supervisor| supervisor.record().going && supervisor.record().is_of(caller));
        Ok(goes.map(Supervisor::gone))
    }

    /// Writes down that a deployment is to go, if it may.
    async fn let_go(&self, caller: &Caller, id: &str, force: bool) -> Result<watch::Receiver<Gone>, Problem> {
        let _alone = self.operating.lock().await;
        let record = self.own_record(caller, id)?;
        match (self.world.engines.outstanding)(record.show.0).await? {
            Outstanding::Money => {
                let detail = "Money was paid for performances that are not over, or is under way. Call the \
                    performances off, and delete the deployment once everything has gone back.";
                return Err(Problem::new(Kind::BookingsOutstanding).detail(detail));
            }
            Outstanding::Performances if !force => {
                let detail = "The show has performances that are not over. Call them off, or add ?force=true.";
                return Err(Problem::new(Kind::BookingsOutstanding).detail(detail));
            }
            Outstanding::Performances | Outstanding::Nothing => {}
        }
        let moves = || {
            let detail = "The show or its performances are on their way to its engine. Try again in a moment.";
            Problem::new(Kind::Overloaded).detail(detail).retry_after(1)
        };
        let all = (self.world.engines.performances)(record.show.0).ok_or_else(moves)?;
        let is_apart = record.home.is_some() && all.iter().any(|(_, address)| address.is_none());
        if is_apart || record.moving.is_some() {
            return Err(moves());
        }
        // Unless something has moved since it was looked at.
        let changed =
            change_record(&self.store, record.show.0, move |now| now.going |= now.revision == record.revision);
        let changed = changed.await?;
        if !changed.going {
            return Err(moves());
        }
        let supervisors = self.working()?;
        let supervisor = supervisors.by_id.get(id).ok_or_else(unknown)?;
        supervisor.change(changed);
        supervisor.begin_to_go();
        Ok(supervisor.gone())
    }

    /// Returns once a deployment has gone. An engine may take its time to stop; it goes, whether somebody waits for that or not.
    async fn gone(&self, id: &str, mut gone: watch::Receiver<Gone>) -> Result<(), Problem> {
        let how = *gone.wait_for(|gone| *gone != Gone::No).await.map_err(|_| Problem::new(Kind::OutcomeUnknown))?;
        if how == Gone::Failed {
            let detail = "It is written down that it goes, and something keeps it: that is tried again and again.";
            return Err(Problem::new(Kind::OutcomeUnknown).detail(detail).retry_after(5));
        }
        {
            let mut supervisors = self.supervisors();
            supervisors.by_id.remove(id);
            supervisors.going.remove(id);
        }
        let (watch, id) = (Arc::clone(&self.watch), id.to_owned());
        // It is only room that is left where this breaks off.
        tokio::task::spawn_blocking(move || watch.forget(&id)).await.ok();
        Ok(())
    }
}
