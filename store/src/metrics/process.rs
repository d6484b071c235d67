//! What the kernel knows of this process, under Prometheus' usual names. Read from `/proc` when somebody asks.

use std::fmt::Write as _;
use std::fs;

/// Clock ticks a second in `/proc`; the kernel's ABI on every machine that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Bytes of a page, likewise.
const PAGE_BYTES: u64 = 4096;

/// Nothing for what cannot be read.
pub fn render(out: &mut String) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(stat) = Stat::parse(&stat) {
        let boot = boot_seconds().unwrap_or_default();
        sample(out, "process_cpu_seconds_total", "counter", "Processor time spent", stat.cpu_seconds);
        sample(out, "process_resident_memory_bytes", "gauge", "Memory in use", stat.resident_bytes as f64);
        sample(out, "process_virtual_memory_bytes", "gauge", "Addresses in use", stat.virtual_bytes as f64);
        sample(
            out,
            "process_start_time_seconds",
            "gauge",
            "When the process started, seconds since 1970",
            boot + stat.started_after_boot_seconds,
        );
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        let open = open.count() as f64;
        sample(out, "process_open_fds", "gauge", "Open file descriptors", open);
        sample(out, "os_fd_used", "gauge", "Open file descriptors", open);
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    if let Some(limit) = max_open_files(&limits) {
        sample(out, "process_max_fds", "gauge", "Most open file descriptors", limit);
        sample(out, "os_fd_limit", "gauge", "Most open file descriptors", limit);
    }
}

fn sample(out: &mut String, name: &str, kind: &str, help: &str, value: f64) {
    // Writing into a String does not fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
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

fn max_open_files(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
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
        assert_eq!(max_open_files(limits), Some(1024.0));
    }
}
