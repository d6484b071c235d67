//! Golden bytes: what is on a disk today must be read by every later version.

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn entry() -> Entry {
    Entry {
        log_id: log_id(7, 2, 9),
        payload: Payload::Normal(EncodedBatch { bytes: Bytes::from_static(b"put") }),
    }
}

#[test]
fn golden_entry() {
    let bytes = encode_entry(&entry());
    assert_eq!(hex(&bytes[..10]), "15ba010100001c000000");
    assert_eq!(hex(&bytes[HEADER_BYTES..]), "07000000000000000200000000000000090000000000000001707574");
    assert_eq!(decode_entry(&bytes).expect("decodes"), entry());
}

#[test]
fn golden_vote() {
    let vote = Vote { leader_id: LeaderId { term: 3, node_id: 5 }, committed: true };
    let bytes = encode_vote(&vote);
    assert_eq!(hex(&bytes[HEADER_BYTES..]), "0300000000000000050000000000000001");
    assert_eq!(decode_vote(&bytes).expect("decodes"), vote);
}

#[test]
fn membership_survives() {
    let node = |name: &str| MemberNode { name: name.into(), peer_urls: vec![format!("http://{name}:2380")] };
    let nodes = std::collections::BTreeMap::from([(1, node("a")), (2, node("b"))]);
    let membership = Membership::new(vec![[1].into()], nodes).expect("valid");
    let stored = StoredMembership::new(Some(log_id(1, 1, 4)), membership.clone());
    assert_eq!(decode_membership(&encode_membership(&stored)).expect("decodes"), stored);
    let entry = Entry { log_id: log_id(1, 1, 4), payload: Payload::Membership(membership) };
    assert_eq!(decode_entry(&encode_entry(&entry)).expect("decodes"), entry);
    let empty = StoredMembership::default();
    assert_eq!(decode_membership(&encode_membership(&empty)).expect("decodes"), empty);
}

#[test]
fn every_flipped_bit_is_seen() {
    let good = encode_entry(&entry());
    for bit in 0..good.len() * 8 {
        let mut bad = good.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(decode_entry(&Bytes::from(bad)).is_err(), "bit {bit}");
    }
    for len in 0..good.len() {
        assert!(decode_entry(&good.slice(..len)).is_err(), "cut to {len}");
    }
}
