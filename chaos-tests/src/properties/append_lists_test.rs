//! Good and bad histories of lists `append/x` and `append/y`; the bad ones must be refused for the right reason.

use super::super::fixture::*;
use super::check;
use crate::history::{Compare, Expected, Operation, Outcome, Reply, Request};

const X: &str = "append/x";
const Y: &str = "append/y";

/// Reads (`?`) and writes of whole lists in one transaction: `[("x", "a b")]`.
fn txn(times: (u64, u64), writes: &[(&str, &str)], reads: &[(&str, &str)]) -> Operation {
    let success =
        writes.iter().map(|(key, list)| put(key, list)).chain(reads.iter().map(|(key, _)| get(key)));
    let replies = writes.iter().map(|_| Reply::Put).chain(
        reads.iter().map(|(key, list)| if list.is_empty() { range(&[]) } else { range(&[kv(key, list, 1)]) }),
    );
    let reply = Reply::Txn { succeeded: true, replies: replies.collect() };
    let compare = vec![Compare { key: X.to_owned(), expected: Expected::ModRevision(1) }];
    op(1, times, Request::Txn { compare, success: success.collect(), failure: vec![get(X)] }, ok(1, reply))
}

fn accepts(operations: Vec<Operation>) {
    let check = check(&history(operations));
    assert!(check.violations.is_empty(), "{check:#?}");
    assert!(check.looked_at > 0);
}

fn refuses(operations: Vec<Operation>, why: &str) {
    let check = check(&history(operations));
    assert!(check.violations.iter().any(|violation| violation.text.contains(why)), "{why}: {check:#?}");
}

#[test]
fn appends_in_turn_are_fine() {
    accepts(vec![
        txn((0, 1), &[(X, "a")], &[(Y, "")]),
        txn((2, 3), &[(X, "a b"), (Y, "c")], &[]),
        txn((4, 5), &[], &[(X, "a b"), (Y, "c")]),
    ]);
}

#[test]
fn a_lost_append_is_refused() {
    let both = vec![txn((0, 9), &[(X, "a")], &[]), txn((0, 9), &[(X, "b")], &[])];
    refuses(both, "neither is the beginning of the other");
}

#[test]
fn an_element_that_nobody_appended_is_refused() {
    refuses(vec![txn((0, 1), &[], &[(X, "z")])], "nobody appended it");
}

#[test]
fn an_append_that_was_refused_must_not_be_seen() {
    let mut refused = txn((0, 1), &[(X, "a")], &[]);
    refused.outcome = ok(1, Reply::Txn { succeeded: false, replies: vec![range(&[])] });
    refuses(vec![refused, txn((2, 3), &[], &[(X, "a")])], "its transaction was refused");
}

#[test]
fn an_append_of_unknown_outcome_may_be_seen_or_not() {
    let unsure = || Operation { outcome: unknown(), ..txn((0, 1), &[(X, "a")], &[]) };
    accepts(vec![unsure(), txn((2, 3), &[], &[(X, "")])]);
    accepts(vec![unsure(), txn((2, 3), &[], &[(X, "")]), txn((4, 5), &[], &[(X, "a")])]);
}

#[test]
fn half_of_a_transaction_is_refused() {
    let torn = vec![txn((0, 9), &[(X, "a"), (Y, "b")], &[]), txn((0, 9), &[], &[(X, "a"), (Y, "")])];
    refuses(torn, "no order of these transactions explains");
}

#[test]
fn two_that_did_not_see_each_other_are_refused() {
    let skewed = vec![txn((0, 9), &[(X, "a")], &[(Y, "")]), txn((0, 9), &[(Y, "b")], &[(X, "")])];
    refuses(skewed, "who did not see the append/");
}

#[test]
fn a_stale_read_is_refused() {
    let stale = vec![txn((0, 1), &[(X, "a")], &[]), txn((2, 3), &[], &[(X, "")])];
    refuses(stale, "go against real time");
    accepts(vec![txn((0, 3), &[(X, "a")], &[]), txn((2, 3), &[], &[(X, "")])]);
}

#[test]
fn a_refusal_says_nothing() {
    let refused =
        Operation { outcome: Outcome::Fail { error: "no".to_owned() }, ..txn((0, 1), &[(X, "a")], &[]) };
    assert_eq!(check(&history(vec![refused])).looked_at, 0);
}
