//! Alarm: raises one, takes one back, or lists them.
//!
//! Source: etcd v3.6 `server/etcdserver/apply/backend.go`: the answer names the alarm that was raised, now or before, or
//! that was taken back; an alarm of no kind cannot be raised. Nor can one of a kind that nobody knows, at which stock etcd
//! panics.

use balsa_proto::etcd::etcdserverpb::alarm_request::AlarmAction;
use balsa_proto::etcd::etcdserverpb::{AlarmMember, AlarmRequest, AlarmResponse, AlarmType};

use super::command::Core;
use crate::backend::Column;
use crate::mvcc::alarms;
use crate::mvcc::range::header;

pub fn apply(core: &mut Core, request: &AlarmRequest) -> AlarmResponse {
    let alarm = AlarmMember { member_id: request.member_id, alarm: request.alarm };
    let alarms = match request.action() {
        AlarmAction::Get => core.writer.alarms().of(request.alarm()),
        AlarmAction::Activate if request.alarm() == AlarmType::None => Vec::new(),
        AlarmAction::Activate => {
            if core.writer.alarms_mut().insert(alarm) {
                core.writer.batch().put(Column::Meta, alarms::record_key(alarm), Vec::new());
            }
            vec![alarm]
        }
        AlarmAction::Deactivate => {
            let raised = core.writer.alarms_mut().remove(alarm);
            if raised {
                core.writer.batch().delete(Column::Meta, alarms::record_key(alarm));
            }
            raised.then_some(alarm).into_iter().collect()
        }
    };
    AlarmResponse { header: Some(header(core.writer.revision())), alarms }
}
