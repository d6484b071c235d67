//! Good and bad histories; the bad ones must be refused with the operations that show it.

use super::super::fixture::*;
use super::check;
use crate::history::{Operation, Reply, Request};

fn accepts(operations: Vec<Operation>) {
    let check = check(&history(operations));
    assert!(check.violations.is_empty() && check.undecided.is_empty(), "{check:?}");
}

/// The explanation must name `shown`.
fn refuses(operations: Vec<Operation>, shown: &str) {
    let check = check(&history(operations));
    let text = check.violations.first().map(|violation| violation.text.clone()).unwrap_or_default();
    assert!(text.contains(shown), "should show {shown:?}:\n{check:#?}");
}

#[test]
fn reads_and_writes_in_turn_are_fine() {
    accepts(vec![
        op(1, (0, 1), put("x", "a"), done(2)),
        op(2, (2, 3), get("x"), saw(2, "x", "a")),
        op(3, (4, 5), cas("x", Some("a"), "b"), won(3)),
        op(1, (6, 7), get("x"), saw(3, "x", "b")),
    ]);
}

#[test]
fn a_stale_read_is_refused() {
    refuses(
        vec![
            op(1, (0, 1), put("x", "a"), done(2)),
            op(1, (2, 3), put("x", "b"), done(3)),
            op(2, (4, 5), get("x"), saw(2, "x", "a")),
        ],
        "get x → x=a",
    );
}

#[test]
fn a_lost_write_is_refused() {
    refuses(
        vec![op(1, (0, 1), put("x", "a"), done(2)), op(2, (2, 3), get("x"), nothing(2))],
        "get x → nothing",
    );
}

#[test]
fn two_winners_of_one_compare_and_set_are_refused() {
    refuses(
        vec![
            op(1, (0, 1), put("x", "a"), done(2)),
            op(2, (2, 5), cas("x", Some("a"), "b"), won(3)),
            op(3, (2, 5), cas("x", Some("a"), "c"), won(4)),
        ],
        "txn if [x = a]",
    );
}

#[test]
fn a_write_of_unknown_outcome_may_show_later_but_not_go_away_again() {
    let write = || op(1, (0, 1), put("x", "a"), unknown());
    accepts(vec![write(), op(2, (2, 3), get("x"), nothing(1)), op(2, (4, 5), get("x"), saw(2, "x", "a"))]);
    refuses(
        vec![write(), op(2, (2, 3), get("x"), saw(2, "x", "a")), op(2, (4, 5), get("x"), nothing(1))],
        "get x → nothing",
    );
}

#[test]
fn a_lost_compare_and_set_must_have_seen_the_value_of_the_time() {
    refuses(
        vec![
            op(1, (0, 1), put("x", "a"), done(2)),
            op(2, (2, 3), put("x", "b"), done(3)),
            op(3, (4, 5), cas("x", Some("c"), "d"), lost(3, "x", "a")),
        ],
        "else [x=a]",
    );
}

fn swap(values: [&str; 2]) -> Request {
    Request::Txn { compare: vec![], success: vec![put("x", values[0]), put("y", values[1])], failure: vec![] }
}

fn both() -> Request {
    Request::Txn { compare: vec![], success: vec![get("x"), get("y")], failure: vec![] }
}

fn saw_both(revision: i64, values: [&str; 2]) -> crate::history::Outcome {
    let replies = vec![range(&[kv("x", values[0], revision)]), range(&[kv("y", values[1], revision)])];
    ok(revision, Reply::Txn { succeeded: true, replies })
}

fn swapped(revision: i64) -> crate::history::Outcome {
    ok(revision, Reply::Txn { succeeded: true, replies: vec![Reply::Put, Reply::Put] })
}

#[test]
fn a_transaction_is_seen_whole() {
    let writes =
        || vec![op(1, (0, 1), swap(["a", "b"]), swapped(2)), op(1, (2, 9), swap(["c", "d"]), swapped(3))];
    let mut good = writes();
    good.push(op(2, (3, 4), both(), saw_both(2, ["a", "b"])));
    accepts(good);
    let mut torn = writes();
    torn.push(op(2, (3, 4), both(), saw_both(2, ["c", "b"])));
    refuses(torn, "x=c");
}
