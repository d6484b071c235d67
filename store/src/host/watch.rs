//! A value that many wait for changes of: only the newest counts.
//!
//! Tokio's, but for one promise more: who waits is woken in the order in which it came to wait. Tokio spreads its waiters by
//! chance, which no seed decides, so that a simulation would never be the same twice.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::Notify;

#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// The version that was seen last.
    seen: usize,
}

#[derive(Debug)]
struct Shared<T> {
    value: RwLock<T>,
    /// Counts changes. Moved on while the value is locked.
    version: AtomicUsize,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    changed: Notify,
}

/// Every sender is gone: nothing changes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody changes the value any more")]
pub struct Closed;

/// The value, locked for reading: not to be held for long, nor across an await.
pub struct Ref<'a, T>(RwLockReadGuard<'a, T>);

pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Sender<T> {
    pub fn new(value: T) -> Self {
        let shared = Shared {
            value: RwLock::new(value),
            version: AtomicUsize::new(0),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(0),
            changed: Notify::new(),
        };
        Sender { shared: Arc::new(shared) }
    }

    /// A receiver that has seen the value of now.
    pub fn subscribe(&self) -> Receiver<T> {
        self.shared.receivers.fetch_add(1, Ordering::Relaxed);
        Receiver { shared: self.shared.clone(), seen: self.shared.version.load(Ordering::Acquire) }
    }

    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.value.read())
    }

    /// Returns the value if nobody can receive it.
    pub fn send(&self, value: T) -> Result<(), T> {
        if self.shared.receivers.load(Ordering::Acquire) == 0 {
            return Err(value);
        }
        self.send_replace(value);
        Ok(())
    }

    /// Returns the value before.
    pub fn send_replace(&self, value: T) -> T {
        let mut value = value;
        self.send_modify(|current| std::mem::swap(current, &mut value));
        value
    }

    pub fn send_modify(&self, modify: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            modify(value);
            true
        });
    }

    /// Nobody is told when `modify` returns false. Returns what it returned.
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        {
            let mut value = self.shared.value.write();
            if !modify(&mut value) {
                return false;
            }
            self.shared.version.fetch_add(1, Ordering::Release);
        }
        self.shared.changed.notify_waiters();
        true
    }
}

impl<T> Receiver<T> {
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.value.read())
    }

    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.value.read();
        self.seen = self.shared.version.load(Ordering::Acquire);
        Ref(value)
    }

    /// What there is counts as seen.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.version.load(Ordering::Acquire);
    }

    /// Returns once there is a value that was not seen yet, which counts as seen then.
    pub async fn changed(&mut self) -> Result<(), Closed> {
        loop {
            // Before the look, so that a change in between wakes it.
            let changed = self.shared.changed.notified();
            let is_closed = self.shared.senders.load(Ordering::Acquire) == 0;
            let version = self.shared.version.load(Ordering::Acquire);
            if version != self.seen {
                self.seen = version;
                return Ok(());
            }
            if is_closed {
                return Err(Closed);
            }
            changed.await;
        }
    }

    /// Returns once there is a value that was not seen yet, or after `moment`.
    pub async fn changed_within(&mut self, moment: Duration) -> Result<(), Closed> {
        tokio::time::timeout(moment, self.changed()).await.unwrap_or(Ok(()))
    }

    /// Returns once the value is wanted; at once if it is already.
    pub async fn wait_for(&mut self, mut is_wanted: impl FnMut(&T) -> bool) -> Result<(), Closed> {
        loop {
            if is_wanted(&self.borrow_and_update()) {
                return Ok(());
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Sender { shared: self.shared.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.changed.notify_waiters();
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.receivers.fetch_add(1, Ordering::Relaxed);
        Receiver { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.receivers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiters_wake_in_their_order_and_see_the_newest() {
        let (sender, receiver) = channel(0);
        let (order, mut woken) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..20 {
            let (mut receiver, order) = (receiver.clone(), order.clone());
            tokio::spawn(async move {
                receiver.wait_for(|value| *value == 2).await.expect("the sender is there");
                order.send(number).expect("the test listens");
            });
        }
        tokio::task::yield_now().await;
        sender.send_replace(1);
        sender.send_replace(2);
        for number in 0..20 {
            assert_eq!(woken.recv().await, Some(number));
        }
    }

    #[tokio::test]
    async fn what_was_sent_before_the_end_is_seen_and_then_the_end() {
        let (sender, mut receiver) = channel(0);
        sender.send(1).expect("there is a receiver");
        drop(sender);
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(*receiver.borrow(), 1);
        assert_eq!(receiver.changed().await, Err(Closed));
        assert_eq!(receiver.changed_within(Duration::MAX).await, Err(Closed));
        assert_eq!(receiver.wait_for(|value| *value == 1).await, Ok(()));
        assert_eq!(receiver.wait_for(|value| *value == 2).await, Err(Closed));
    }

    #[tokio::test]
    async fn nobody_hears_of_a_change_that_is_none() {
        let (sender, mut receiver) = channel(0);
        assert!(!sender.send_if_modified(|_| false));
        assert!(sender.send_if_modified(|value| {
            *value = 1;
            true
        }));
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(receiver.changed_within(Duration::ZERO).await, Ok(()));
        let none = tokio::time::timeout(Duration::ZERO, receiver.changed()).await;
        assert!(none.is_err());
        drop(receiver);
        assert_eq!(sender.send(2), Err(2));
    }
}
