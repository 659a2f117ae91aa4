//! Engines of their own for shows, in the process of a server: how they are started, and what the server's edge is asked.

use anyhow::Context as _;
use onrush_control_plane::deployments::{Driver, Engines, Known};
use onrush_edge::problem_of_registry;
use onrush_engine::client::Client;
use onrush_engine::wire::Key;

use crate::settings::Settings;

/// How engines are started: this program, with this server's settings.
///
/// # Errors
/// Where there is no key for them.
pub(crate) fn driver(settings: &Settings) -> anyhow::Result<(Driver, Key)> {
    let data = std::path::absolute(&settings.engine.data).context("the data directory's own path")?;
    let key_file = std::path::absolute(&settings.engine_key_file).context("the engine key's own path")?;
    let key = Key::open_or_create(&key_file)?;
    let program = std::env::current_exe().context("the program's own file")?;
    Ok((Driver { program, directory: data.join("engines"), key_file, environment: settings.environment.clone() }, key))
}

/// What is asked of the edge of this process.
pub(crate) fn engines(client: &Client, key: Key) -> Engines {
    let of = || client.clone();
    let (known, connecting, gone, heard, moving) = (of(), of(), of(), of(), of());
    Engines {
        show: Box::new(move |id| {
            let show = known.shows().get(id)?;
            let goes_on = show.performances.iter().filter_map(|id| known.performance(*id)).any(|performance| {
                let rules = performance.publication.rules();
                rules.called_off.is_none() && rules.terms.ends_at > known.now()
            });
            Some(Known { seller: show.seller, has_performances: !show.performances.is_empty(), goes_on })
        }),
        connect: Box::new(move |address| connecting.connect(address, &key)),
        disconnect: Box::new(move |address| gone.disconnect(address)),
        is_connected: Box::new(move |address| heard.is_connected(address)),
        move_show: Box::new(move |show, address| {
            let client = moving.clone();
            Box::pin(async move { client.move_show(show, &address).await.map_err(problem_of_registry) })
        }),
    }
}
