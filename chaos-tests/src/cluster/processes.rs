//! Which pods of the workload have a process, by this machine's process table.
//!
//! A pod's process carries its name and uid as arguments (`crate::workloads::pods`); the machine that it is on is the one
//! whose first process is among its ancestors.

use std::collections::BTreeMap;

use super::machine::Machine;
use crate::history::object::RunningPod;
use crate::workloads::pods::PROCESS_MARK;

/// Pods of these machines. A process that ends while it is looked at is left out.
pub fn running_pods(machines: &[Machine]) -> Vec<RunningPod> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let inits: BTreeMap<i32, &str> =
        machines.iter().filter_map(|machine| Some((machine.power()?.init.pid(), machine.name()))).collect();
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let pod = |pid: i32| {
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let (name, uid) = pod_of(&command)?;
        let machine = machine_of(pid, &inits)?.to_owned();
        Some(RunningPod { machine, name, uid })
    };
    let mut pods: Vec<RunningPod> = pids.filter_map(pod).collect();
    pods.sort();
    pods
}

/// Name and uid behind the mark. Children that the shell has just forked carry them as well, which does no harm.
fn pod_of(command: &[u8]) -> Option<(String, String)> {
    let mut words =
        command.split(|byte| *byte == 0).skip_while(|word| *word != PROCESS_MARK.as_bytes()).skip(1);
    let mut text = || String::from_utf8(words.next()?.to_vec()).ok().filter(|text| !text.is_empty());
    Some((text()?, text()?))
}

fn machine_of<'a>(pid: i32, inits: &BTreeMap<i32, &'a str>) -> Option<&'a str> {
    let mut pid = pid;
    while pid > 1 {
        if let Some(name) = inits.get(&pid) {
            return Some(name);
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        pid = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_known_by_what_follows_the_mark() {
        let command = format!("sh\0-c\0wait\0{PROCESS_MARK}\0ordinal-0\0u-1\0");
        assert_eq!(pod_of(command.as_bytes()), Some(("ordinal-0".to_owned(), "u-1".to_owned())));
        assert_eq!(pod_of(b"sh\0-c\0wait\0"), None);
    }
}
