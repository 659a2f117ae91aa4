//! Guests: who they are, for as long as the seller may need to know, and their way back to what they have booked.
//!
//! Nothing is kept of somebody who only looks: a guest's first token needs no record. What a guest says of themselves is
//! noted before the booking, once, and never changed, so that requests which cross each other leave no booking with
//! somebody else's password. It goes when nothing that the guest has booked needs it any more.

use std::time::Duration;

use onrush_api::accounts::{Secret, Session};
use onrush_api::guests::{GUEST_PREFIX, Guest, GuestAnswer, GuestDraft, GuestQuestion, GuestReturn, is_guest};
use onrush_api::peer::Peer;
use onrush_api::problem::{Kind, Problem};
use onrush_api::session::{Scopes, SessionId};
use onrush_api::text::{Text, Time};
use onrush_api::token::{Caller, Role};
use onrush_engine::id::AccountId;
use onrush_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::{key, read, unreadable};
use super::throttle::Subject;
use super::turns::Who;
use super::{Accounts, Refused, name, place, secret, too_often, wrong_credentials};
use crate::store::{Change, StoreError};

/// When the last performance is over that an account has booked; nothing where it has booked nothing. Only who knows the
/// engines can say.
pub type BookedUntil = Box<dyn Fn(AccountId) -> Result<Option<Timestamp>, Problem> + Send + Sync>;

/// How long a seller may need to know who a guest was, after the performance.
const KEPT: Duration = Duration::from_hours(30 * 24);
/// What nothing was booked with is kept for so long: what was under way is over by then, and the token that it had.
const UNUSED_KEPT: Duration = Duration::from_hours(24);
/// Guests of one question.
const ASKED_MAX: usize = 1_000;

/// What is kept of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct GuestRecord {
    guest: Guest,
    /// A PHC string.
    password: String,
    noted_at: Time,
}

impl Accounts {
    /// Makes somebody a guest: a token to hold and to book with, and nothing that is kept. Who is one already, by a token
    /// that is still good, stays the same one.
    ///
    /// # Errors
    /// `quota-exceeded`, where there were too many from one place.
    pub fn begin_guest(&self, token: Option<&str>, peer: Peer) -> Result<Session, Problem> {
        let known = token.and_then(|token| self.bearer(token).ok());
        if let Some(Caller { account, role: Role::Guest, session: Some(session), .. }) = known {
            return Ok(self.guest_session(account, session));
        }
        let place: Vec<Subject> = place(peer).map(Subject::Guests).into_iter().collect();
        self.throttle.take(&place, self.now()).map_err(too_often)?;
        // 120 random bits: with the prefix, no more than an account's id may have.
        let id = format!("{GUEST_PREFIX}{:030x}", secret::id()?.0 >> 8);
        Ok(self.guest_session(id.parse().map_err(|_| Problem::new(Kind::Internal))?, secret::id()?))
    }

    /// Of a session nothing is kept, unless it is ended before its token has expired.
    fn guest_session(&self, account: AccountId, session: SessionId) -> Session {
        self.tokens(account, Role::Guest, Some(session), Scopes::All, None)
    }

    /// Notes who a guest is; or makes sure that it is what was noted before. Who that is.
    ///
    /// # Errors
    /// `invalid-body`; `quota-exceeded` after too many other passwords; `overloaded`, where too many wait.
    pub async fn note_guest(&self, account: AccountId, draft: GuestDraft) -> Result<Guest, Problem> {
        let GuestDraft { name: called, phone: number, password } = draft;
        let guest = Guest { name: name(&called, "/guest/name")?, phone: phone(&number)? };
        if let Some(known) = self.guest(account).await? {
            return self.check_same(&account, known, &guest, &password).await;
        }
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        self.hasher.check(Who::Stranger, &password, &digits, &guest.name, "/guest/password").await?;
        let (hash, noted_at) = (self.hasher.hash(Who::Stranger, &password).await?, Time(self.now()));
        let record = GuestRecord { guest, password: hash, noted_at };
        let noted = self.with_store(move |store| {
            store.write(|| {
                let key = key::guest(&account);
                let first = read::<GuestRecord>(store, &key)?;
                let bytes = serde_json::to_vec(&record).expect("records are plain and always make JSON");
                let change = if first.is_none() { Change::default().put(key, bytes) } else { Change::default() };
                Ok::<_, Refused>((change, (first, record.guest)))
            })
        });
        match noted.await? {
            (None, guest) => Ok(guest),
            (Some(first), guest) => self.check_same(&account, first, &guest, &password).await,
        }
    }

