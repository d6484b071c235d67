//! `--feature-gates Name=true,…`: what each of etcd's gates would switch, and whether there is something to switch here.

/// A gate: its name, the value that it has here, and why it has no other.
struct Gate {
    name: &'static str,
    /// `None`: both values mean the same here.
    value: Option<bool>,
    why: &'static str,
}

const fn gate(name: &'static str, value: Option<bool>, why: &'static str) -> Gate {
    Gate { name, value, why }
}

pub const COMPACT_HASH_CHECK: &str = "CompactHashCheck";
pub const INITIAL_CORRUPT_CHECK: &str = "InitialCorruptCheck";

const GATES: &[Gate] = &[
    gate("AllAlpha", Some(false), "name the gates that you want"),
    gate("AllBeta", None, "no beta gate changes anything"),
    gate(COMPACT_HASH_CHECK, None, "the leader compares what compactions left on the members"),
    gate(INITIAL_CORRUPT_CHECK, None, "a member compares its data with the others before it serves"),
    gate(
        "LeaseCheckpoint",
        Some(false),
        "a new leader extends leases instead of knowing what remained of them",
    ),
    gate(
        "LeaseCheckpointPersist",
        Some(false),
        "a new leader extends leases instead of knowing what remained of them",
    ),
    gate("SetMemberLocalAddr", Some(false), "connections to peers use the address that the routes give"),
    gate("StopGRPCServiceOnDefrag", None, "defragmenting does not stop the service"),
    gate("TxnModeWriteWithSharedBuffer", None, "transactions read from a version that nobody changes"),
    // Of etcd 3.7.
    gate("FastLeaseKeepAlive", None, "a renewal waits for what was committed before it, with either value"),
    gate("PriorityRequest", Some(false), "requests are served in the order in which they come"),
];

/// For clap.
pub fn parse(text: &str) -> Result<String, String> {
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(|| format!("missing bool value for {part}"))?;
        let value: bool = value.parse().map_err(|_| format!("invalid value of {name}: {value}"))?;
        let gate = GATES.iter().find(|gate| gate.name == name);
        let gate = gate.ok_or_else(|| format!("unrecognized feature gate: {name}"))?;
        if gate.value.is_some_and(|fixed| fixed != value) {
            return Err(format!("{name}={value} is not supported: {}", gate.why));
        }
    }
    Ok(text.to_owned())
}

/// Whether a text that [`parse`] has passed switches the gate on. The last word counts.
pub fn is_on(gates: &str, name: &str) -> bool {
    let mut said = gates.split(',').filter_map(|part| part.trim().split_once('='));
    said.rfind(|(gate, _)| *gate == name).is_some_and(|(_, value)| value == "true")
}

#[cfg(test)]
mod tests {
    use super::{INITIAL_CORRUPT_CHECK, is_on, parse};

    #[test]
    fn gates_are_taken_or_refused_by_name() {
        assert!(parse("InitialCorruptCheck=true,AllAlpha=false").is_ok());
        assert!(parse("FastLeaseKeepAlive=true,PriorityRequest=false").is_ok());
        assert_eq!(parse("Nonsense=true"), Err("unrecognized feature gate: Nonsense".to_owned()));
        assert!(parse("LeaseCheckpoint=true").is_err_and(|why| why.contains("is not supported")));
        assert!(is_on("AllAlpha=false, InitialCorruptCheck=true", INITIAL_CORRUPT_CHECK));
        assert!(!is_on("InitialCorruptCheck=true,InitialCorruptCheck=false", INITIAL_CORRUPT_CHECK));
        assert!(parse("LeaseCheckpoint").is_err_and(|why| why.contains("missing bool value")));
    }
}
