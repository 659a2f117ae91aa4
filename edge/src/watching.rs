//! What the control plane says of something, again each time that it says something else: server-sent events.
//!
//! It is asked anew for each look, with the token that came: so whoever may not see it any more hears no more.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use hyper::body::Frame;
use onrush_api::problem::Problem;
use rand::random_range;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use crate::connections::Connection;
use crate::control_plane::Answering;
use crate::streams::Closing;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Who listens.
pub(crate) struct Watching {
    /// Asks the control plane.
    pub(crate) ask: Box<dyn Fn() -> Answering + Send>,
    /// What was said last.
    pub(crate) told: Bytes,
    /// What ends all streams, and how often something is said at least.
    pub(crate) closing: Closing,
    /// One of those that there may be.
    pub(crate) _place: Connection,
}

struct Watch {
    watching: Watching,
    ticks: Interval,
    spoke: Instant,
}

/// The events, each a frame: at once what it is, and then each change. A problem is the last one.
pub(crate) fn events(watching: Watching) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let first = format!("retry: {}\n\n{}", random_range(1_000..4_000), event("deployment", &watching.told));
    let watch = Watch { watching, ticks, spoke: Instant::now() };
    unfold((Some(first), Some(watch)), |(first, watch)| async move {
        let mut watch = watch?;
        let (text, is_last) = match first {
            Some(first) => (first, false),
            None => watch.next().await?,
        };
        watch.spoke = Instant::now();
        Some((Ok(Frame::data(text.into())), (None, Some(watch).filter(|_| !is_last))))
    })
}

impl Watch {
    /// The next event, and whether it is the last one; nothing where the server stops.
    async fn next(&mut self) -> Option<(String, bool)> {
        loop {
            self.ticks.tick().await;
            if self.watching.closing.is_closed() {
                return None;
            }
            match (self.watching.ask)().await {
                Ok(now) if *now.body() != self.watching.told => {
                    self.watching.told = now.into_body();
                    return Some((event("deployment", &self.watching.told), false));
                }
                Ok(_) => {}
                Err(problem) => return Some((event("problem", &body_of(&problem)), true)),
            }
            if self.spoke.elapsed() >= self.watching.closing.keep_alive() {
                return Some((":\n\n".to_owned(), false));
            }
        }
    }
}

fn body_of(problem: &Problem) -> Bytes {
    serde_json::to_vec(problem.body()).expect("a problem is plain and always makes JSON").into()
}

/// An event (WHATWG HTML, section 9.2) whose data is JSON, and so has no line's end in it.
fn event(name: &str, json: &Bytes) -> String {
    format!("event: {name}\ndata: {}\n\n", String::from_utf8_lossy(json))
}
