//! The quota: before a command that takes space is proposed, there must be space for it.
//!
//! A member that has none raises its NOSPACE alarm through consensus and refuses; from then on every member refuses, in
//! apply ([`crate::apply::capped`]), until an operator has made room and taken the alarm back. The size is measured every
//! [`QUOTA_MEASURE_INTERVAL`] and whenever it matters, and between two measurements what was admitted is added.
//! *Not* promised: an exact bound. Commands of several members that are under way at once may all fit by themselves.

use std::sync::Arc;

use balsa_proto::etcd::etcdserverpb::alarm_request::AlarmAction;
use balsa_proto::etcd::etcdserverpb::{AlarmMember, AlarmRequest, AlarmType};
use balsa_proto::store::command::Op;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::apply::capped;
use crate::auth::Caller;
use crate::error::Error;
use crate::limits::QUOTA_MEASURE_INTERVAL;
use crate::status::Identity;

/// Cheap to clone.
#[derive(Clone)]
pub struct Quota {
    inner: Arc<Inner>,
}

struct Inner {
    identity: Identity,
    /// `None`: without bound.
    limit_bytes: Option<u64>,
    meter: Mutex<Meter>,
}

struct Meter {
    measured_at: Instant,
    measured_bytes: u64,
    admitted_bytes: u64,
}

impl Quota {
    pub fn new(identity: Identity, limit_bytes: Option<u64>) -> Quota {
        let measured_bytes = identity.mvcc.db_size();
        let meter = Meter { measured_at: Instant::now(), measured_bytes, admitted_bytes: 0 };
        Quota { inner: Arc::new(Inner { identity, limit_bytes, meter: Mutex::new(meter) }) }
    }

    /// `NoSpace` if the command would fill the store; the alarm is raised by then.
    pub async fn admit(&self, op: &Op) -> Result<(), Error> {
        let Some(limit_bytes) = self.inner.limit_bytes else { return Ok(()) };
        let cost_bytes = capped::cost_bytes(op);
        if cost_bytes == 0 || self.fits(cost_bytes, limit_bytes) {
            return Ok(());
        }
        self.raise_alarm().await;
        Err(Error::NoSpace)
    }

    fn fits(&self, cost_bytes: u64, limit_bytes: u64) -> bool {
        let mut meter = self.inner.meter.lock();
        let full = |meter: &Meter| meter.measured_bytes + meter.admitted_bytes + cost_bytes >= limit_bytes;
        if full(&meter) || meter.measured_at.elapsed() > QUOTA_MEASURE_INTERVAL {
            meter.measured_bytes = self.inner.identity.mvcc.db_size();
            meter.admitted_bytes = 0;
            meter.measured_at = Instant::now();
        }
        let fits = !full(&meter);
        if fits {
            meter.admitted_bytes += cost_bytes;
        }
        fits
    }

    async fn raise_alarm(&self) {
        let Identity { member_id, consensus, mvcc, .. } = &self.inner.identity;
        let alarm = AlarmType::Nospace as i32;
        if mvcc.alarms().contains(AlarmMember { member_id: *member_id, alarm }) {
            return;
        }
        let action = AlarmAction::Activate as i32;
        let raise = Op::Alarm(AlarmRequest { action, member_id: *member_id, alarm });
        match consensus.propose(Caller::Server, raise).await {
            Ok(_) => tracing::warn!("the store is full: the alarm NOSPACE is raised, writes are refused"),
            // The command is refused either way, and the next one tries again.
            Err(error) => tracing::warn!(%error, "the store is full, but the alarm NOSPACE was not raised"),
        }
    }
}
