//! The faults that go on: plain data, so that `./dev lab heal` can undo what an earlier command did.
//!
//! Faults overlap. What several of them do to one machine lasts until the last of them is undone: a part stays down while
//! another fault keeps it down, and packets are dropped that any partition drops.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Arena, Fault};

/// By number, in the order in which they struck.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Struck(BTreeMap<u64, Fault>);

impl Struck {
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.0.values()
    }

    fn next_number(&self) -> u64 {
        self.0.last_key_value().map_or(1, |(last, _)| last + 1)
    }
}

/// Does it, and returns the number to undo it by.
pub fn strike(arena: &mut dyn Arena, fault: Fault) -> Result<u64> {
    let number = note(arena, fault);
    carry_out(arena, number).map(|()| number)
}

/// Says that it goes on, before it does: what is done halfway is undone as well.
pub fn note(arena: &mut dyn Arena, fault: Fault) -> u64 {
    let number = arena.struck().next_number();
    arena.struck_mut().0.insert(number, fault);
    number
}

/// Does what was noted.
pub fn carry_out(arena: &mut dyn Arena, number: u64) -> Result<()> {
    let Some(mut fault) = arena.struck().0.get(&number).cloned() else { return Ok(()) };
    let held = held(arena, Some(number));
    let done = fault.act_mut().inject(arena, &held);
    if fault.act().lasts() {
        arena.struck_mut().0.insert(number, fault);
    } else {
        arena.struck_mut().0.remove(&number);
    }
    done
}

/// Nothing to do for one that was undone already.
pub fn undo(arena: &mut dyn Arena, number: u64) -> Result<()> {
    let Some(mut fault) = arena.struck_mut().0.remove(&number) else { return Ok(()) };
    let held = held(arena, None);
    fault.act_mut().undo(arena, &held)
}

/// Undoes all of them, the last one first.
pub fn heal(arena: &mut dyn Arena) -> Result<()> {
    let mut result = Ok(());
    while let Some(&number) = arena.struck().0.keys().next_back() {
        result = result.and(undo(arena, number));
    }
    result
}

/// Parts that a fault keeps down, other than `except`.
fn held(arena: &dyn Arena, except: Option<u64>) -> BTreeSet<usize> {
    let parts = arena.parts();
    let others = || arena.struck().0.iter().filter(|(number, _)| Some(**number) != except);
    let is_held = |part: &usize| others().any(|(_, fault)| fault.act().keeps_down(*part, &parts[*part]));
    (0..parts.len()).filter(is_held).collect()
}
