//! The search for an order: can these operations have happened one after the other, each between its call and its
//! return, so that a sequential model gives what each of them saw?
//!
//! Wing and Gong's search (1993) as Lowe made it quick ("Testing for linearizability", 2017): try each operation that
//! may come next, remember every pair of (operations done, state) that led nowhere. An operation without a return stays
//! open to the end of time and need not be done at all.
//!
//! ```text
//!  time ─►   a: [────put 1────]      next may be a or b, as b was called before a returned;
//!            b:       [──get → 1──]  c may not: a returned before it was called.
//!            c:                  [─get → 1─]
//! ```

use std::collections::HashSet;
use std::hash::Hash;

/// Steps after which a search gives up: about a gigabyte of remembered dead ends for a small state.
const STEPS_MAX: u64 = 3_000_000;

/// An operation, by the times that bound it. `None`: never returned.
#[derive(Clone, Copy, Debug)]
pub struct Interval {
    pub call_us: u64,
    pub return_us: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Order,
    /// The longest order found, as indices, and the operations that could have come next but did not fit.
    NoOrder {
        longest: Vec<usize>,
        stuck: Vec<usize>,
    },
    GaveUp,
}

/// Searches over `intervals`; `step` gives the state after operation `i`, if it fits.
pub fn search<S: Clone + Eq + Hash>(
    intervals: &[Interval],
    start: S,
    step: impl Fn(&S, usize) -> Option<S>,
) -> Found {
    let mut search = Search {
        by_call: order_by_call(intervals),
        intervals,
        done: vec![false; intervals.len()],
        must: intervals.iter().filter(|interval| interval.return_us.is_some()).count(),
        seen: HashSet::new(),
    };
    search.run(start, step)
}

struct Search<'a, S> {
    intervals: &'a [Interval],
    by_call: Vec<usize>,
    done: Vec<bool>,
    /// Operations that returned and are not done yet.
    must: usize,
    /// Where the search was already.
    seen: HashSet<(Vec<u64>, S)>,
}

/// One decision on the way down, to be taken back.
struct Choice<S> {
    operation: usize,
    before: S,
    /// Those that were possible at this place and were not tried yet, last first.
    left: Vec<usize>,
}

impl<S: Clone + Eq + Hash> Search<'_, S> {
    fn run(&mut self, start: S, step: impl Fn(&S, usize) -> Option<S>) -> Found {
        let mut state = start;
        let mut path: Vec<Choice<S>> = Vec::new();
        let mut left = self.candidates();
        let mut longest: Vec<usize> = Vec::new();
        let mut stuck = left.clone();
        let mut steps = 0;
        loop {
            if self.must == 0 {
                return Found::Order;
            }
            steps += 1;
            if steps > STEPS_MAX {
                return Found::GaveUp;
            }
            let Some(operation) = left.pop() else {
                // Nothing fits here: back to the last choice.
                let Some(choice) = path.pop() else {
                    stuck.reverse();
                    return Found::NoOrder { longest, stuck };
                };
                self.undo(choice.operation);
                state = choice.before;
                left = choice.left;
                continue;
            };
            let Some(next) = step(&state, operation) else { continue };
            self.take(operation);
            if !self.seen.insert((self.bits(), next.clone())) {
                self.undo(operation);
                continue;
            }
            path.push(Choice { operation, before: std::mem::replace(&mut state, next), left });
            left = self.candidates();
            if path.len() > longest.len() {
                longest = path.iter().map(|choice| choice.operation).collect();
                stuck.clone_from(&left);
            }
        }
    }

    /// What may come next: called before the first return of those that are not done. Last is tried first, so the
    /// earliest calls stand last, and those that never returned first.
    fn candidates(&self) -> Vec<usize> {
        let open = || self.by_call.iter().copied().filter(|&operation| !self.done[operation]);
        let horizon = open().filter_map(|operation| self.intervals[operation].return_us).min();
        let mut found: Vec<usize> = open()
            .take_while(|&operation| {
                horizon.is_none_or(|horizon| self.intervals[operation].call_us <= horizon)
            })
            .collect();
        found.sort_by_key(|&operation| {
            let interval = self.intervals[operation];
            std::cmp::Reverse((interval.return_us.is_none(), interval.call_us))
        });
        found
    }

    fn take(&mut self, operation: usize) {
        self.done[operation] = true;
        self.must -= usize::from(self.intervals[operation].return_us.is_some());
    }

    fn undo(&mut self, operation: usize) {
        self.done[operation] = false;
        self.must += usize::from(self.intervals[operation].return_us.is_some());
    }

    fn bits(&self) -> Vec<u64> {
        let mut bits = vec![0; self.done.len().div_ceil(64)];
        for (operation, _) in self.done.iter().enumerate().filter(|(_, done)| **done) {
            bits[operation / 64] |= 1 << (operation % 64);
        }
        bits
    }
}

fn order_by_call(intervals: &[Interval]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..intervals.len()).collect();
    order.sort_by_key(|&operation| intervals[operation].call_us);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A register: `Write(v)` or `Read(v)`.
    #[derive(Clone, Copy)]
    enum Op {
        Write(u32),
        Read(u32),
    }

    fn check(operations: &[(u64, Option<u64>, Op)]) -> Found {
        let intervals: Vec<_> =
            operations.iter().map(|&(call_us, return_us, _)| Interval { call_us, return_us }).collect();
        search(&intervals, 0, |&state, operation| match operations[operation].2 {
            Op::Write(value) => Some(value),
            Op::Read(value) => (value == state).then_some(state),
        })
    }

    #[test]
    fn a_read_may_see_a_write_that_overlaps_it() {
        assert_eq!(
            check(&[(0, Some(10), Op::Write(1)), (2, Some(3), Op::Read(0)), (4, Some(5), Op::Read(1))]),
            Found::Order
        );
    }

    #[test]
    fn a_read_after_a_write_must_see_it() {
        let found = check(&[(0, Some(1), Op::Write(1)), (2, Some(3), Op::Read(0))]);
        assert_eq!(found, Found::NoOrder { longest: vec![0], stuck: vec![1] });
    }

    #[test]
    fn two_reads_must_agree_on_the_order_of_two_writes() {
        let found = check(&[
            (0, Some(10), Op::Write(1)),
            (0, Some(10), Op::Write(2)),
            (11, Some(12), Op::Read(1)),
            (13, Some(14), Op::Read(2)),
        ]);
        assert!(matches!(found, Found::NoOrder { .. }), "{found:?}");
    }

    #[test]
    fn a_write_that_never_returned_may_come_late_or_never() {
        assert_eq!(
            check(&[(0, None, Op::Write(1)), (5, Some(6), Op::Read(0)), (7, Some(8), Op::Read(1))]),
            Found::Order
        );
        assert_eq!(check(&[(0, None, Op::Write(1)), (5, Some(6), Op::Read(0))]), Found::Order);
    }

    #[test]
    fn a_write_that_never_returned_comes_once() {
        let found = check(&[
            (0, None, Op::Write(1)),
            (5, Some(6), Op::Read(1)),
            (7, Some(8), Op::Write(2)),
            (9, Some(10), Op::Read(1)),
        ]);
        assert!(matches!(found, Found::NoOrder { .. }), "{found:?}");
    }
}
