//! A range split in two bands: what is chosen for people comes from the upper band first, so that the lower one
//! stays free for those who ask for a certain address or port. Sizes of the bands: KEP-3070, KEP-3668.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// IPv6 ranges are used no further than this many addresses; more services than that there are never.
const MOST_ADDRESSES: u128 = 1 << 16;

/// `0..size`, the lower band first.
pub(super) struct Bands {
    pub(super) size: u32,
    pub(super) lower: u32,
}

impl Bands {
    /// `share` is the part of the range that the lower band may be.
    pub(super) fn new(size: u32, share: u32, most: u32) -> Bands {
        let lower = if size <= 16 { 0 } else { (size / share).clamp(16, most) };
        Bands { size, lower: lower.min(size) }
    }

    /// A free offset; searches from a random start, the upper band before the lower.
    pub(super) fn pick(&self, is_free: impl Fn(u32) -> bool) -> Option<u32> {
        search(self.lower, self.size, &is_free).or_else(|| search(0, self.lower, &is_free))
    }
}

fn search(from: u32, to: u32, is_free: &impl Fn(u32) -> bool) -> Option<u32> {
    if from >= to {
        return None;
    }
    let start = rand::random_range(from..to);
    (start..to).chain(from..start).find(|offset| is_free(*offset))
}

/// The usable addresses of a service range: neither the network's own nor, for IPv4, the broadcast address.
pub(super) struct Addresses {
    range: IpNet,
    count: u32,
}

impl Addresses {
    pub(super) fn new(range: IpNet) -> Addresses {
        let bits = u32::from(range.max_prefix_len() - range.prefix_len());
        let all = 1u128.checked_shl(bits).unwrap_or(u128::MAX);
        let reserved = if matches!(range, IpNet::V4(_)) { 2 } else { 1 };
        let usable = all.saturating_sub(reserved);
        let limit = if matches!(range, IpNet::V4(_)) { u128::from(u32::MAX) } else { MOST_ADDRESSES };
        let count = u32::try_from(usable.min(limit)).expect("limited to 32 bits above");
        Addresses { range, count }
    }

    pub(super) fn bands(&self) -> Bands {
        Bands::new(self.count, 16, 256)
    }

    /// Offset 0 is the first address after the network's own.
    pub(super) fn at(&self, offset: u32) -> IpAddr {
        match self.range.network() {
            IpAddr::V4(base) => IpAddr::V4(Ipv4Addr::from_bits(base.to_bits().wrapping_add(offset + 1))),
            IpAddr::V6(base) => {
                IpAddr::V6(Ipv6Addr::from_bits(base.to_bits().wrapping_add(u128::from(offset) + 1)))
            }
        }
    }

    pub(super) fn first(&self) -> Option<IpAddr> {
        (self.count > 0).then(|| self.at(0))
    }

    /// Whether the address can be asked for.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let is_edge = address == self.range.network()
            || (matches!(self.range, IpNet::V4(_)) && address == self.range.broadcast());
        self.range.contains(&address) && !is_edge
    }

    pub(super) fn range(&self) -> IpNet {
        self.range
    }

    pub(super) fn is_v6(&self) -> bool {
        matches!(self.range, IpNet::V6(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_addresses_leave_the_lower_band_free() {
        let addresses = Addresses::new("10.96.0.0/24".parse().expect("a range"));
        let bands = addresses.bands();
        assert_eq!((bands.size, bands.lower), (254, 16));
        assert_eq!(addresses.first(), "10.96.0.1".parse().ok());
        assert!(bands.pick(|_| true).is_some_and(|offset| offset >= 16));
        assert!(bands.pick(|offset| offset < 16).is_some_and(|offset| offset < 16));
        assert_eq!(bands.pick(|_| false), None);
    }

    #[test]
    fn a_tiny_range_has_one_band() {
        let bands = Addresses::new("10.0.0.0/29".parse().expect("a range")).bands();
        assert_eq!((bands.size, bands.lower), (6, 0));
    }
}
