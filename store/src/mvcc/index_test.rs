//! The index beside a map of the standard library.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::index::*;
use super::key_range::KeyRange;
use crate::revision::Revision;

fn live(main: i64) -> Live {
    Live { modified: Revision::new(main, 0), create_revision: main, version: 1, lease: 0 }
}

fn check(index: &Index, model: &BTreeMap<Vec<u8>, Live>) {
    assert_eq!(index.len(), model.len());
    let all: Vec<(Vec<u8>, Live)> =
        index.range(&KeyRange::all(), 0).into_iter().map(|(k, l)| (k.to_vec(), l)).collect();
    assert_eq!(all, model.clone().into_iter().collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn behaves_like_a_map(
        steps in proptest::collection::vec((any::<bool>(), 0u16..400), 0..1500),
        bounds in proptest::collection::vec((0u16..400, 0u16..400), 8),
    ) {
        let (mut index, mut model) = (Index::default(), BTreeMap::new());
        let mut kept = Vec::new();
        for (at, (put, key)) in steps.into_iter().enumerate() {
            let key = key.to_be_bytes().to_vec();
            if put {
                index.insert(&key, live(at as i64));
                model.insert(key, live(at as i64));
            } else {
                prop_assert_eq!(index.remove(&key), model.remove(&key));
            }
            if at % 500 == 0 {
                kept.push((index.clone(), model.clone()));
            }
        }
        kept.push((index, model));
        for (index, model) in &kept {
            check(index, model);
            for (low, high) in &bounds {
                let range = KeyRange::new(&low.to_be_bytes(), &high.to_be_bytes());
                let want = model.iter().filter(|(key, _)| range.contains(key)).count();
                prop_assert_eq!(index.count(&range), want);
                prop_assert_eq!(index.range(&range, 0).len(), want);
                prop_assert_eq!(index.range(&range, 3).len(), want.min(3));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_merge_is_as_good_as_its_changes_one_by_one(
        old in proptest::collection::btree_map(0u16..2_000, 0i64..9, 0..1_500),
        changes in proptest::collection::btree_map(0u16..2_000, proptest::option::of(0i64..9), 0..1_500),
        more in 0u16..2_000,
    ) {
        let (mut index, mut model) = (Index::default(), BTreeMap::new());
        for (key, main) in old {
            index.insert(&key.to_be_bytes(), live(main));
            model.insert(key.to_be_bytes().to_vec(), live(main));
        }
        let of = |(key, main): (&u16, &Option<i64>)| (Arc::from(&key.to_be_bytes()[..]), main.map(live));
        let mut merged = index.merged(changes.iter().map(of));
        for (key, main) in changes {
            let key = key.to_be_bytes().to_vec();
            match main {
                Some(main) => drop(model.insert(key, live(main))),
                None => drop(model.remove(&key)),
            }
        }
        check(&merged, &model);
        // It takes changes as any other.
        merged.insert(&more.to_be_bytes(), live(10));
        model.insert(more.to_be_bytes().to_vec(), live(10));
        check(&merged, &model);
        let half = KeyRange::new(&[0, 0], &1_000u16.to_be_bytes());
        prop_assert_eq!(merged.count(&half), model.keys().filter(|key| half.contains(key)).count());
    }
}

#[test]
fn ascending_inserts_fill_their_leaves() {
    let mut index = Index::default();
    for n in 0..10_000u32 {
        index.insert(&n.to_be_bytes(), live(i64::from(n)));
    }
    assert_eq!(index.len(), 10_000);
    assert_eq!(index.count(&KeyRange::new(&100u32.to_be_bytes(), &9_000u32.to_be_bytes())), 8_900);
}
