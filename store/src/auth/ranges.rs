//! A set of keys made of ranges, and whether it covers the keys of a request.

use balsa_proto::etcd::authpb::Permission;
use bytes::Bytes;

use crate::mvcc::key_range::successor;

/// Disjoint ranges that do not touch, in key order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    ranges: Vec<Range>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    start: Bytes,
    end: End,
}

/// The first key after a range. The order of the variants is that of the ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Before(Bytes),
    Open,
}

impl Range {
    /// etcd's pair: no `range_end` is one key, `\0` is everything from here on.
    fn new(key: &Bytes, range_end: &Bytes) -> Self {
        let end = match &range_end[..] {
            [] => End::Before(successor(key).into()),
            [0] => End::Open,
            _ => End::Before(range_end.clone()),
        };
        Range { start: key.clone(), end }
    }
}

impl Ranges {
    pub fn of<'a>(permissions: impl Iterator<Item = &'a Permission>) -> Self {
        let mut ranges: Vec<Range> =
            permissions.map(|permission| Range::new(&permission.key, &permission.range_end)).collect();
        ranges.sort();
        let mut merged: Vec<Range> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if last.end >= End::Before(range.start.clone()) => {
                    last.end = last.end.clone().max(range.end)
                }
                _ => merged.push(range),
            }
        }
        Ranges { ranges: merged }
    }

    /// Every key that the request means is in the set, whether or not the store holds it.
    pub fn cover(&self, key: &Bytes, range_end: &Bytes) -> bool {
        let wanted = Range::new(key, range_end);
        let after = self.ranges.partition_point(|range| range.start <= wanted.start);
        // The start itself must be inside: a request for no key at all asks for the permission of its start.
        let Some(range) = after.checked_sub(1).map(|at| &self.ranges[at]) else { return false };
        range.end > End::Before(wanted.start) && range.end >= wanted.end
    }
}

/// A permission must be for at least one key. Source: etcd v3.6, `isValidPermissionRange`.
pub fn is_valid(key: &[u8], range_end: &[u8]) -> bool {
    !key.is_empty() && (range_end.is_empty() || range_end == [0] || key < range_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (&'static str, &'static str);

    fn bytes(text: &str) -> Bytes {
        Bytes::from(text.replace("\\0", "\0"))
    }

    fn ranges(pairs: &[Pair]) -> Ranges {
        let permissions: Vec<Permission> = pairs
            .iter()
            .map(|(key, end)| Permission { perm_type: 0, key: bytes(key), range_end: bytes(end) })
            .collect();
        Ranges::of(permissions.iter())
    }

    #[test]
    fn what_is_covered() {
        // Granted; asked for; whether it is covered.
        let rows: &[(&[Pair], Pair, bool)] = &[
            (&[], ("a", ""), false),
            (&[("a", "")], ("a", ""), true),
            (&[("a", "")], ("b", ""), false),
            (&[("a", "")], ("a", "a\\0"), true),
            (&[("a", "")], ("a", "b"), false),
            (&[("a", "")], ("a", "\\0"), false),
            (&[("a", "c")], ("b", ""), true),
            (&[("a", "c")], ("c", ""), false),
            (&[("a", "c")], ("a", "c"), true),
            (&[("a", "c")], ("a", "d"), false),
            (&[("a", "c")], ("a", "\\0"), false),
            (&[("a", "c"), ("c", "e")], ("b", "d"), true),
            (&[("a", "c"), ("b", "e"), ("b", "d")], ("a", "e"), true),
            (&[("a", "c"), ("d", "e")], ("b", "e"), false),
            (&[("b", ""), ("b\\0", "c")], ("b", "c"), true),
            (&[("a", "\\0")], ("x", "\\0"), true),
            (&[("b", "\\0")], ("a", "\\0"), false),
            (&[("\\0", "\\0")], ("\\0", "\\0"), true),
            (&[("a", "z"), ("b", "\\0")], ("a", "\\0"), true),
            // An empty request inside and outside.
            (&[("a", "z")], ("m", "c"), true),
            (&[("d", "z")], ("a", "\\0a"), false),
        ];
        for (granted, (key, end), want) in rows {
            assert_eq!(
                ranges(granted).cover(&bytes(key), &bytes(end)),
                *want,
                "{granted:?} covers {key:?} to {end:?}"
            );
        }
    }

    #[test]
    fn a_permission_is_for_at_least_one_key() {
        assert!(is_valid(b"a", b"") && is_valid(b"a", b"b") && is_valid(b"a", b"\0"));
        assert!(!is_valid(b"", b"a") && !is_valid(b"a", b"a") && !is_valid(b"b", b"a"));
    }
}
