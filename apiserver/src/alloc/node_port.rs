//! Node ports: the ports of a service that every node answers on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::pool::Bands;
use super::{Allocator, Refusal, owner_of};
use crate::error::FieldError;
use crate::kinds::service::has_node_ports;
use crate::kinds::walk::{int, items, set, text};
use crate::storage::Claims;

const TAKEN: &str = "provided port is already allocated";

/// The ports that a service holds claims on.
pub(super) fn held(service: &Value) -> BTreeSet<u16> {
    let listed = items(service, "/spec/ports").iter().filter_map(|port| int(port, "/nodePort"));
    let health = int(service, "/spec/healthCheckNodePort");
    listed
        .chain(health)
        .filter(|number| *number != 0)
        .filter_map(|number| u16::try_from(number).ok())
        .collect()
}

pub(super) fn allocate(
    allocator: &Allocator,
    service: &mut Value,
    old: Option<&Value>,
    claims: &mut Claims,
) -> Result<(), Refusal> {
    let before = old.map(held).unwrap_or_default();
    let mut after = BTreeSet::new();
    if has_node_ports(service) || !held(service).is_empty() {
        let used: BTreeSet<u16> = allocator.services().iter().flat_map(held).collect();
        after = Choice { allocator, before: &before, used, mine: BTreeMap::new() }.fill(service)?;
    }
    let owner = owner_of(service);
    claims.take.extend(after.difference(&before).map(|port| (allocator.port_key(*port), owner.clone())));
    claims.release.extend(before.difference(&after).map(|port| allocator.port_key(*port)));
    Ok(())
}

struct Choice<'a> {
    allocator: &'a Allocator,
    before: &'a BTreeSet<u16>,
    /// By any service, this one's old self included.
    used: BTreeSet<u16>,
    /// Node port to the protocols that share it: TCP and UDP may, twice TCP may not.
    mine: BTreeMap<u16, BTreeSet<String>>,
}

impl Choice<'_> {
    fn fill(mut self, service: &mut Value) -> Result<BTreeSet<u16>, Refusal> {
        let wants_ports = has_node_ports(service);
        let wants_health = text(service, "/spec/type") == "LoadBalancer"
            && text(service, "/spec/externalTrafficPolicy") == "Local"
            && int(service, "/spec/healthCheckNodePort").unwrap_or(0) == 0;
        let ports = service.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
        let mut ports: Vec<&mut Value> = ports.into_iter().flatten().collect();
        // Those that name their port come first, so that a free choice cannot take it from them.
        for (index, port) in ports.iter().enumerate() {
            if let Some(number) = int(port, "/nodePort").filter(|number| *number != 0) {
                self.take_fixed(index, number, text(port, "/protocol"))?;
            }
        }
        for port in ports.iter_mut().filter(|_| wants_ports) {
            if int(port, "/nodePort").unwrap_or(0) == 0 {
                let number = self.take_free(text(port, "/protocol"))?;
                set(port, "nodePort", number);
            }
        }
        if wants_health {
            let number = self.take_free("health")?;
            set(&mut service["spec"], "healthCheckNodePort", number);
        }
        let health = held(service);
        Ok(self.mine.into_keys().chain(health).collect())
    }

    fn take_fixed(&mut self, index: usize, number: i64, protocol: &str) -> Result<(), Refusal> {
        let field = format!("spec.ports[{index}].nodePort");
        let refuse = |detail: String| Err(Refusal::Field(FieldError::invalid(field, number, detail)));
        let range = &self.allocator.config.node_ports;
        let port = u16::try_from(number).ok();
        let kept = port.is_some_and(|port| self.before.contains(&port));
        let Some(port) = port.filter(|port| kept || range.contains(port)) else {
            let (low, high) = (range.start(), range.end());
            return refuse(format!(
                "provided port is not in the valid range. The range of valid ports is {low}-{high}"
            ));
        };
        let shared = self.mine.get(&port).map(|protocols| !protocols.contains(protocol));
        let is_free = match shared {
            Some(shared) => shared,
            None => kept || self.is_free(port),
        };
        if !is_free {
            return refuse(TAKEN.to_owned());
        }
        self.mine.entry(port).or_default().insert(protocol.to_owned());
        Ok(())
    }

    fn take_free(&mut self, protocol: &str) -> Result<u16, Refusal> {
        let range = &self.allocator.config.node_ports;
        let (low, high) = (*range.start(), *range.end());
        let size = u32::from(high.saturating_sub(low)) + 1;
        let at = |offset: u32| low + u16::try_from(offset).expect("offsets stay below the size of the range");
        let is_free = |offset: u32| {
            let port = at(offset);
            !self.mine.contains_key(&port) && !self.before.contains(&port) && self.is_free(port)
        };
        let offset = Bands::new(size, 32, 128).pick(is_free).ok_or(Refusal::Exhausted("nodePort"))?;
        self.mine.entry(at(offset)).or_default().insert(protocol.to_owned());
        Ok(at(offset))
    }

    fn is_free(&self, port: u16) -> bool {
        !self.used.contains(&port) && !self.allocator.was_lost(&self.allocator.port_key(port))
    }
}
