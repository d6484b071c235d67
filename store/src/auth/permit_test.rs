//! What a permission covers.

use balsa_proto::etcd::authpb::Permission;
use balsa_proto::etcd::authpb::permission::Type;
use balsa_proto::etcd::etcdserverpb as pb;

use super::*;
use crate::lease::Terms;

/// `root`; and `alice`, who may read `[a, c)` and write `[b, d)`.
fn state() -> AuthState {
    let mut state = AuthState::default();
    for name in ["root", "alice"] {
        let request = pb::AuthUserAddRequest { name: name.into(), ..Default::default() };
        state.user_add(&request).expect("a new user");
    }
    state.role_add("r").expect("a new role");
    for (kind, key, end) in [(Type::Read, "a", "c"), (Type::Write, "b", "d")] {
        let perm = Permission { perm_type: kind as i32, key: key.into(), range_end: end.into() };
        let request = pb::AuthRoleGrantPermissionRequest { name: "r".into(), perm: Some(perm) };
        state.role_grant_permission(&request).expect("a new permission");
    }
    for (user, role) in [("root", "root"), ("alice", "r")] {
        let request = pb::AuthUserGrantRoleRequest { user: user.into(), role: role.into() };
        state.user_grant_role(&request).expect("a role to grant");
    }
    state.enable().expect("root is there");
    state
}

fn user(state: &AuthState, name: &str) -> Caller {
    Caller::User { name: name.into(), auth_revision: state.revision() }
}

/// Lease 1 holds `b`, lease 2 holds `x`.
fn lessor() -> Lessor {
    let lessor = Lessor::default();
    for (id, key) in [(1, "b"), (2, "x")] {
        lessor.granted(id, Terms { ttl_seconds: 10, remaining_seconds: 0 });
        lessor.moved(&Bytes::from_static(key.as_bytes()), 0, id);
    }
    lessor
}

fn put(key: &str, lease: i64, prev_kv: bool) -> Request {
    Request::RequestPut(PutRequest {
        key: Bytes::copy_from_slice(key.as_bytes()),
        lease,
        prev_kv,
        ..Default::default()
    })
}

fn range(key: &str, end: &str) -> Request {
    Request::RequestRange(RangeRequest {
        key: Bytes::copy_from_slice(key.as_bytes()),
        range_end: Bytes::copy_from_slice(end.as_bytes()),
        ..Default::default()
    })
}

fn delete(key: &str, prev_kv: bool) -> Request {
    let key = Bytes::copy_from_slice(key.as_bytes());
    Request::RequestDeleteRange(DeleteRangeRequest { key, prev_kv, ..Default::default() })
}

fn txn(compare: &str, success: Option<Request>, failure: Option<Request>) -> TxnRequest {
    let compare = pb::Compare { key: Bytes::copy_from_slice(compare.as_bytes()), ..Default::default() };
    let ops = |op: Option<Request>| op.into_iter().map(|op| RequestOp { request: Some(op) }).collect();
    TxnRequest { compare: vec![compare], success: ops(success), failure: ops(failure) }
}

#[test]
fn a_narrow_role_reaches_no_further() {
    let (state, lessor) = (state(), lessor());
    let caller = user(&state, "alice");
    let permit = Permit { state: &state, caller: &caller };
    let denied = Err(Error::PermissionDenied);
    let nested = |op| Some(Request::RequestTxn(txn("a", None, Some(op))));
    let rows: &[(&str, TxnRequest, Result<(), Error>)] = &[
        ("read inside", txn("a", Some(range("a", "c")), None), Ok(())),
        ("read beyond", txn("a", Some(range("a", "d")), None), denied),
        ("compare beyond", txn("c", None, None), denied),
        ("write inside", txn("a", Some(put("c", 0, false)), None), Ok(())),
        ("write beyond", txn("a", None, Some(put("a", 0, false))), denied),
        ("prev_kv that may be read", txn("a", Some(put("b", 0, true)), None), Ok(())),
        ("prev_kv that may not (3.6.11)", txn("a", Some(put("c", 0, true)), None), denied),
        ("a lease whose keys may be written", txn("a", Some(put("c", 1, false)), None), Ok(())),
        ("a lease of others (3.6.11)", txn("a", Some(put("c", 2, false)), None), denied),
        ("delete", txn("a", Some(delete("c", false)), None), Ok(())),
        ("delete with prev_kv", txn("a", Some(delete("c", true)), None), denied),
        ("nested inside", txn("a", nested(put("b", 0, false)), None), Ok(())),
        ("nested beyond (CVE-2026-33343)", txn("a", nested(put("x", 0, false)), None), denied),
        ("nested read beyond (CVE-2026-33343)", txn("a", nested(range("x", "")), None), denied),
    ];
    for (what, request, want) in rows {
        assert_eq!(permit.txn(request, &lessor), *want, "{what}");
        assert_eq!(permit.command(&Op::Txn(request.clone()), &lessor), *want, "{what} at apply");
    }
}

