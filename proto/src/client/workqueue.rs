//! A work queue: keys to look at again, each at most once in the queue and never in two hands.
//!
//! Promised: a key added while it is being worked on is handed out again after `done`; adding twice before it is
//! taken is one piece of work. Source: client-go's workqueue contract.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// First and longest wait of the exponential back-off per key.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1000);

/// Cheap handle; clones share the queue.
pub struct WorkQueue<T> {
    state: Arc<Mutex<State<T>>>,
    wake: Arc<Notify>,
}

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), wake: self.wake.clone() }
    }
}

struct State<T> {
    ready: VecDeque<T>,
    /// In `ready`, or to be put there by `done`.
    dirty: HashSet<T>,
    in_flight: HashSet<T>,
    /// Ordered by due time; the number keeps equal times apart.
    delayed: BTreeMap<(Instant, u64), T>,
    due: HashMap<T, (Instant, u64)>,
    failures: HashMap<T, u32>,
    sequence: u64,
    closed: bool,
}

impl<T: Clone + Eq + Hash> Default for WorkQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Clone + Eq + Hash> WorkQueue<T> {
    pub fn new() -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: HashSet::new(),
            in_flight: HashSet::new(),
            delayed: BTreeMap::new(),
            due: HashMap::new(),
            failures: HashMap::new(),
            sequence: 0,
            closed: false,
        };
        Self { state: Arc::new(Mutex::new(state)), wake: Arc::new(Notify::new()) }
    }

    pub fn add(&self, item: T) {
        self.state.lock().add(item);
        self.wake.notify_one();
    }

    /// Adds when `delay` has passed; of several waits for one item the earliest counts.
    pub fn add_after(&self, item: T, delay: Duration) {
        if delay.is_zero() {
            return self.add(item);
        }
        self.state.lock().delay(item, Instant::now() + delay);
        self.wake.notify_one();
    }

    /// Adds after the item's own back-off, which doubles with each call until [`WorkQueue::forget`].
    pub fn add_rate_limited(&self, item: T) {
        let delay = self.state.lock().next_backoff(&item);
        self.add_after(item, delay);
    }

    /// The item succeeded: its back-off starts anew.
    pub fn forget(&self, item: &T) {
        self.state.lock().failures.remove(item);
    }

    /// The next item, which is in the caller's hand until [`WorkQueue::done`]. None after [`WorkQueue::shut_down`].
    pub async fn next(&self) -> Option<T> {
        loop {
            let notified = self.wake.notified();
            let wait_until = {
                let mut state = self.state.lock();
                state.promote_due(Instant::now());
                if state.closed {
                    // Hand the wake-up on, so that every waiter sees the end.
                    self.wake.notify_one();
                    return None;
                }
                if let Some(item) = state.take() {
                    if !state.ready.is_empty() {
                        self.wake.notify_one();
                    }
                    return Some(item);
                }
                state.delayed.keys().next().map(|(due, _)| *due)
            };
            match wait_until {
                Some(due) => tokio::select! {
                    () = notified => {}
                    () = tokio::time::sleep_until(due) => {}
                },
                None => notified.await,
            }
        }
    }

    pub fn done(&self, item: &T) {
        let mut state = self.state.lock();
        state.in_flight.remove(item);
        if state.dirty.contains(item) {
            state.ready.push_back(item.clone());
            self.wake.notify_one();
        }
    }

    pub fn shut_down(&self) {
        self.state.lock().closed = true;
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    /// Items ready to be taken.
    pub fn len(&self) -> usize {
        self.state.lock().ready.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Clone + Eq + Hash> State<T> {
    fn add(&mut self, item: T) {
        if self.closed || !self.dirty.insert(item.clone()) {
            return;
        }
        if !self.in_flight.contains(&item) {
            self.ready.push_back(item);
        }
    }

    fn take(&mut self) -> Option<T> {
        let item = self.ready.pop_front()?;
        self.dirty.remove(&item);
        self.in_flight.insert(item.clone());
        Some(item)
    }

    fn delay(&mut self, item: T, due: Instant) {
        if let Some(present) = self.due.get(&item).copied() {
            if present.0 <= due {
                return;
            }
            self.delayed.remove(&present);
        }
        self.sequence += 1;
        self.delayed.insert((due, self.sequence), item.clone());
        self.due.insert(item, (due, self.sequence));
    }

    fn promote_due(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let item = entry.remove();
            self.due.remove(&item);
            self.add(item);
        }
    }

    fn next_backoff(&mut self, item: &T) -> Duration {
        let failures = self.failures.entry(item.clone()).or_insert(0);
        let delay =
            BACKOFF_MIN.saturating_mul(1u32.checked_shl(*failures).unwrap_or(u32::MAX)).min(BACKOFF_MAX);
        *failures = failures.saturating_add(1).min(31);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_item_is_in_one_hand_at_a_time() {
        let queue = WorkQueue::new();
        queue.add("a");
        queue.add("a");
        assert_eq!(queue.next().await, Some("a"));
        queue.add("a");
        assert!(queue.is_empty(), "not handed out while in flight");
        queue.done(&"a");
        assert_eq!(queue.next().await, Some("a"));
        queue.done(&"a");
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_delay_counts() {
        let queue = WorkQueue::new();
        let start = Instant::now();
        queue.add_after("late", Duration::from_secs(9));
        queue.add_after("late", Duration::from_secs(3));
        queue.add_after("soon", Duration::from_secs(1));
        assert_eq!(queue.next().await, Some("soon"));
        assert_eq!(queue.next().await, Some("late"));
        assert_eq!(start.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn back_off_doubles_until_forgotten() {
        let queue = WorkQueue::new();
        let mut waits = Vec::new();
        for _ in 0..3 {
            let start = Instant::now();
            queue.add_rate_limited("a");
            queue.next().await;
            queue.done(&"a");
            waits.push(start.elapsed().as_millis());
        }
        assert_eq!(waits, [5, 10, 20]);
        queue.forget(&"a");
        assert_eq!(queue.state.lock().next_backoff(&"a"), BACKOFF_MIN);
    }

    #[tokio::test(start_paused = true)]
    async fn shut_down_wakes_every_waiter() {
        let queue: WorkQueue<&str> = WorkQueue::new();
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let queue = queue.clone();
                    async move { queue.next().await }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        queue.shut_down();
        for waiter in waiters {
            assert_eq!(waiter.await.expect("the waiter ends"), None);
        }
    }
}
