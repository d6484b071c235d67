//! `certificate_expiry`: the certificates of members are near their end and nobody renews them; undone by new ones on disk.
//!
//! Connections that are open go on; whoever connects anew is refused once the time is over, members by members and clients
//! by members. With the new certificates in place all must find together again, without a restart.

use std::time::Duration;

use anyhow::Result;

use super::{Fault, names};
use crate::lab::{StoreCluster, authority};

/// From the fault's begin to the certificates' end. A certificate's times are whole seconds.
const LEFT: Duration = Duration::from_secs(2);

pub struct CertificateExpiry {
    victims: Vec<usize>,
}

impl CertificateExpiry {
    pub fn new(victims: Vec<usize>) -> Self {
        Self { victims }
    }
}

impl Fault for CertificateExpiry {
    fn what(&self, cluster: &StoreCluster) -> String {
        format!("certificates of {} expire", names(cluster, self.victims()))
    }

    fn victims(&self) -> Vec<usize> {
        self.victims.clone()
    }

    fn inject(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        self.victims.iter().try_for_each(|&victim| cluster.issue_certificate(victim, LEFT))
    }

    fn undo(&mut self, cluster: &mut StoreCluster) -> Result<()> {
        self.victims.iter().try_for_each(|&victim| cluster.issue_certificate(victim, authority::LONG))
    }
}
