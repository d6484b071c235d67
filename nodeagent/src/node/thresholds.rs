//! Below which amounts a node is under pressure: stock's hard eviction thresholds, `--eviction-hard`.
//!
//! As with stock, what is given replaces all defaults: a signal that is not named has no threshold.

use std::collections::BTreeMap;

use balsa_proto::meta::Quantity;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// Bytes, inodes or process ids.
    Amount(u64),
    /// Of all there are.
    Percent(u64),
}

/// None: no pressure, however little is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    pub memory_available: Option<Threshold>,
    pub storage_available: Option<Threshold>,
    pub storage_inodes_free: Option<Threshold>,
    pub pids_available: Option<Threshold>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            memory_available: Some(Threshold::Amount(100 << 20)),
            storage_available: Some(Threshold::Percent(10)),
            storage_inodes_free: Some(Threshold::Percent(5)),
            pids_available: Some(Threshold::Percent(5)),
        }
    }
}

impl Thresholds {
    /// `memory.available<100Mi,nodefs.available<10%`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let pairs = text.split(',').filter(|pair| !pair.is_empty()).map(|pair| {
            let halves = pair.split_once('<').ok_or_else(|| format!("{pair:?} is not signal<amount"))?;
            Ok((halves.0.to_owned(), halves.1.to_owned()))
        });
        Self::from_signals(&pairs.collect::<Result<_, String>>()?)
    }

    /// As `evictionHard` of a KubeletConfiguration holds them.
    pub fn from_signals(signals: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut thresholds = Self {
            memory_available: None,
            storage_available: None,
            storage_inodes_free: None,
            pids_available: None,
        };
        for (signal, amount) in signals {
            let place = match signal.as_str() {
                "memory.available" => &mut thresholds.memory_available,
                "nodefs.available" => &mut thresholds.storage_available,
                "nodefs.inodesFree" => &mut thresholds.storage_inodes_free,
                "pid.available" => &mut thresholds.pids_available,
                other => return Err(format!("the signal {other} is not watched by this node agent")),
            };
            *place = Some(Threshold::parse(amount).ok_or_else(|| format!("{signal}<{amount}: no amount"))?);
        }
        Ok(thresholds)
    }
}

impl Threshold {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|percent| *percent <= 100).map(Self::Percent),
            None => u64::try_from(Quantity::parse(text).ok()?.value()).ok().map(Self::Amount),
        }
    }

    pub fn is_above(self, available: u64, total: u64) -> bool {
        match self {
            Self::Amount(amount) => available < amount,
            Self::Percent(percent) => u128::from(available) * 100 < u128::from(total) * u128::from(percent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_replaces_all_defaults() {
        let thresholds = Thresholds::parse("memory.available<64Mi,nodefs.available<1%").unwrap();
        assert_eq!(thresholds.memory_available, Some(Threshold::Amount(64 << 20)));
        assert_eq!(thresholds.storage_available, Some(Threshold::Percent(1)));
        assert_eq!(thresholds.storage_inodes_free, None);
        assert!(Thresholds::parse("imagefs.available<1%").unwrap_err().contains("not watched"));
        assert!(Thresholds::parse("nodefs.available<x%").is_err() && Thresholds::parse("memory").is_err());
    }

    #[test]
    fn pressure_begins_below_the_threshold() {
        assert!(Threshold::Percent(10).is_above(9, 100) && !Threshold::Percent(10).is_above(10, 100));
        assert!(Threshold::Amount(5).is_above(4, 100) && !Threshold::Amount(5).is_above(5, 100));
    }
}
