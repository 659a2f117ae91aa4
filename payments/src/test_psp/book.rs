//! What the test provider knows: its payments, in one file of JSON lines, the newest line of a payment being the true one.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::mood::Mood;
use super::wire::{NewPayment, NewRefund, Payment, Refund, Status};

/// See the module.
pub struct Book(Mutex<Pages>);

struct Pages {
    payments: HashMap<String, Entry>,
    /// The payment of each merchant's reference.
    ids: HashMap<String, String>,
    file: File,
}

/// A payment, and what it goes through.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) payment: Payment,
    pub(super) mood: Mood,
    /// Steps whose first answer was lost already.
    lost: Vec<&'static str>,
}

/// Why a step is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no such payment.
    Unknown,
    /// Not as it stands.
    Conflict(&'static str),
}

impl Book {
    /// Opens the book of a directory, or begins one.
    ///
    /// # Errors
    /// What the operating system says; also where the book holds something else.
    pub fn open(directory: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(directory.join("payments.jsonl"))?;
        let mut known = String::new();
        file.read_to_string(&mut known)?;
        let (mut payments, mut ids) = (HashMap::new(), HashMap::new());
        // The last line of a process that was killed while it wrote is none.
        for payment in known.lines().filter_map(|line| serde_json::from_str::<Payment>(line).ok()) {
            ids.insert(payment.reference.clone(), payment.id.clone());
            payments.insert(payment.id.clone(), Entry::of(payment));
        }
        if !known.is_empty() && !known.ends_with('\n') {
            file.write_all(b"\n")?;
        }
        let mut pages = Pages { payments, ids, file };
        pages.answer_for_the_banks();
        Ok(Self(Mutex::new(pages)))
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a payment, or finds the one that the reference has.
    pub(super) fn open_payment(&self, new: NewPayment, id: String) -> Result<Payment, Refusal> {
        let mut pages = self.pages();
        if let Some(known) = pages.ids.get(&new.reference).and_then(|id| pages.payments.get(id)) {
            let same = (known.payment.amount, &known.payment.currency) == (new.amount, &new.currency);
            return if same {
                Ok(known.payment.clone())
            } else {
                Err(Refusal::Conflict("the reference has another sum"))
            };
        }
        let NewPayment { reference, amount, currency } = new;
        let payment =
            Payment { id, reference, amount, currency, status: Status::Open, url: String::new(), refunds: Vec::new() };
        pages.ids.insert(payment.reference.clone(), payment.id.clone());
        pages.keep(Entry::of(payment.clone()));
        Ok(payment)
    }

    /// A payment by its id.
    pub(super) fn get(&self, id: &str) -> Result<Entry, Refusal> {
        self.pages().payments.get(id).cloned().ok_or(Refusal::Unknown)
    }

    /// A payment by the merchant's reference.
    pub(super) fn by_reference(&self, reference: &str) -> Result<Payment, Refusal> {
        let pages = self.pages();
        let entry = pages.ids.get(reference).and_then(|id| pages.payments.get(id));
        entry.map(|entry| entry.payment.clone()).ok_or(Refusal::Unknown)
    }

    /// The buyer begins to pay, and says what goes wrong.
    pub(super) fn begin(&self, id: &str, mood: Option<Mood>) -> Result<Entry, Refusal> {
        self.change(id, |entry| {
            if entry.payment.status != Status::Open {
                return Err(Refusal::Conflict("it was paid, or can be paid no more"));
            }
            entry.mood = mood.unwrap_or(entry.mood);
            entry.payment.status = Status::Processing;
            Ok(())
        })
    }

    /// The bank has answered.
    pub(super) fn answer(&self, id: &str) -> Result<Entry, Refusal> {
        self.change(id, |entry| {
            entry.answered();
            Ok(())
        })
    }

    pub(super) fn capture(&self, id: &str) -> Result<Entry, Refusal> {
        self.change(id, |entry| match entry.payment.status {
            Status::Captured => Ok(()),
            Status::Authorised if entry.mood.capture_fails => {
                entry.payment.status = Status::Declined;
                Ok(())
            }
            Status::Authorised => {
                entry.payment.status = Status::Captured;
                Ok(())
            }
            _ => Err(Refusal::Conflict("no money is reserved")),
        })
    }

    pub(super) fn void(&self, id: &str) -> Result<Entry, Refusal> {
        self.change(id, |entry| match entry.payment.status {
            Status::Open | Status::Authorised | Status::Voided => {
                entry.payment.status = Status::Voided;
                Ok(())
            }
            Status::Processing => Err(Refusal::Conflict("the bank is being asked")),
            Status::Declined => Err(Refusal::Conflict("no money is reserved")),
            Status::Captured => Err(Refusal::Conflict("the money was collected")),
        })
    }

    pub(super) fn refund(&self, id: &str, new: NewRefund) -> Result<Entry, Refusal> {
        self.change(id, |entry| {
            if entry.payment.refunds.iter().any(|known| known.name == new.name) {
                return Ok(());
            }
            let sent: i64 = entry.payment.refunds.iter().map(|refund| refund.amount).sum();
            if entry.payment.status != Status::Captured || new.amount <= 0 || sent + new.amount > entry.payment.amount {
                return Err(Refusal::Conflict("that is more than was collected"));
            }
            entry.payment.refunds.push(Refund { name: new.name, amount: new.amount });
            Ok(())
        })
    }

    /// Whether the answer to a step is to be lost: the first one, where the payment goes through that.
    pub(super) fn loses(&self, id: &str, step: &'static str) -> bool {
        let mut pages = self.pages();
        let Some(entry) = pages.payments.get_mut(id) else { return false };
        let loses = entry.mood.loses_answers && !entry.lost.contains(&step);
        entry.lost.extend(loses.then_some(step));
        loses
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Entry) -> Result<(), Refusal>) -> Result<Entry, Refusal> {
        let mut pages = self.pages();
        let mut entry = pages.payments.get(id).cloned().ok_or(Refusal::Unknown)?;
        change(&mut entry)?;
        pages.keep(entry.clone());
        Ok(entry)
    }
}

impl Entry {
    fn answered(&mut self) {
        if self.payment.status == Status::Processing {
            self.payment.status = if self.mood.declined { Status::Declined } else { Status::Authorised };
        }
    }

    fn of(payment: Payment) -> Self {
        Self { mood: Mood::of_amount(payment.amount), payment, lost: Vec::new() }
    }
}

impl Pages {
    /// Banks that were being asked when the last process ended have answered meanwhile.
    fn answer_for_the_banks(&mut self) {
        let asked: Vec<Entry> =
            self.payments.values().filter(|entry| entry.payment.status == Status::Processing).cloned().collect();
        for mut entry in asked {
            entry.answered();
            self.keep(entry);
        }
    }

    fn keep(&mut self, entry: Entry) {
        let mut line = serde_json::to_vec(&entry.payment).expect("a payment is plain and always makes JSON");
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            tracing::error!(%error, "the test provider forgets this at its end");
        }
        self.payments.insert(entry.payment.id.clone(), entry);
    }
}
