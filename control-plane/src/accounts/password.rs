//! Passwords: which ones are taken, how they are kept, and how many are worked on at one time.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use onrush_api::accounts::Secret;
use onrush_api::problem::{Kind, Problem};

use super::turns::{Turns, Who};

/// Argon2id with what OWASP's password storage cheat sheet asks for at least: 19 MiB, two passes, one lane.
static ARGON2: LazyLock<Argon2<'static>> = LazyLock::new(|| {
    let params = Params::new(19 * 1024, 2, 1, None).expect("the cheat sheet's numbers are within Argon2's");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
});

/// What is verified where there is no account, so that an answer takes as long as for a wrong password.
static NOBODYS: LazyLock<String> = LazyLock::new(|| hash("nobody has this password").unwrap_or_default());

/// Characters of a password.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=256;
/// Characters that are looked at for how soon a password is guessed.
const ESTIMATED: usize = 20;
/// A password that is guessed within so many tries stands in lists that people try out.
const GUESSES_MIN: u64 = 10_000;

/// What can be said of a password at once.
///
/// # Errors
/// `invalid-body`.
pub(super) fn check_length(Secret(password): &Secret, pointer: &str) -> Result<(), Problem> {
    let fine = LENGTH.contains(&password.chars().count());
    if fine { Ok(()) } else { Err(Problem::field(pointer, "8 to 256 characters")) }
}

/// Whether a password may be chosen by somebody with this address, or telephone number, and this name.
///
/// # Errors
/// `invalid-body`, which says what is asked for. There are no rules about kinds of characters (NIST SP 800-63B, 3.1.1.2).
fn check(password: &Secret, address: &str, name: &str, pointer: &str) -> Result<(), Problem> {
    check_length(password, pointer)?;
    let Secret(password) = password;
    // How long an estimate takes grows fast with the length, and nobody's list has anything longer.
    let beginning: String = password.chars().take(ESTIMATED).collect();
    if zxcvbn::zxcvbn(&beginning, &[address, name, "onrush"]).guesses() < GUESSES_MIN {
        return Err(Problem::field(pointer, "this password is one of the first that are tried; choose another"));
    }
    Ok(())
}

fn hash(password: &str) -> Option<String> {
    ARGON2.hash_password(password.as_bytes()).ok().map(|hash| hash.to_string())
}

fn is_right(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| ARGON2.verify_password(password.as_bytes(), &hash).is_ok())
}

/// Does the slow work, so much of it at one time and no more; for whoever is known first.
pub(crate) struct Hasher {
    turns: Arc<Turns>,
}

impl Hasher {
    pub(crate) fn new(at_once_max: usize, waiting_max: usize) -> Self {
        Self { turns: Turns::new(at_once_max, waiting_max) }
    }

    /// As [`check`], which is slow work, too.
    pub(crate) async fn check(
        &self,
        who: Who,
        password: &Secret,
        address: &str,
        name: &str,
        pointer: &'static str,
    ) -> Result<(), Problem> {
        let (password, address, name) = (password.clone(), address.to_owned(), name.to_owned());
        self.work(who, move || check(&password, &address, &name, pointer)).await?
    }

    /// A password as it is kept.
    pub(crate) async fn hash(&self, who: Who, password: &Secret) -> Result<String, Problem> {
        let Secret(password) = password.clone();
        self.work(who, move || hash(&password)).await?.ok_or_else(|| Problem::new(Kind::Internal))
    }

    /// Whether a password is the one that is kept. Without one it takes as long, and is not.
    pub(crate) async fn is_right(&self, who: Who, password: &Secret, kept: Option<&str>) -> Result<bool, Problem> {
        let Secret(password) = password.clone();
        let kept = kept.map(str::to_owned);
        self.work(who, move || is_right(&password, kept.as_ref().unwrap_or(&NOBODYS)) && kept.is_some()).await
    }

    async fn work<T: Send + 'static>(&self, who: Who, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let busy = || Problem::new(Kind::Overloaded).retry_after(2);
        let turn = self.turns.take(who).await.ok_or_else(busy)?;
        // A caller who goes away does not stop the work, so the next one's turn comes only when that is done.
        let work = move || {
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Problem::new(Kind::Internal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    fn is_taken(password: &str) -> bool {
        check(&secret(password), "kim@example.org", "Kim Minji", "/password").is_ok()
    }

    #[test]
    fn short_and_much_used_passwords_are_refused_and_no_kind_of_character_is_asked_for() {
        for refused in ["", "1234567", "password", "password1", "12345678", "qwertyuiop", "iloveyou", &"x".repeat(257)]
        {
            assert!(!is_taken(refused), "{refused}");
        }
        let longest: String = (0..256).filter_map(|number| char::from_u32(0xAC00 + number * number % 9000)).collect();
        for taken in ["correct horse battery staple", "오늘밤엔별이많다네", "vkdlfjqmtmxm9-4", &longest] {
            assert!(is_taken(taken), "{taken}");
        }
    }

    #[tokio::test]
    async fn a_password_is_kept_as_argon2id_with_a_salt_of_its_own() {
        let hasher = Hasher::new(1, 0);
        let (one, other) = (
            hasher.hash(Who::Known, &secret("wintergarden 3")).await,
            hasher.hash(Who::Known, &secret("wintergarden 3")).await,
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && one != other, "{one}");
        assert!(hasher.is_right(Who::Stranger, &secret("wintergarden 3"), Some(&one)).await.unwrap());
        assert!(!hasher.is_right(Who::Stranger, &secret("wintergarden 4"), Some(&one)).await.unwrap());
        assert!(!hasher.is_right(Who::Stranger, &secret("nobody has this password"), None).await.unwrap());
    }

    #[tokio::test]
    async fn who_would_have_to_wait_too_long_is_asked_to_come_back() {
        let hasher = Hasher::new(1, 1);
        let password = secret("wintergarden 3");
        let all = tokio::join!(
            hasher.hash(Who::Stranger, &password),
            hasher.hash(Who::Stranger, &password),
            hasher.hash(Who::Stranger, &password)
        );
        assert_eq!([all.0.is_ok(), all.1.is_ok(), all.2.is_ok()], [true, true, false]);
        assert!(hasher.hash(Who::Stranger, &password).await.is_ok(), "room again");
    }

    #[tokio::test]
    async fn who_goes_away_leaves_no_place_before_the_work_is_done() {
        let hasher = Hasher::new(1, 0);
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, ends) = std::sync::mpsc::channel::<()>();
        let work = hasher.work(Who::Stranger, move || {
            begun.send(()).unwrap();
            ends.recv().unwrap();
        });
        let mut work = Box::pin(work);
        assert!(is_pending(work.as_mut()).await, "under way");
        has_begun.recv().unwrap();
        drop(work);
        assert!(hasher.work(Who::Stranger, || ()).await.is_err(), "the place is still taken");
        end.send(()).unwrap();
        while hasher.work(Who::Stranger, || ()).await.is_err() {}
    }

    /// A missing account takes a hash like any other: where there is no place for one, its caller waits, too.
    #[tokio::test]
    async fn a_missing_account_takes_a_hash_as_well() {
        let hasher = Hasher::new(1, 0);
        let _turn = hasher.turns.take(Who::Stranger).await.unwrap();
        for kept in [None, Some("$argon2id$")] {
            assert!(hasher.is_right(Who::Stranger, &secret("wintergarden 3"), kept).await.is_err(), "{kept:?}");
        }
    }

    /// Polls once; whether it is pending.
    async fn is_pending<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
        std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending())).await
    }
}
