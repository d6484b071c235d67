//! Ids of members and clusters, computed as etcd computes them, so that tools and restored data agree on them.

use std::time::SystemTime;

use sha1::{Digest, Sha1};

/// Of a member of a new cluster: all members compute the same from the same flags.
pub fn member_id(peer_urls: &[String], cluster_token: &str) -> u64 {
    let mut urls = peer_urls.to_vec();
    urls.sort();
    sha1_first_eight(&[urls.concat().as_bytes(), cluster_token.as_bytes()].concat())
}

/// Of a member that is added later: a member that comes back under the same URLs is another one.
pub fn added_member_id(peer_urls: &[String], now: SystemTime) -> u64 {
    let unix_seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    member_id(peer_urls, &unix_seconds.to_string())
}

pub fn cluster_id(member_ids: impl IntoIterator<Item = u64>) -> u64 {
    let mut ids: Vec<u64> = member_ids.into_iter().collect();
    ids.sort_unstable();
    let bytes: Vec<u8> = ids.into_iter().flat_map(u64::to_be_bytes).collect();
    sha1_first_eight(&bytes)
}

fn sha1_first_eight(bytes: &[u8]) -> u64 {
    let digest = Sha1::digest(bytes);
    let first = digest.first_chunk().expect("a digest has 20 bytes");
    u64::from_be_bytes(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stock etcd with nothing but its defaults has.
    #[test]
    fn ids_are_those_of_stock_etcd() {
        let id = member_id(&["http://localhost:2380".to_owned()], "etcd-cluster");
        assert_eq!(format!("{id:x}"), "8e9e05c52164694d");
        assert_eq!(format!("{:x}", cluster_id([id])), "cdf818194e3a8c32");
    }

    #[test]
    fn the_order_of_urls_does_not_matter() {
        let urls = ["http://a:1".to_owned(), "http://b:2".to_owned()];
        let turned = [urls[1].clone(), urls[0].clone()];
        assert_eq!(member_id(&urls, "t"), member_id(&turned, "t"));
        assert_eq!(cluster_id([2, 1]), cluster_id([1, 2]));
    }

    #[test]
    fn a_member_that_comes_again_is_another_one() {
        let urls = ["http://a:1".to_owned()];
        let second = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        assert_ne!(added_member_id(&urls, second(1)), added_member_id(&urls, second(2)));
    }
}