#[test]
fn who_is_let_through() {
    let (mut state, lessor) = (state(), lessor());
    let (root, alice, ghost) = (user(&state, "root"), user(&state, "alice"), user(&state, "ghost"));
    let compaction = Op::Compaction(pb::CompactionRequest::default());
    let grant = Op::LeaseGrant(pb::LeaseGrantRequest::default());
    let revoke = |id| Op::LeaseRevoke(pb::LeaseRevokeRequest { id });
    let outcome = |state: &AuthState, caller: &Caller, op: &Op| Permit { state, caller }.command(op, &lessor);
    let rows = [
        (&Caller::Nobody, &grant, Err(Error::UserEmpty)),
        (&Caller::Nobody, &revoke(2), Err(Error::UserEmpty)),
        (&Caller::Nobody, &compaction, Err(Error::UserEmpty)),
        (&ghost, &grant, Err(Error::PermissionDenied)),
        (&ghost, &compaction, Err(Error::UserNotFound)),
        (&alice, &grant, Ok(())),
        (&alice, &revoke(1), Ok(())),
        (&alice, &revoke(2), Err(Error::PermissionDenied)),
        (&alice, &compaction, Err(Error::PermissionDenied)),
        (&root, &compaction, Ok(())),
        (&root, &revoke(2), Ok(())),
        (&Caller::Server, &revoke(2), Ok(())),
    ];
    for (caller, op, want) in &rows {
        assert_eq!(outcome(&state, caller, op), *want, "{caller:?} {op:?}");
    }
    state.disable();
    for (caller, op, _) in &rows {
        assert_eq!(outcome(&state, caller, op), Ok(()), "{caller:?} {op:?} while it is off");
    }
}

/// Between the check at the door and apply somebody may have taken the permission away.
#[test]
fn a_change_in_between_makes_the_request_old() {
    let (mut state, lessor) = (state(), lessor());
    let alice = user(&state, "alice");
    let write = Op::Put(PutRequest { key: "b".into(), ..Default::default() });
    assert_eq!(Permit { state: &state, caller: &alice }.command(&write, &lessor), Ok(()));
    state.role_add("another").expect("a new role");
    let outcome = Permit { state: &state, caller: &alice }.command(&write, &lessor);
    assert_eq!(outcome, Err(Error::AuthOldRevision));
}

#[test]
fn root_cannot_be_lost_while_it_is_needed() {
    let mut state = state();
    let revoke = pb::AuthUserRevokeRoleRequest { name: "root".into(), role: "root".into() };
    assert_eq!(state.user_delete("root"), Err(Error::InvalidAuthMgmt));
    assert_eq!(state.role_delete("root"), Err(Error::InvalidAuthMgmt));
    assert_eq!(state.user_revoke_role(&revoke), Err(Error::InvalidAuthMgmt));
    let before = state.revision();
    state.disable();
    assert_eq!(state.revision(), before + 1);
    assert!(state.user_revoke_role(&revoke).is_ok());
    assert_eq!(state.enable(), Err(Error::RootRoleNotExist));
}

#[test]
fn what_changes_nothing_raises_no_revision() {
    let mut state = state();
    let before = state.revision();
    let again = pb::AuthUserGrantRoleRequest { user: "alice".into(), role: "r".into() };
    assert!(state.user_grant_role(&again).is_ok());
    assert!(state.enable().is_ok());
    assert_eq!(state.role_delete("nope"), Err(Error::RoleNotFound));
    assert_eq!(state.revision(), before);
}

#[test]
fn a_role_that_goes_takes_its_permissions_along() {
    let mut state = state();
    let touched = state.role_delete("r").expect("the role is there");
    assert_eq!(touched.users, ["alice"]);
    let alice = user(&state, "alice");
    let permit = Permit { state: &state, caller: &alice };
    assert_eq!(permit.read(&"a".into(), &Bytes::new()), Err(Error::PermissionDenied));
}
