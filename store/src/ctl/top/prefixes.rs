//! Which prefixes hold the most keys, found by leaps: the first key, then the count of its prefix, then the first key after
//! it. No value is read, and the cost is by prefixes, not by keys.

use balsa_proto::etcd::etcdserverpb as pb;
use bytes::Bytes;

use crate::ctl::connect;
use crate::ctl::failure::Failure;
use crate::ctl::flags::Flags;
use crate::mvcc::prefix_end;

/// Prefixes that are looked at; a store of single keys would take forever otherwise.
const MAX_LOOKED_AT: usize = 500;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    pub name: String,
    pub keys: i64,
}

/// The largest first. If there are too many prefixes, the last row is the keys that were not looked at.
pub async fn largest(flags: &Flags, depth: usize, most: usize) -> Result<Vec<Prefix>, Failure> {
    let mut kv = connect::kv(flags, connect::any(flags).await?);
    let mut found = Vec::new();
    let mut next = Bytes::from_static(&[0]);
    let mut rest = 0;
    loop {
        let first = pb::RangeRequest {
            key: next.clone(),
            range_end: vec![0].into(),
            limit: 1,
            keys_only: true,
            serializable: true,
            ..pb::RangeRequest::default()
        };
        let first = connect::ask(flags, kv.range(first)).await?;
        let Some(key) = first.kvs.into_iter().next().map(|kv| kv.key) else { break };
        if found.len() == MAX_LOOKED_AT {
            rest = first.count;
            break;
        }
        let prefix = prefix_of(&key, depth);
        let end = prefix_end(prefix);
        let count = pb::RangeRequest {
            key: Bytes::copy_from_slice(prefix),
            range_end: end.clone().into(),
            count_only: true,
            serializable: true,
            ..pb::RangeRequest::default()
        };
        let keys = connect::ask(flags, kv.range(count)).await?.count;
        // A key may hold anything, also what would move a terminal's cursor.
        let name = String::from_utf8_lossy(prefix).escape_debug().to_string();
        found.push(Prefix { name, keys });
        if end == [0] {
            break;
        }
        next = end.into();
    }
    found.sort_by(|a, b| b.keys.cmp(&a.keys).then_with(|| a.name.cmp(&b.name)));
    found.truncate(most);
    if rest > 0 {
        found.push(Prefix { name: "(not looked at)".into(), keys: rest });
    }
    Ok(found)
}

/// The key up to and with the slash that ends its part number `depth`; a key without so many is its own.
fn prefix_of(key: &[u8], depth: usize) -> &[u8] {
    // A slash at the start ends no part.
    let slashes = key.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/');
    match slashes.map(|(at, _)| at).nth(depth.max(1) - 1) {
        Some(at) => &key[..=at],
        None => key,
    }
}

#[cfg(test)]
mod tests {
    use super::prefix_of;

    #[test]
    fn a_prefix_has_so_many_parts() {
        assert_eq!(prefix_of(b"/registry/pods/a/b", 2), b"/registry/pods/");
        assert_eq!(prefix_of(b"/registry/pods/a/b", 1), b"/registry/");
        assert_eq!(prefix_of(b"a/b/c", 1), b"a/");
        assert_eq!(prefix_of(b"alone", 2), b"alone");
    }
}
