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

const GATES: &[Gate] = &[
    gate("AllAlpha", Some(false), "name the gates that you want"),
    gate("AllBeta", None, "no beta gate changes anything"),
    gate("CompactHashCheck", Some(false), "hashes of compactions are not compared; use --corrupt-check-time"),
    gate("InitialCorruptCheck", None, "every record carries a checksum that is compared whenever it is read"),
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

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn gates_are_taken_or_refused_by_name() {
        assert!(parse("InitialCorruptCheck=true,AllAlpha=false").is_ok());
        assert_eq!(parse("Nonsense=true"), Err("unrecognized feature gate: Nonsense".to_owned()));
        assert!(parse("LeaseCheckpoint=true").is_err_and(|why| why.contains("is not supported")));
        assert!(parse("LeaseCheckpoint").is_err_and(|why| why.contains("missing bool value")));
    }
}
