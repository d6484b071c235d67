//! What the node has, and what of it pods may use.

use std::collections::BTreeMap;
use std::path::Path;

use balsa_proto::meta::Quantity;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;
use nix::sys::statvfs::statvfs;
use procfs::{CpuInfo, Current, Meminfo};

/// The default hard eviction threshold of memory, kept out of what pods may use, as in stock.
const EVICTION_MEMORY_BYTES: i64 = 100 << 20;
/// Likewise of the node's file system.
const EVICTION_STORAGE_PERCENT: i64 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    pub cpu_millis: i64,
    pub memory_bytes: i64,
    pub ephemeral_storage_bytes: i64,
    pub pods: i64,
}

/// Taken away from pods by configuration (kubeReserved plus systemReserved).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reserved {
    pub cpu_millis: i64,
    pub memory_bytes: i64,
    pub ephemeral_storage_bytes: i64,
}

pub type ResourceList = BTreeMap<String, RawQuantity>;

impl Capacity {
    pub fn read(root_dir: &Path, max_pods: u32) -> Self {
        let cores = CpuInfo::current().map(|info| info.num_cores()).unwrap_or(1);
        let memory = Meminfo::current().map(|info| info.mem_total).unwrap_or_default();
        let storage = statvfs(root_dir).map(|fs| u128::from(fs.blocks()) * u128::from(fs.fragment_size()));
        Self {
            cpu_millis: i64::try_from(cores).unwrap_or(1) * 1000,
            memory_bytes: i64::try_from(memory).unwrap_or(i64::MAX),
            ephemeral_storage_bytes: i64::try_from(storage.unwrap_or_default()).unwrap_or(i64::MAX),
            pods: i64::from(max_pods),
        }
    }

    pub fn allocatable(self, reserved: Reserved) -> Self {
        let storage = self.ephemeral_storage_bytes;
        Self {
            cpu_millis: (self.cpu_millis - reserved.cpu_millis).max(0),
            memory_bytes: (self.memory_bytes - reserved.memory_bytes - EVICTION_MEMORY_BYTES).max(0),
            ephemeral_storage_bytes: (storage
                - reserved.ephemeral_storage_bytes
                - storage / 100 * EVICTION_STORAGE_PERCENT)
                .max(0),
            pods: self.pods,
        }
    }

    pub fn to_list(self) -> ResourceList {
        let raw = |quantity: Quantity| RawQuantity(quantity.to_string());
        // Whole KiB in canonical form: what the API server gives back is then equal to what was sent.
        let kibibytes = |bytes: i64| raw(Quantity::from_bytes(bytes / 1024 * 1024));
        let mut list = BTreeMap::from([
            ("cpu".to_owned(), raw(Quantity::from_millis(self.cpu_millis))),
            ("memory".to_owned(), kibibytes(self.memory_bytes)),
            ("ephemeral-storage".to_owned(), kibibytes(self.ephemeral_storage_bytes)),
            ("pods".to_owned(), raw(Quantity::from_units(self.pods))),
        ]);
        for size in huge_page_sizes() {
            list.insert(format!("hugepages-{size}"), RawQuantity("0".to_owned()));
        }
        list
    }
}

/// Huge pages are shown and not given out.
fn huge_page_sizes() -> Vec<&'static str> {
    let has =
        |kibibytes: &str| Path::new(&format!("/sys/kernel/mm/hugepages/hugepages-{kibibytes}kB")).exists();
    [("2048", "2Mi"), ("1048576", "1Gi")].into_iter().filter(|(k, _)| has(k)).map(|(_, size)| size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocatable_leaves_what_is_reserved_and_the_eviction_threshold() {
        let capacity = Capacity {
            cpu_millis: 2000,
            memory_bytes: 1 << 30,
            ephemeral_storage_bytes: 1000 << 20,
            pods: 110,
        };
        let reserved = Reserved { cpu_millis: 250, memory_bytes: 24 << 20, ephemeral_storage_bytes: 0 };
        let list = capacity.allocatable(reserved).to_list();
        let text = |name: &str| list[name].0.clone();
        assert_eq!(
            (text("cpu"), text("memory"), text("pods")),
            ("1750m".into(), "900Mi".into(), "110".into())
        );
    }
}
