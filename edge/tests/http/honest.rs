//! An honest buyer, who goes on buying whatever others do to the server.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::fixture::{Hall, id};

/// Does something while an honest buyer looks, holds a place and gives it back, again and again, each time on a new
/// connection. None of that may fail.
#[track_caller]
pub(crate) fn meanwhile<T>(hall: &Hall, act: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let honest = scope.spawn(|| {
            let lee = hall.buyer("acc_lee");
            let wish = json!({"general_admission": {"section": "Floor", "quantity": 1}});
            // At least once, also where the other is quicker than that.
            loop {
                hall.availability();
                let hold = id(&hall.hold(&lee, &wish).expect(201).json());
                hall.delete(&format!("/v1/holds/{hold}")).token(&lee).expect(204);
                if done.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        // Said also when `act` panics, which would else be waited for in vain.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        done.store(true, Ordering::Relaxed);
        honest.join().expect("an honest request was not answered as it should be");
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
