//! What engines, edges and control planes know each other by, as the settings name it.

use anyhow::Context as _;
use onrush_engine::wire::{Credentials, Key, Tls};

use crate::settings::Settings;

/// For an edge, which makes no key: nobody else would have it.
///
/// # Errors
/// Where there is none, or the certificates cannot be used.
pub(crate) fn open(settings: &Settings) -> anyhow::Result<Credentials> {
    let key = Key::open(&settings.engine_key_file).context("an edge needs the engines' key: --engine-key-file FILE")?;
    Ok(Credentials::new(key, tls(settings)?))
}

/// For whoever is asked; where there is no key, a new one is made.
///
/// # Errors
/// Where it can be neither read nor made, or the certificates cannot be used.
pub(crate) fn open_or_create(settings: &Settings) -> anyhow::Result<Credentials> {
    Ok(Credentials::new(Key::open_or_create(&settings.engine_key_file)?, tls(settings)?))
}

fn tls(settings: &Settings) -> anyhow::Result<Option<Tls>> {
    let Some(files) = &settings.certificates else { return Ok(None) };
    let opened = Tls::open(&files.certificate, &files.key, &files.authority);
    Ok(Some(opened.context("wire_cert_file, wire_cert_key_file and wire_ca_file")?))
}
