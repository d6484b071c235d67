//! What the kernel knows of this process, under Prometheus' usual names. Read from `/proc` when somebody asks.

use std::fs;

use super::page::Page;

/// Clock ticks a second in `/proc`; the kernel's ABI on every machine that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Bytes of a page, likewise.
const PAGE_BYTES: u64 = 4096;

/// Nothing for what cannot be read.
pub fn render(page: &mut Page) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(stat) = Stat::parse(&stat) {
        let boot = boot_seconds().unwrap_or_default();
        let started = boot + stat.started_after_boot_seconds;
        page.family("process_cpu_seconds_total", "counter", "Processor time spent");
        page.sample("process_cpu_seconds_total", &[], stat.cpu_seconds);
        page.level("process_resident_memory_bytes", "Memory in use", stat.resident_bytes as f64);
        page.level("process_virtual_memory_bytes", "Addresses in use", stat.virtual_bytes as f64);
        page.level("process_start_time_seconds", "When the process started, seconds since 1970", started);
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let open = open.count() as f64;
        page.level("process_open_fds", "Open file descriptors", open);
        page.level("os_fd_used", "Open file descriptors", open);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(limit) = limit(&limits, "Max open files") {
        page.level("process_max_fds", "Most open file descriptors", limit);
        page.level("os_fd_limit", "Most open file descriptors", limit);
    }
    if let Some(limit) = limit(&limits, "Max address space") {
        page.level("process_virtual_memory_max_bytes", "Most addresses", limit);
    }
    let netstat = fs::read_to_string("/proc/self/net/netstat").unwrap_or_default();
    let octets = [
        ("process_network_receive_bytes_total", "Bytes that came over the network", "InOctets"),
        ("process_network_transmit_bytes_total", "Bytes that went over the network", "OutOctets"),
    ];
    for (name, help, field) in octets {
        if let Some(bytes) = network_bytes(&netstat, field) {
            page.count(name, help, bytes);
        }
    }
}

#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    started_after_boot_seconds: f64,
    virtual_bytes: u64,
    resident_bytes: u64,
}

impl Stat {
    /// The second field, the name, may hold anything, but ends with the last parenthesis.
    fn parse(text: &str) -> Option<Stat> {
        let fields: Vec<u64> = text
            .rsplit_once(") ")?
            .1
            .split_whitespace()
            .map(|field| field.parse().unwrap_or_default())
            .collect();
        // Counted from the state, which is field 3 of proc(5).
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Stat {
            cpu_seconds: (field(14)? + field(15)?) as f64 / TICKS_PER_SECOND,
            started_after_boot_seconds: field(22)? as f64 / TICKS_PER_SECOND,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * PAGE_BYTES,
        })
    }
}

fn boot_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

/// The soft one. What is unlimited is bounded by the width of a number.
fn limit(limits: &str, name: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX as f64),
        number => number.parse().ok(),
    }
}

/// Of the network that the process is in. Two lines belong together: names, and values below them.
fn network_bytes(netstat: &str, field: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("IpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|name| name == field)?;
    values.split_whitespace().nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_the_kernel_writes_it() {
        let stat =
            "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 12300 8192 3 18446744073709551615";
        let want = Stat {
            cpu_seconds: 2.0,
            started_after_boot_seconds: 123.0,
            virtual_bytes: 8192,
            resident_bytes: 3 * PAGE_BYTES,
        };
        assert_eq!(Stat::parse(stat), Some(want));
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(limit(limits, "Max open files"), Some(1024.0));
        assert_eq!(
            limit("Max address space unlimited unlimited bytes", "Max address space"),
            Some(u64::MAX as f64)
        );
        let netstat = "TcpExt: A\nTcpExt: 1\nIpExt: InMcastPkts InOctets OutOctets\nIpExt: 4 5 6\n";
        assert_eq!(network_bytes(netstat, "OutOctets"), Some(6));
    }
}
