//! Moving shows and performances between engines, for whoever decides where they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{Client, Performance, Road};
use crate::handover::{HandOver, HandOverFailure, TakeOver};
use crate::id::{EngineId, PerformanceId, ShowId};
use crate::journal::frame::Record;
use crate::mailbox::Failure;
use crate::owner::RegistryFailure;
use crate::registry::{RegistryCommand, RegistryRefusal};
use crate::wire::PATIENCE;

impl Client {
    /// What other engines know the one of this process by, once that is durable; nothing where there is none.
    pub(crate) async fn name(&self) -> Option<EngineId> {
        let mut name = self.0.here.as_ref()?.name.subscribe();
        let known = name.wait_for(Option::is_some).await.ok()?;
        *known
    }

    pub(crate) fn note_name(&self, name: EngineId) {
        if let Some(here) = &self.0.here {
            here.name.send_replace(Some(name));
        }
    }

    /// How often something has come or gone.
    pub(crate) fn moves(&self) -> u64 {
        *self.0.views.moves.borrow()
    }

    /// The performances of the engine of this process.
    pub(crate) fn performances_here(&self) -> BTreeMap<PerformanceId, Performance> {
        let here = self.0.views.performances.iter().filter(|known| matches!(known.road, Road::Mailbox(_)));
        here.map(|known| (*known.key(), known.clone())).collect()
    }

    pub(crate) fn note_left_here(&self, id: PerformanceId, to: EngineId) {
        self.0.views.left.insert((id, None), to);
    }

    /// The engine of this process has let a performance go.
    pub(crate) fn forget_here(&self, id: PerformanceId) {
        self.0.views.left.remove(&(id, None));
        self.0.views.performances.remove_if(&id, |_, known| matches!(known.road, Road::Mailbox(_)));
        self.0.views.note_move();
    }

    /// Gives a performance of this process's engine away; its state, once that is durable. Twice is once.
    ///
    /// # Errors
    /// [`HandOverFailure`], where it is not here, or goes elsewhere.
    pub async fn hand_over_here(&self, performance: PerformanceId, to: EngineId) -> Result<Arc<[u8]>, HandOverFailure> {
        let owner = self.owner().ok_or(HandOverFailure::NotHere)?;
        owner.send(HandOver { performance, to }).await.map_err(|_| Failure::Unknown)?
    }

    /// Takes a performance over into this process's engine. Twice is once.
    ///
    /// # Errors
    /// [`HandOverFailure`], where it is not for this engine, or the disk fails.
    pub async fn take_over_here(&self, parcel: Vec<u8>) -> Result<(), HandOverFailure> {
        let owner = self.owner().ok_or(HandOverFailure::NotHere)?;
        owner.send(TakeOver { parcel }).await.map_err(|_| Failure::Unknown)?
    }

    /// Where a performance is: the address of its engine, nothing for the one of this process.
    ///
    /// # Errors
    /// [`HandOverFailure::NotHere`], where no engine has told of it.
    pub fn whereabouts(&self, id: PerformanceId) -> Result<Option<String>, HandOverFailure> {
        let known = self.performance(id).ok_or(HandOverFailure::NotHere)?;
        Ok(match &known.road {
            Road::Mailbox(_) => None,
            Road::Link(link) => Some(link.address().to_owned()),
        })
    }

    /// Which engine is at an address, once it has told all that it has.
    pub fn engine_at(&self, address: &str) -> Option<EngineId> {
        let link = self.0.elsewhere.link(address)?;
        if link.has_caught_up() { link.engine() } else { None }
    }

    /// The address of an engine elsewhere, once it has told all that it has.
    pub fn address_of(&self, engine: EngineId) -> Option<String> {
        self.0.elsewhere.address_of(engine)
    }

    /// What was given away and not let go of yet, with the address of the engine that gave it, nothing for the one of this
    /// process, and the engine that it goes to: handing it over there once more brings that to its end.
    pub fn unfinished(&self) -> Vec<(PerformanceId, Option<String>, EngineId)> {
        let left = self.0.views.left.iter();
        left.map(|left| (left.key().0, left.key().1.as_deref().map(str::to_owned), *left.value())).collect()
    }

