//! Sessions as access tokens name them, what a machine's session may do, and which sessions are over.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use onrush_engine::id::AccountId;
use onrush_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::token::{Caller, Role};

/// Names a session: 128 random bits, written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u128);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for SessionId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or_else(|| "expected 32 hexadecimal digits".to_owned())
    }
}

/// What a machine's key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// What buyers do.
    Book,
    /// What sellers do.
    Sell,
    /// What admins do.
    Ops,
}

impl Scope {
    fn of(role: Role) -> Self {
        match role {
            Role::Buyer | Role::Guest => Self::Book,
            Role::Seller => Self::Sell,
            Role::Admin => Self::Ops,
        }
    }
}

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scopes {
    /// All that its role may do.
    All,
    /// A part of that, one bit each.
    Some(u8),
}

impl Scopes {
    /// A part of what a role may do.
    pub fn some(scopes: &[Scope]) -> Self {
        Self::Some(scopes.iter().fold(0, |bits, scope| bits | 1 << *scope as u8))
    }

    /// The list of a part; nothing for all.
    pub fn list(self) -> Option<Vec<Scope>> {
        let Self::Some(bits) = self else { return None };
        let has = |scope: &Scope| bits & (1 << *scope as u8) != 0;
        Some([Scope::Book, Scope::Sell, Scope::Ops].into_iter().filter(has).collect())
    }

    /// Whether a call that is open to these roles may be made.
    pub fn cover(self, roles: &[Role]) -> bool {
        match self {
            Self::All => true,
            Self::Some(bits) => roles.iter().any(|role| bits & (1 << Scope::of(*role) as u8) != 0),
        }
    }
}

/// What is over although its tokens have not expired. Every edge looks here, so that it need not ask anybody.
#[derive(Debug, Default)]
pub struct Revocations {
    /// Whether there are any: mostly not, and then nothing is looked up.
    any: AtomicBool,
    /// With a time by which all its tokens have expired.
    sessions: RwLock<HashMap<SessionId, Timestamp>>,
    /// Closed accounts: nothing is ever done in their names again.
    accounts: RwLock<HashSet<AccountId>>,
    log: RwLock<Log>,
    /// How much was ever added to that.
    changes: watch::Sender<u64>,
}

/// What ended, in this order, for those who tell it to others.
#[derive(Debug, Default)]
struct Log {
    sessions: VecDeque<(SessionId, Timestamp)>,
    /// Sessions that were before the first of these, and are forgotten.
    forgotten: u64,
    accounts: Vec<AccountId>,
}

/// How far somebody has read what ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bookmark {
    sessions: u64,
    accounts: usize,
}

/// What ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Sessions, each with a time by which all its tokens have expired.
    pub sessions: Vec<(SessionId, Timestamp)>,
    /// Accounts.
    pub accounts: Vec<AccountId>,
}

impl Revocations {
    /// Ends a session. All its tokens expire before `until`.
    pub fn end_session(&self, session: SessionId, until: Timestamp) {
        let before = self.sessions.write().unwrap_or_else(PoisonError::into_inner).insert(session, until);
        self.any.store(true, Ordering::Release);
        if before.is_none_or(|before| before < until) {
            self.note(|log| log.sessions.push_back((session, until)));
        }
    }