    async fn guest(&self, account: AccountId) -> Result<Option<GuestRecord>, Problem> {
        Ok(self.with_store(move |store| Ok(read(store, &key::guest(&account))?)).await?)
    }

    async fn check_same(
        &self,
        account: &AccountId,
        known: GuestRecord,
        guest: &Guest,
        password: &Secret,
    ) -> Result<Guest, Problem> {
        let other = || {
            let detail =
                "you have said another name, phone or password before; say the same, or begin as another guest";
            Problem::field("/guest", detail)
        };
        if known.guest != *guest {
            return Err(other());
        }
        let tries = [Subject::Guest(secret::short(account.as_str().as_bytes()))];
        match self.try_secret(Who::Stranger, &tries, password, Some(&known.password)).await {
            Ok(()) => Ok(known.guest),
            Err(problem) if problem.kind == Kind::WrongCredentials => Err(other()),
            Err(problem) => Err(problem),
        }
    }

    /// Who some guests are.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn guests(&self, question: GuestQuestion) -> Result<GuestAnswer, Problem> {
        if question.accounts.len() > ASKED_MAX {
            return Err(Problem::field("/accounts", format!("at most {ASKED_MAX}")));
        }
        let answered = self.with_store(move |store| {
            let guest = |Text(account): &Text<AccountId>| read::<GuestRecord>(store, &key::guest(account));
            let guests = question.accounts.iter().map(|account| Ok(guest(account)?.map(|record| record.guest)));
            Ok(GuestAnswer { guests: guests.collect::<Result<_, StoreError>>()? })
        });
        Ok(answered.await?)
    }

    /// Lets a guest come back to a booking.
    ///
    /// # Errors
    /// `wrong-credentials`, after the same time whatever was wrong; `quota-exceeded` after too many of these.
    pub async fn return_guest(&self, back: GuestReturn, peer: Peer) -> Result<Session, Problem> {
        let account = back.account.map(|Text(account)| account).filter(is_guest);
        // A guest has one password for all that they have booked, so its tries are counted together.
        let tried = account.map_or_else(|| back.booking.0.to_string(), |account| account.to_string());
        let guest = Subject::Guest(secret::short(tried.as_bytes()));
        let tries: Vec<Subject> = std::iter::once(guest).chain(place(peer).map(Subject::Place)).collect();
        let known = self.with_store(move |store| {
            Ok(account.map_or(Ok(None), |account| read::<GuestRecord>(store, &key::guest(&account)))?)
        });
        let known = known.await?;
        let kept = known.as_ref().map(|known| known.password.as_str());
        self.try_secret(Who::Stranger, &tries, &back.password, kept).await?;
        Ok(self.guest_session(account.ok_or_else(wrong_credentials)?, secret::id()?))
    }

    /// The places of guests whom nobody needs to know any more. Who has booked nothing since yesterday does not do so any
    /// more: the token is not good any longer.
    pub(super) fn unneeded_guests(&self, now: Timestamp) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut places = Vec::new();
        for (place, bytes) in self.store.below(key::GUEST)? {
            let record: GuestRecord = serde_json::from_slice(&bytes).map_err(|_| unreadable(&place))?;
            let account = key::name(&place, key::GUEST).ok_or_else(|| unreadable(&place))?;
            if now - record.noted_at.0 <= UNUSED_KEPT {
                continue;
            }
            match (self.booked_until)(account) {
                Ok(None) => places.push(place),
                Ok(Some(end)) if end + KEPT <= now => places.push(place),
                Ok(Some(_)) => {}
                Err(problem) => tracing::debug!(detail = problem.body().detail, "nobody says what guests have booked"),
            }
        }
        Ok(places)
    }
}

/// A telephone number as it is kept: whoever calls there decides whether it is one.
fn phone(phone: &str) -> Result<String, Problem> {
    let phone = phone.trim();
    let digits = phone.chars().filter(char::is_ascii_digit).count();
    let plain = phone.len() <= 30 && phone.chars().all(|char| char.is_ascii_digit() || "+-() ".contains(char));
    let fine = plain && (5..=15).contains(&digits);
    fine.then(|| phone.to_owned())
        .ok_or_else(|| Problem::field("/guest/phone", "expected 5 to 15 digits, such as +82 10-1234-5678"))
}
