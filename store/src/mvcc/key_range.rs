//! The keys that a request means: etcd's `key` and `range_end` pair.
//!
//! | `range_end` | meaning |
//! |---|---|
//! | empty | the one key |
//! | `\0` | every key at or after `key` |
//! | other | `[key, range_end)`; empty if `range_end` is not greater |

use bytes::Bytes;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRange {
    start: Bytes,
    end: End,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum End {
    /// Only the start itself.
    Single,
    Before(Bytes),
    Open,
}

impl KeyRange {
    pub fn new(key: &[u8], range_end: &[u8]) -> Self {
        Self::from_bytes(Bytes::copy_from_slice(key), Bytes::copy_from_slice(range_end))
    }

    pub fn from_bytes(key: Bytes, range_end: Bytes) -> Self {
        let end = match &range_end[..] {
            [] => End::Single,
            [0] => End::Open,
            _ => End::Before(range_end),
        };
        Self { start: key, end }
    }

    pub fn all() -> Self {
        Self { start: Bytes::new(), end: End::Open }
    }

    pub fn start(&self) -> &[u8] {
        &self.start
    }

    pub fn is_single(&self) -> bool {
        self.end == End::Single
    }

    /// Holds no key, whatever the store holds.
    pub fn is_empty(&self) -> bool {
        match &self.end {
            End::Single | End::Open => false,
            End::Before(end) => *end <= self.start,
        }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Single => key == self.start,
            End::Before(end) => key >= &self.start[..] && key < &end[..],
            End::Open => key >= &self.start[..],
        }
    }

    /// The first key after the range; `None` if there is none.
    pub fn end_bound(&self) -> Option<Vec<u8>> {
        match &self.end {
            End::Single => Some(successor(&self.start)),
            End::Before(end) => Some(end.to_vec()),
            End::Open => None,
        }
    }
}

/// The least key that is greater.
pub fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}

/// etcd's convention for "everything that starts with": the last byte that is not `ff` plus one; `\0` if there is none.
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    match prefix.iter().rposition(|byte| *byte != 0xff) {
        Some(at) => {
            let mut end = prefix[..=at].to_vec();
            end[at] += 1;
            end
        }
        None => vec![0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_mean_what_etcd_says() {
        assert!(KeyRange::new(b"a", b"").contains(b"a") && !KeyRange::new(b"a", b"").contains(b"a\0"));
        assert!(KeyRange::new(b"a", b"\0").contains(b"\xff\xff"));
        assert!(KeyRange::new(b"b", b"a").is_empty() && KeyRange::new(b"b", b"b").is_empty());
        assert_eq!(prefix_end(b"a\xff\xff"), b"b");
        assert_eq!(prefix_end(b"\xff"), b"\0");
    }
}
