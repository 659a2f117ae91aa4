//! Log lines on standard error, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, SettingsError};

/// Starts logging for this process.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<(), SettingsError> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| SettingsError::Contradiction(format!("log = {filter} is no filter: {error}")))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
