//! Money, from outside the engine: whoever asks for it, and tells the engine what became of it.
//!
//! A booking that has something to pay is a promise in the journal before anybody is asked for money. The
//! [`collector`] learns of it from the engine, takes the step that is due through a [`provider`], and gives the engine
//! what the provider said. So does a provider's own notice, once its signature is checked. Whatever is lost between the
//! two, the step is due until the engine has heard of its end; it has one name, so that it is taken once.
//!
//! There are two providers: [`stripe`], and [`test_psp`], a process of its own to try everything with.

pub mod collector;
pub mod provider;
pub mod stripe;
pub mod test_psp;

mod http_client;
