//! The store's clock: a revision is the number of a change, a sub-revision its place within that change.
//!
//! Every write that has an effect takes the next main revision; all operations of one transaction share it and are
//! told apart by `sub`, in the order of their execution. A fresh store is at revision 1 and the first write takes 2.

use std::fmt;

/// Where one change of one key stands in the history. Orders by `main`, then `sub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision {
    /// Positive in a stored record; what clients call `mod_revision`.
    pub main: i64,
    pub sub: u32,
}

impl Revision {
    /// The revision of a store that nobody has written to.
    pub const FRESH_STORE: i64 = 1;

    pub const fn new(main: i64, sub: u32) -> Self {
        Self { main, sub }
    }

    /// Greater than or equal to every change of the main revision.
    pub const fn last_of(main: i64) -> Self {
        Self { main, sub: u32::MAX }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.main, self.sub)
    }
}
