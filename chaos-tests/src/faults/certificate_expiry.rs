//! `certificate_expiry`: certificates of members, or of apiservers, are near their end and nobody renews them; undone by
//! new ones on disk.
//!
//! Connections that are open go on; whoever connects anew is refused once the time is over, members by members and clients
//! by members. With the new certificates in place all must find together again, without a restart.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Act, Arena, part_names};
use crate::lab::authority;

/// From the fault's begin to the certificates' end. A certificate's times are whole seconds.
const LEFT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateExpiry {
    pub parts: Vec<usize>,
}

impl Act for CertificateExpiry {
    fn what(&self, arena: &dyn Arena) -> String {
        format!("certificates of {} expire", part_names(arena, &self.parts))
    }

    fn parts(&self) -> &[usize] {
        &self.parts
    }

    fn inject(&mut self, arena: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        self.parts.iter().try_for_each(|&part| arena.issue_certificates(part, LEFT))
    }

    fn undo(&mut self, arena: &mut dyn Arena, _: &BTreeSet<usize>) -> Result<()> {
        self.parts.iter().try_for_each(|&part| arena.issue_certificates(part, authority::LONG))
    }
}
