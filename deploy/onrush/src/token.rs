//! `onrush token`: mints an access token from the key file. `onrush rotate-key`: adds a new key to it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use onrush_api::key_file::KeyFile;
use onrush_api::text::Time;
use onrush_api::token::Role;
use onrush_engine::id::AccountId;
use onrush_engine::time::Timestamp;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  curl -H \"Authorization: Bearer $(onrush token --role buyer --subject acc_me --data ./onrush-data)\" …"
)]
pub(crate) struct Arguments {
    /// buyer, seller or admin
    #[arg(long)]
    role: Role,
    /// The account it speaks for: acc_ and up to 36 letters, digits, _ or -
    #[arg(long)]
    subject: AccountId,
    /// How long it is valid: a number with s, m, h or d
    #[arg(long, default_value = "12h", value_parser = span)]
    ttl: Duration,
    #[command(flatten)]
    key: KeySource,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct KeySource {
    /// The data directory of the server
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The server's key file
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The new key signs from ten seconds on; the two before it go on checking what they have signed.\n\nExample:\n  onrush rotate-key --data ./onrush-data"
)]
pub(crate) struct Rotation {
    #[command(flatten)]
    key: KeySource,
}

impl KeySource {
    fn path(&self) -> PathBuf {
        let in_data = self.data.as_deref().map(KeyFile::path_in);
        in_data.or_else(|| self.key_file.clone()).expect("clap demands one of the two")
    }
}

fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a number with s, m, h or d, such as 12h".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = count.checked_mul(seconds).filter(|&seconds| seconds > 0).ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

/// The wall clock, for tokens that are minted outside a server.
pub(crate) fn now() -> Timestamp {
    Timestamp::MIN + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[expect(clippy::print_stdout, reason = "the token is what the command is for")]
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { role, subject, ttl, key } = arguments;
    println!("{}", KeyFile::open(&key.path())?.mint(*subject, *role, now(), *ttl));
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "what an operator who exchanges keys wants to know")]
pub(crate) fn rotate(arguments: &Rotation) -> anyhow::Result<ExitCode> {
    let (path, now) = (arguments.key.path(), now());
    KeyFile::rotate(&path, now)?;
    println!("{} has a new key, which signs from {} on", path.display(), Time(now + KeyFile::SIGNS_AFTER));
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit() {
        assert_eq!(span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(span("2d"), Ok(Duration::from_hours(48)));
        for wrong in ["", "12", "h", "-1h", "0s", "1w", "99999999999999999999d", "é"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