    fn note(&self, note: impl FnOnce(&mut Log)) {
        note(&mut self.log.write().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// How much has ended up to now, and every change of that.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What ended since somebody has read, and is not expired; all of it, for a new bookmark.
    pub fn since(&self, bookmark: &mut Bookmark) -> Ended {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        let read = usize::try_from(bookmark.sessions.saturating_sub(log.forgotten)).unwrap_or(usize::MAX);
        let sessions = log.sessions.iter().skip(read).copied().collect();
        let accounts = log.accounts.get(bookmark.accounts..).map(<[_]>::to_vec).unwrap_or_default();
        *bookmark = Bookmark { sessions: log.forgotten + log.sessions.len() as u64, accounts: log.accounts.len() };
        Ended { sessions, accounts }
    }

    /// Forgets the sessions whose tokens have all expired.
    pub fn forget_expired(&self, now: Timestamp) {
        self.sessions.write().unwrap_or_else(PoisonError::into_inner).retain(|_, until| *until > now);
        let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
        // In the order in which they ended, which is nearly that in which their tokens expire.
        while log.sessions.front().is_some_and(|(_, until)| *until <= now) {
            log.sessions.pop_front();
            log.forgotten += 1;
        }
    }

    /// Ends all that is done in an account's name.
    pub fn close_account(&self, account: AccountId) {
        let is_new = self.accounts.write().unwrap_or_else(PoisonError::into_inner).insert(account);
        self.any.store(true, Ordering::Release);
        if is_new {
            self.note(|log| log.accounts.push(account));
        }
    }

    /// Whether a caller's token is void before its time.
    pub fn cover(&self, caller: &Caller) -> bool {
        self.any.load(Ordering::Acquire) && self.find(caller)
    }

    fn find(&self, caller: &Caller) -> bool {
        let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        caller.session.is_some_and(|session| sessions.contains_key(&session)) || accounts.contains(&caller.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::MIN;

    fn caller(account: &str, session: u128) -> Caller {
        let (account, expires_at) = (account.parse().unwrap(), NOW + Duration::from_secs(900));
        Caller { account, role: Role::Buyer, session: Some(SessionId(session)), scopes: Scopes::All, expires_at }
    }

    #[test]
    fn a_session_reads_back_and_nothing_else_does() {
        let session = SessionId(0x1234 << 100);
        assert_eq!(session.to_string().parse(), Ok(session));
        for text in ["", "1", "+0000000000000000000000000000000", "g0000000000000000000000000000000"] {
            assert!(text.parse::<SessionId>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_over_is_over_for_that_session_or_account_only() {
        let revocations = Revocations::default();
        assert!(!revocations.cover(&caller("acc_a", 1)));
        revocations.end_session(SessionId(1), NOW + Duration::from_secs(900));
        assert!(revocations.cover(&caller("acc_a", 1)) && !revocations.cover(&caller("acc_a", 2)));
        revocations.close_account("acc_b".parse().unwrap());
        assert!(revocations.cover(&caller("acc_b", 2)) && !revocations.cover(&caller("acc_c", 2)));
    }

    #[test]
    fn an_ended_session_is_forgotten_once_its_tokens_have_expired() {
        let revocations = Revocations::default();
        revocations.end_session(SessionId(1), NOW + Duration::from_secs(900));
        revocations.end_session(SessionId(2), NOW + Duration::from_secs(1800));
        revocations.forget_expired(NOW + Duration::from_secs(900));
        assert!(!revocations.cover(&caller("acc_a", 1)) && revocations.cover(&caller("acc_a", 2)));
    }

    #[test]
    fn what_ended_is_told_once_to_each_and_from_the_beginning_to_who_comes_late() {
        let (revocations, until) = (Revocations::default(), |seconds| NOW + Duration::from_secs(seconds));
        let (mut one, mut other) = (Bookmark::default(), Bookmark::default());
        revocations.end_session(SessionId(1), until(900));
        revocations.end_session(SessionId(1), until(900));
        assert_eq!(revocations.since(&mut one).sessions, [(SessionId(1), until(900))]);
        assert_eq!(revocations.since(&mut one), Ended::default());
        revocations.end_session(SessionId(2), until(1_800));
        revocations.close_account("acc_a".parse().unwrap());
        revocations.close_account("acc_a".parse().unwrap());
        assert_eq!(*revocations.changes().borrow(), 3);
        revocations.forget_expired(until(900));
        let rest = Ended { sessions: vec![(SessionId(2), until(1_800))], accounts: vec!["acc_a".parse().unwrap()] };
        assert_eq!((revocations.since(&mut one), revocations.since(&mut other)), (rest.clone(), rest));
        assert_eq!(revocations.since(&mut other), Ended::default());
    }

    #[test]
    fn scopes_are_a_part_of_what_a_role_may() {
        let sell = Scopes::some(&[Scope::Sell]);
        assert!(sell.cover(&[Role::Seller, Role::Admin]) && !sell.cover(&[Role::Admin]) && !sell.cover(&[Role::Buyer]));
        assert!(Scopes::All.cover(&[Role::Buyer]) && !Scopes::some(&[]).cover(&[Role::Buyer]));
        assert_eq!(Scopes::some(&[Scope::Ops, Scope::Book]).list(), Some(vec![Scope::Book, Scope::Ops]));
    }
}
