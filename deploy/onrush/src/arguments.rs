//! The options that every server has, and how they become settings.

use std::path::PathBuf;

use crate::settings::{Layers, Settings, SettingsError};
use crate::{logging, running};

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Shared {
    /// Directory of the journal, the snapshots and the keys, as far as this server has them [default: ./onrush-data]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Address of /healthz, /readyz and /metrics [default: the API's; of an engine: none]
    #[arg(long, value_name = "ADDR")]
    ops_listen: Option<String>,
    /// A TOML file with settings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// text or json [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Print what is in force and where each value came from, and stop
    #[arg(long)]
    print_config: bool,
}

impl Shared {
    /// Defaults, file, environment, and on top these options and those of the role.
    pub(crate) fn layers(&self, role: &[(&'static str, &Option<String>)]) -> Result<Layers, SettingsError> {
        let shared = [("data", &self.data), ("ops_listen", &self.ops_listen), ("log_format", &self.log_format)];
        let layers = Layers::defaults().file(self.config.as_deref())?.variables(|name| std::env::var(name).ok());
        let flags = shared.iter().chain(role);
        Ok(flags.fold(layers, |layers, (name, value)| layers.flag(name, (*value).clone())))
    }

    /// The settings, with which this process logs and uses memory from now on; nothing where they were only to be printed.
    pub(crate) fn begin(&self, layers: &Layers) -> anyhow::Result<Option<Settings>> {
        let settings = Settings::read(layers)?;
        if self.print_config {
            running::print(&layers.print());
            return Ok(None);
        }
        logging::start(&settings.log, settings.log_format)?;
        running::use_small_pages();
        Ok(Some(settings))
    }
}
