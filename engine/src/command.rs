//! What can be asked of an inventory.

#![expect(missing_docs, reason = "what rkyv derives from variants with named fields has no comments")]

use crate::id::{AccountId, BlockId, BookingId, HoldId, TicketId};
use crate::money::Money;
use crate::performance::{PriceList, Terms};
use crate::seat_map::{SeatIndex, SeatList, SectionIndex, TierIndex};
use rkyv::{Archive, Deserialize, Serialize};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// Whether it operates the platform, and so may do what any seller may.
    pub admin: bool,
}

/// A client's word that two requests are one: both digests come from whoever read the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct RequestKey {
    /// Digest of the operation and the `Idempotency-Key`.
    pub key: [u64; 2],
    /// Digest of the request's body.
    pub fingerprint: u64,
}

/// A change that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Command {
    /// Take seats for a buyer for a short time.
    HoldSeats(HoldSeats),
    /// Give a hold's seats back.
    ReleaseHold {
        /// Whose hold it has to be.
        caller: Caller,
        /// The hold.
        hold: HoldId,
    },
    /// Make a hold an order.
    BookHold(BookHold),
    /// Give up seats of a booking.
    CancelSeats(CancelSeats),
    /// Take house seats out of sale.
    BlockSeats(BlockSeats),
    /// Give house seats back.
    LiftBlock {
        /// The seller, or an admin.
        caller: Caller,
        /// The block.
        block: BlockId,
    },
    /// Change the rules of the sale, or its prices.
    ChangeTerms(ChangeTerms),
    /// Say yes or no to a booking.
    DecideBooking(DecideBooking),
    /// Take note of what a payment provider says.
    NotePayment(PaymentNotice),
    /// Call the performance off.
    CancelPerformance(CancelPerformance),
    /// Give a ticket to somebody else.
    TransferTicket {
        /// Who has it.
        caller: Caller,
        /// The ticket.
        ticket: TicketId,
        /// Who is to have it.
        to: AccountId,
        /// Whether the request is one that may have come before.
        key: Option<RequestKey>,
    },
    /// Let somebody in with a ticket, once.
    CheckIn {
        /// The seller, or an admin.
        caller: Caller,
        /// The ticket.
        ticket: TicketId,
        /// Which issue of it the code was; nothing where nobody looked at a code.
        issue: Option<u16>,
        /// Whether the request is one that may have come before.
        key: Option<RequestKey>,
    },
}

impl Command {
    /// Whether it begins something, which a disk that is nearly full has no room for; the others end what was begun.
    pub(crate) fn begins(&self) -> bool {
        match self {
            Self::HoldSeats(_) | Self::BlockSeats(_) | Self::ChangeTerms(_) | Self::TransferTicket { .. } => true,
            Self::ReleaseHold { .. }
            | Self::BookHold(_)
            | Self::CancelSeats(_)
            | Self::LiftBlock { .. }
            | Self::DecideBooking(_)
            | Self::NotePayment(_)
            | Self::CancelPerformance(_)
            | Self::CheckIn { .. } => false,
        }
    }
}

/// See [`Command::HoldSeats`].
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct HoldSeats {
    /// The buyer.
    pub caller: Caller,
    /// Which seats.
    pub wish: Wish,
    /// Random bits for the hold's id.
    pub nonce: u64,
    /// Whether the request is one that may have come before.
    pub key: Option<RequestKey>,
}

/// Which seats a buyer wants.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Wish {
    /// These, all or none.
    Seats(SeatList),
    /// These, or where one of them is taken as many others of their tier side by side, as near to them as can be.
    SeatsOrNearest(SeatList),
    /// The best free ones.
    BestAvailable(BestAvailable),
    /// Places in a standing area.
    GeneralAdmission {
        /// The area.
        section: SectionIndex,
        /// How many.
        quantity: u32,
    },
    /// What a buyer said before the rush.
    Preferred(Box<Preferred>),
}

