//! Onrush's own queue: the ring of a performance's mailbox, one wake-up, the actor on its thread, the reply.
//!
//! What goes through is asked for and refused, so that the queue is measured and not the sale. A request is handed over by
//! its pointer, so its length does not matter; a broker has to be sent its bytes.

use std::time::Duration;

use actix_rt::System;
use anyhow::ensure;
use onrush_engine::config::Config;
use onrush_engine::id::{HoldId, PerformanceId};
use onrush_engine::mailbox::{Ask, Failure};

use crate::client::{Load, Measured};
use crate::platform::{self, Platform};
use crate::{hall, queue};

const SEATS: u32 = 1000;

/// Measures the mailbox in this process: callers on this thread, the actor on its own.
///
/// # Errors
/// Where the engine does not start, or answers what it should not.
pub fn measure(load: Load) -> anyhow::Result<Measured> {
    System::new().block_on(async {
        let data = platform::directory()?;
        let platform = Platform::open(&Config::new(data.path().to_owned())).await?;
        let performances = platform.add_performances(1, SEATS).await?;
        let (client, performance) = (platform.client.clone(), performances[0].clone());
        let measured = queue::measure(
            load,
            || Ok(Duration::ZERO),
            move |caller| {
                let (client, performance) = (client.clone(), performance.clone());
                async move {
                    let nobodys = HoldId { performance: PerformanceId(1), number: u32::MAX, nonce: 0 };
                    let answer = client.ask(&performance, Ask::Hold(hall::buyer(caller), nobodys)).await;
                    ensure!(matches!(answer, Err(Failure::Refused(_))), "a hold that does not exist: {answer:?}");
                    Ok(())
                }
            },
        );
        let measured = measured.await?;
        platform.stop().await?;
        Ok(measured)
    })
}
