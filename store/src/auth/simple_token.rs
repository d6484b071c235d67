//! Simple tokens: random words that this cluster gave out and remembers for a while.
//!
//! A token is made by a command, so that every member knows it; when it ends is each member's own affair, since every
//! use on a member keeps it alive there. It names the entry that made it: a member that has not applied so far waits
//! before it says that it does not know the token. Memory only: a restart forgets, and clients log in again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// 52 letters in 16 places: 91 bits.
const PREFIX_LETTERS: usize = 16;
/// Between two looks for tokens that ran out.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Cheap to clone. Apply gives tokens out and takes them back; the lock is held for one small step at a time.
#[derive(Debug, Clone)]
pub struct SimpleTokens {
    ttl: Duration,
    held: Arc<Mutex<Held>>,
}

struct Held {
    tokens: HashMap<String, Token>,
    next_sweep: Instant,
}

struct Token {
    user: String,
    deadline: Instant,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").field("tokens", &self.tokens.len()).finish()
    }
}

impl SimpleTokens {
    pub fn new(ttl: Duration) -> Self {
        let held = Held { tokens: HashMap::new(), next_sweep: Instant::now() };
        SimpleTokens { ttl, held: Arc::new(Mutex::new(held)) }
    }

    /// The token that the entry at `log_index` gives to `user`.
    pub fn issue(&self, user: &str, prefix: &str, log_index: u64) -> String {
        self.issue_at(user, prefix, log_index, Instant::now())
    }

    fn issue_at(&self, user: &str, prefix: &str, log_index: u64, now: Instant) -> String {
        let token = format!("{prefix}.{log_index}");
        let mut held = self.held.lock();
        if now >= held.next_sweep {
            held.next_sweep = now + SWEEP_INTERVAL;
            held.tokens.retain(|_, token| now < token.deadline);
        }
        held.tokens.insert(token.clone(), Token { user: user.to_owned(), deadline: now + self.ttl });
        token
    }

    /// Whose token it is; the use keeps it alive.
    pub fn user_of(&self, token: &str) -> Option<String> {
        self.user_at(token, Instant::now())
    }

    fn user_at(&self, token: &str, now: Instant) -> Option<String> {
        let mut held = self.held.lock();
        let found = held.tokens.get_mut(token).filter(|token| now < token.deadline)?;
        found.deadline = now + self.ttl;
        Some(found.user.clone())
    }

    /// The user is gone, or has another password.
    pub fn forget_user(&self, user: &str) {
        self.held.lock().tokens.retain(|_, token| token.user != user);
    }

    pub fn forget_all(&self) {
        self.held.lock().tokens.clear();
    }
}

pub fn random_prefix() -> String {
    (0..PREFIX_LETTERS).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
}

/// The index of the entry that made the token; `None` if it is no simple token.
pub fn index_of(token: &str) -> Option<u64> {
    let (prefix, index) = token.split_once('.')?;
    if prefix.contains('.') { None } else { index.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_token_lives_as_long_as_it_is_used() {
        let (tokens, start) = (SimpleTokens::new(10 * SECOND), Instant::now());
        let token = tokens.issue_at("alice", "prefix", 7, start);
        assert_eq!(token, "prefix.7");
        assert_eq!(tokens.user_at(&token, start + 9 * SECOND).as_deref(), Some("alice"));
        assert_eq!(tokens.user_at(&token, start + 18 * SECOND).as_deref(), Some("alice"));
        assert_eq!(tokens.user_at(&token, start + 28 * SECOND), None);
    }

    #[test]
    fn a_user_can_be_shut_out() {
        let tokens = SimpleTokens::new(SECOND);
        let (alice, bob) = (tokens.issue("alice", "a", 1), tokens.issue("bob", "b", 1));
        tokens.forget_user("alice");
        assert_eq!((tokens.user_of(&alice), tokens.user_of(&bob).as_deref()), (None, Some("bob")));
        tokens.forget_all();
        assert_eq!(tokens.user_of(&bob), None);
    }

    #[test]
    fn what_ran_out_takes_no_memory() {
        let (tokens, start) = (SimpleTokens::new(SECOND), Instant::now());
        for n in 0..10 {
            tokens.issue_at("alice", "p", n, start + SECOND * 2 * n as u32);
        }
        assert_eq!(tokens.held.lock().tokens.len(), 1);
    }

    #[test]
    fn a_token_names_its_entry() {
        let prefix = random_prefix();
        assert_eq!(prefix.len(), PREFIX_LETTERS);
        assert_eq!(index_of(&format!("{prefix}.12")), Some(12));
        assert_eq!(
            (index_of("abc"), index_of("a.b"), index_of("a.1.2"), index_of("")),
            (None, None, None, None)
        );
    }
}
