//! An engine in this process, with its journal on a real disk, and performances on sale.

use std::path::PathBuf;

use actix_rt::Arbiter;
use anyhow::{Context as _, ensure};
use onrush_engine::client::{Client, Performance};
use onrush_engine::config::Config;
use onrush_engine::engine::Engine;
use onrush_engine::id::PerformanceId;
use onrush_engine::registry::{Field, RegistryCommand, ShowDetails};

use crate::hall;

/// See the module.
pub struct Platform {
    /// What asks it.
    pub client: Client,
    owner: Arbiter,
}

impl Platform {
    /// Opens the engine of a configuration on a thread of its own.
    ///
    /// # Errors
    /// Where it does not open.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let engine = Engine::open(config)?;
        let owner = Arbiter::new();
        let client = engine.start(&owner.handle()).await.context("the owner's thread ended")?;
        Ok(Self { client, owner })
    }

    /// Puts performances on sale in halls of `seats`.
    ///
    /// # Errors
    /// Where the engine refuses.
    pub async fn add_performances(&self, count: u64, seats: u32) -> anyhow::Result<Vec<Performance>> {
        let caller = hall::seller();
        let details = ShowDetails {
            title: "Bench".into(),
            field: Field::Concert,
            cast: Vec::new(),
            venue: "Hall".into(),
            description: "".into(),
            poster_url: None,
        };
        let show = RegistryCommand::CreateShow { show: hall::SHOW, caller, details, key: None };
        self.client.register(show, None).await?;
        let mut performances = Vec::new();
        for number in 1..=count {
            let performance = PerformanceId(number);
            let add = RegistryCommand::AddPerformance { show: hall::SHOW, performance, caller, key: None };
            self.client.register(add, Some(Box::new(hall::opening(number, seats)))).await?;
            performances.push(self.client.performance(performance).context("the performance is not there")?);
        }
        Ok(performances)
    }

    /// Ends the engine's thread once all is durable.
    ///
    /// # Errors
    /// Where the thread panicked.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.client.settle().await;
        self.owner.stop();
        ensure!(self.owner.join().is_ok(), "the owner's thread panicked");
        Ok(())
    }
}

/// Where the programs lie: a real disk, unlike the place for temporary files, which is memory on many machines.
///
/// # Errors
/// What the operating system says.
pub fn beside_programs() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("cannot find this program")?;
    Ok(program.parent().context("this program lies nowhere")?.to_owned())
}

/// A new directory there.
///
/// # Errors
/// What the operating system says.
pub fn directory() -> anyhow::Result<tempfile::TempDir> {
    tempfile::tempdir_in(beside_programs()?).context("cannot make a directory")
}