    /// Hands a performance over to the engine at an address, wherever it is. Requests wait meanwhile. Twice is once: what was
    /// begun and broke off, whatever went down meanwhile, is brought to its end by doing it again.
    ///
    /// # Errors
    /// [`HandOverFailure`], where one of the two engines does not do its part.
    pub async fn hand_over(&self, id: PerformanceId, to: &str) -> Result<(), HandOverFailure> {
        let target = self.0.elsewhere.link(to).ok_or(Failure::Overloaded)?;
        let engine = self.engine_at(to).ok_or(Failure::Overloaded)?;
        let begun = self.unfinished().into_iter().find(|(left, ..)| *left == id);
        let from = match begun {
            Some((_, _, before)) if before != engine => return Err(HandOverFailure::GoesTo(before)),
            Some((_, from, _)) => from,
            None => self.whereabouts(id)?,
        };
        if from.as_deref() == Some(to) {
            return Ok(());
        }
        let left = (id, from.as_deref().map(Box::from));
        // Before it is asked: it may be done though nobody hears so.
        self.0.views.left.insert(left.clone(), engine);
        let parcel = match self.pack(id, from.as_deref(), engine).await {
            Ok(parcel) => parcel,
            Err(HandOverFailure::NotHere) => {
                self.0.views.left.remove(&left);
                // It was let go of before, and nobody heard so: whoever has it has said that.
                return if self.whereabouts(id)?.as_deref() == Some(to) {
                    Ok(())
                } else {
                    Err(HandOverFailure::NotHere)
                };
            }
            Err(error) => {
                if let HandOverFailure::GoesTo(before) = error {
                    self.0.views.left.insert(left, before);
                }
                return Err(error);
            }
        };
        let last = Record::decode(&parcel).map_err(|_| HandOverFailure::Unreadable)?.sequence;
        target.take_over(id, &parcel).await?;
        let release = RegistryCommand::ReleasePerformance { performance: id, last };
        self.ask_registry(from.as_deref(), release).await?;
        self.0.views.left.remove(&left);
        Ok(())
    }

    /// The state of a performance that the engine at an address, or the one of this process, gives away.
    async fn pack(&self, id: PerformanceId, from: Option<&str>, to: EngineId) -> Result<Arc<[u8]>, HandOverFailure> {
        let Some(from) = from else { return self.hand_over_here(id, to).await };
        let source = self.0.elsewhere.link(from).ok_or(Failure::Overloaded)?;
        source.hand_over(id, to).await.map(Arc::from)
    }

    /// Asks the engine at an address, or the one of this process, for a change of its registry.
    async fn ask_registry(&self, at: Option<&str>, command: RegistryCommand) -> Result<(), RegistryFailure> {
        let Some(address) = at else { return self.register_here(command, None).await.map(drop) };
        let link = self.0.elsewhere.link(address).ok_or(RegistryFailure::Failed(Failure::Overloaded))?;
        link.register(command, None).await.map(drop)
    }

    /// Gives a show away, from the engine at one address, or from the one of this process, to the one at another. Its
    /// performances stay where they are. Twice is once: what was begun and broke off, whatever went down meanwhile, is brought
    /// to its end by doing it again.
    ///
    /// # Errors
    /// [`RegistryFailure`], where one of the two does not do its part, or the show was never there.
    pub async fn move_show(&self, id: ShowId, from: Option<&str>, to: &str) -> Result<(), RegistryFailure> {
        let target = self.0.elsewhere.link(to).ok_or(RegistryFailure::Failed(Failure::Overloaded))?;
        if !target.has_caught_up() {
            return Err(Failure::Overloaded.into());
        }
        self.ask_registry(from, RegistryCommand::ReleaseShow { show: id }).await?;
        let leaving = match from {
            None => self.shows().released(id).map(|leaving| Box::new((*leaving).clone())),
            Some(from) => {
                let source = self.0.elsewhere.link(from).ok_or(RegistryFailure::Failed(Failure::Overloaded))?;
                source.leaving(id).await?
            }
        };
        let leaving = leaving.ok_or(RegistryRefusal::UnknownShow)?;
        let adopt = RegistryCommand::AdoptShow { show: Box::new(leaving.show), made: leaving.made };
        target.register(adopt, None).await.map(drop)
    }

    /// Waits for a show that is on its way to another engine.
    pub(super) async fn arrival(&self, show: ShowId) -> Result<(), Failure> {
        let (mut moves, give_up) = (self.0.views.moves.subscribe(), Instant::now() + PATIENCE);
        while self.shows().is_leaving(show) {
            let moved = timeout_at(give_up, moves.changed()).await;
            moved.map_err(|_| Failure::Overloaded)?.map_err(|_| Failure::Overloaded)?;
        }
        Ok(())
    }
}