/// See [`Wish::Preferred`].
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Preferred {
    /// How many.
    pub quantity: u32,
    /// Where, the most wanted first; where there are none, anywhere.
    pub sections: Vec<SectionIndex>,
    /// The most that one seat may cost when it is held, in minor units.
    pub price_max: Option<i64>,
    /// What will do where none of these sections has the seats side by side.
    pub fallback: Fallback,
}

/// See [`Preferred::fallback`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Fallback {
    /// Nothing else.
    Nothing,
    /// The same sections, not all side by side.
    Apart,
    /// Any section within the price, side by side; and only then apart.
    Elsewhere,
}

/// See [`Wish::BestAvailable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct BestAvailable {
    /// How many.
    pub quantity: u32,
    /// Only in this tier.
    pub tier: Option<TierIndex>,
    /// Only in this section.
    pub section: Option<SectionIndex>,
    /// All side by side.
    pub adjacent: bool,
}

/// See [`Command::BookHold`].
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct BookHold {
    /// Whose hold it has to be.
    pub caller: Caller,
    /// The hold.
    pub hold: HoldId,
    /// What the booking is for.
    pub purpose: Option<Box<str>>,
    /// Random bits for the booking's id.
    pub nonce: u64,
    /// Whether the request is one that may have come before.
    pub key: Option<RequestKey>,
}

/// See [`Command::CancelSeats`].
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct CancelSeats {
    /// The buyer, the seller, or an admin.
    pub caller: Caller,
    /// The booking.
    pub booking: BookingId,
    /// Which of its seats; all that are left, where nothing is said.
    pub seats: Option<SeatList>,
    /// Whether the request is one that may have come before.
    pub key: Option<RequestKey>,
}

/// See [`Command::BlockSeats`].
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct BlockSeats {
    /// The seller, or an admin.
    pub caller: Caller,
    /// Which seats: all or none.
    pub seats: Vec<SeatIndex>,
    /// Why.
    pub reason: Option<Box<str>>,
    /// Random bits for the block's id.
    pub nonce: u64,
    /// Whether the request is one that may have come before.
    pub key: Option<RequestKey>,
}

/// See [`Command::ChangeTerms`].
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct ChangeTerms {
    /// The seller, or an admin.
    pub caller: Caller,
    /// What the new ones were made from: nothing is changed where something else is in force by now.
    pub based_on: Option<Box<(Terms, PriceList)>>,
    /// The rules from now on.
    pub terms: Terms,
    /// The prices from now on, one for each tier and all in one currency; what is held or booked keeps its own.
    pub prices: Option<Vec<Money>>,
}

/// See [`Command::DecideBooking`].
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct DecideBooking {
    /// The seller, or an admin.
    pub caller: Caller,
    /// The booking.
    pub booking: BookingId,
    /// Yes or no.
    pub approve: bool,
    /// Why.
    pub reason: Option<Box<str>>,
}

/// What a payment provider says of a booking's payment. Nobody's command: whoever gives it has made sure that the
/// provider said so.
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct PaymentNotice {
    /// The booking.
    pub booking: BookingId,
    /// The provider's name for the payment; nothing where it knows of none.
    pub reference: Option<Box<str>>,
    /// What the provider was asked for; nothing where it does not say.
    pub amount: Option<Money>,
    /// How far it is.
    pub status: PaymentStatus,
}

/// How far a payment is, as its provider says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Archive, Serialize, Deserialize)]
pub enum PaymentStatus {
    /// It is known, and nobody has paid.
    Opened,
    /// The buyer's money is being asked for.
    Charging,
    /// The money is reserved.
    Authorised,
    /// The money has come.
    Captured,
    /// No money will come.
    Failed,
    /// The reserved money was let go, or nobody can pay any more.
    Voided,
    /// The refund with this place among the payment's refunds has gone out.
    Refunded(u32),
}

/// See [`Command::CancelPerformance`].
#[derive(Debug, Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct CancelPerformance {
    /// The seller, or an admin.
    pub caller: Caller,
    /// Why.
    pub reason: Option<Box<str>>,
}
