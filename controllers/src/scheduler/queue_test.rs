//! The queue: order, back-off, and what wakes a pod that fitted nowhere.

use std::time::Duration;

use balsa_proto::client::ObjectKey;
use tokio::time::Instant;

use super::queue::{Help, Queue};

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

#[test]
fn priority_goes_before_arrival() {
    let mut queue = Queue::default();
    let now = Instant::now();
    queue.add(key("first"), 0);
    queue.add(key("second"), 0);
    queue.add(key("urgent"), 10);
    let order: Vec<_> = std::iter::from_fn(|| queue.pop(now)).map(|key| key.name).collect();
    assert_eq!(order, ["urgent", "first", "second"]);
}

#[test]
fn an_unschedulable_pod_waits_for_help_and_its_back_off() {
    let mut queue = Queue::default();
    let start = Instant::now();
    queue.add(key("a"), 0);
    queue.pop(start).expect("active");
    queue.unschedulable(&key("a"), false, start);
    assert_eq!(queue.pop(start + Duration::from_secs(60)), None, "nothing helped");
    queue.help(Help::Company);
    assert_eq!(queue.pop(start + Duration::from_secs(60)), None, "company does not help this one");
    queue.help(Help::Room);
    assert_eq!(queue.pop(start + Duration::from_millis(900)), None, "the back-off is one second");
    assert_eq!(queue.pop(start + Duration::from_secs(1)), Some(key("a")));
}

#[test]
fn back_off_doubles_up_to_ten_seconds() {
    let mut queue = Queue::default();
    let now = Instant::now();
    queue.add(key("a"), 0);
    let waits: Vec<_> = (0..6)
        .map(|_| {
            let later = queue.next_promotion().unwrap_or(now);
            queue.pop(later).expect("its back-off is over");
            queue.failed(&key("a"), now);
            queue.next_promotion().expect("in back-off").duration_since(now).as_secs()
        })
        .collect();
    assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
}

#[test]
fn after_five_minutes_an_unschedulable_pod_tries_without_help() {
    let mut queue = Queue::default();
    let now = Instant::now();
    queue.add(key("a"), 0);
    queue.pop(now).expect("active");
    queue.unschedulable(&key("a"), false, now);
    assert_eq!(queue.pop(now + Duration::from_secs(300)), Some(key("a")));
}

#[test]
fn a_changed_pod_is_active_at_once_and_a_removed_one_never() {
    let mut queue = Queue::default();
    let now = Instant::now();
    queue.add(key("a"), 0);
    queue.pop(now).expect("active");
    queue.unschedulable(&key("a"), false, now);
    queue.add(key("a"), 0);
    assert_eq!(queue.pop(now), Some(key("a")));
    queue.add(key("b"), 0);
    queue.remove(&key("b"));
    assert_eq!(queue.pop(now), None);
}
