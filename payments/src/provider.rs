//! The seam to payment providers: five steps, a look, and their notices.

use http::HeaderMap;
use onrush_engine::command::{PaymentNotice, PaymentStatus};
use onrush_engine::id::BookingId;
use onrush_engine::money::Money;
use thiserror::Error;

/// Who asks buyers for money. Each step has one name: the booking's id, and what the step is; a provider takes a named
/// step once, however often it is asked.
pub trait Provider: Send + Sync + 'static {
    /// Makes a payment known, so that the buyer can pay. Money is reserved then, and collected by [`Self::capture`].
    ///
    /// # Errors
    /// [`ProviderError`], as for all steps.
    fn authorise(&self, order: &Order) -> impl Future<Output = Result<Charge, ProviderError>> + Send;

    /// Collects the reserved money.
    ///
    /// # Errors
    /// [`ProviderError`]
    fn capture(&self, order: &Order, reference: &str) -> impl Future<Output = Result<Charge, ProviderError>> + Send;

    /// Lets reserved money go; nobody can pay any more.
    ///
    /// # Errors
    /// [`ProviderError`]
    fn void(&self, order: &Order, reference: &str) -> impl Future<Output = Result<Charge, ProviderError>> + Send;

    /// Sends money back: the payment's refund with this place.
    ///
    /// # Errors
    /// [`ProviderError`]
    fn refund(
        &self,
        order: &Order,
        reference: &str,
        number: u32,
        amount: Money,
    ) -> impl Future<Output = Result<(), ProviderError>> + Send;

    /// A payment as it is there; nothing where it is not known, or its name is not.
    ///
    /// # Errors
    /// [`ProviderError`]
    fn look_up(&self, order: &Order) -> impl Future<Output = Result<Option<Charge>, ProviderError>> + Send;

    /// What a notice says, once it is known to come from the provider; nothing where it is about something else.
    ///
    /// # Errors
    /// [`NoticeError`], where it does not come from there, or cannot be read.
    fn read_notice(&self, headers: &HeaderMap, body: &[u8]) -> Result<Option<PaymentNotice>, NoticeError>;
}

/// What is to be paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The booking.
    pub booking: BookingId,
    /// What is asked for.
    pub amount: Money,
    /// The provider's name for the payment, once it is known.
    pub reference: Option<String>,
}

/// A payment as its provider has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The provider's name for it.
    pub reference: String,
    /// How far it is.
    pub status: PaymentStatus,
    /// What was asked for.
    pub amount: Money,
    /// How the buyer pays.
    pub checkout: Checkout,
}

/// How a buyer pays: one of the two, as the provider has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkout {
    /// The provider's page.
    pub url: Option<String>,
    /// What the provider's own component in a page needs.
    pub client_secret: Option<String>,
}

/// Why a step was not taken, or is not known to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProviderError {
    /// The provider said no, and will say so again.
    #[error("the payment provider refused: {0}")]
    Refused(String),
    /// There was no answer, or none that says anything: it may have been done. Never to be taken for a no (E11).
    #[error("the payment provider gave no answer: {0}")]
    Unknown(String),
}

/// Why a notice is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoticeError {
    /// Not signed by the provider, or too long ago.
    #[error("the notice is not signed by the payment provider, or is too old")]
    Signature,
    /// Signed, but not what a provider says.
    #[error("the notice cannot be read: {0}")]
    Content(String),
}

impl Charge {
    /// What the engine is told of it.
    pub fn notice(&self, booking: BookingId) -> PaymentNotice {
        PaymentNotice {
            booking,
            reference: Some(self.reference.as_str().into()),
            amount: Some(self.amount),
            status: self.status,
        }
    }
}

impl Order {
    /// The name of a step, the same whenever it is asked for.
    pub fn step(&self, step: &str) -> String {
        format!("{}:{step}", self.booking)
    }
}
