//! Users, roles and permissions on either server, with access control off, and then on.

use balsa_proto::etcd::authpb::permission::Type;
use balsa_proto::etcd::authpb::{Permission, UserAddOptions};
use balsa_proto::etcd::etcdserverpb::auth_client::AuthClient;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthRoleGetRequest, AuthRoleGrantPermissionRequest,
    AuthRoleListRequest, AuthUserAddRequest, AuthUserGetRequest, AuthUserGrantRoleRequest,
    AuthUserListRequest, AuthenticateRequest, RangeRequest,
};
use tonic::Request;
use tonic::transport::Channel;

/// User, password and role.
const USERS: [(&str, &str, &str); 3] =
    [("root", "root-password", "root"), ("alice", "alice-password", "keys"), ("certificate", "", "keys")];

/// Of the role `keys`.
const PERMISSIONS: [(&str, &str, Type); 3] =
    [("a", "", Type::Read), ("many/", "many0", Type::Readwrite), ("z", "\0", Type::Write)];

pub async fn add(channel: &Channel) {
    let mut auth = AuthClient::new(channel.clone());
    for role in ["keys", "root", "without"] {
        auth.role_add(AuthRoleAddRequest { name: role.into() }).await.unwrap();
    }
    for (key, range_end, kind) in PERMISSIONS {
        let perm = Permission { perm_type: kind as i32, key: key.into(), range_end: range_end.into() };
        let grant = AuthRoleGrantPermissionRequest { name: "keys".into(), perm: Some(perm) };
        auth.role_grant_permission(grant).await.unwrap();
    }
    for (name, password, role) in USERS {
        let options = Some(UserAddOptions { no_password: password.is_empty() });
        let user = AuthUserAddRequest {
            name: name.into(),
            password: password.into(),
            options,
            ..Default::default()
        };
        auth.user_add(user).await.unwrap();
        let grant = AuthUserGrantRoleRequest { user: name.into(), role: role.into() };
        auth.user_grant_role(grant).await.unwrap();
    }
}

pub async fn describe(channel: &Channel) -> String {
    let mut auth = AuthClient::new(channel.clone());
    let mut out = String::new();
    let users = auth.user_list(AuthUserListRequest {}).await.unwrap().into_inner().users;
    for name in users {
        let user = auth.user_get(AuthUserGetRequest { name: name.clone() }).await.unwrap().into_inner();
        out.push_str(&format!("user {name}: {:?}\n", user.roles));
    }
    let roles = auth.role_list(AuthRoleListRequest {}).await.unwrap().into_inner().roles;
    // What stock 3.4 says of root's permissions is none, and 3.6 all.
    for role in roles.into_iter().filter(|role| role != "root") {
        let found = auth.role_get(AuthRoleGetRequest { role: role.clone() }).await.unwrap().into_inner();
        out.push_str(&format!("role {role}: {:?}\n", found.perm));
    }
    out
}

pub async fn enable(channel: &Channel) {
    AuthClient::new(channel.clone()).auth_enable(AuthEnableRequest {}).await.unwrap();
}

/// Whether access control is on.
pub async fn asks_who_it_is(channel: &Channel) -> bool {
    let request = RangeRequest { key: "a".into(), ..Default::default() };
    let answer = KvClient::new(channel.clone()).range(request).await;
    answer.is_err_and(|refused| refused.message() == "etcdserver: user name is empty")
}

/// With access control on: passwords are those that were given, and permissions count.
pub async fn counts_whom_it_knows(channel: &Channel) {
    let mut auth = AuthClient::new(channel.clone());
    let mut login = async |name: &str, password: &str| {
        let request = AuthenticateRequest { name: name.into(), password: password.into() };
        auth.authenticate(request).await.map(|answer| answer.into_inner().token)
    };
    let refused = login("alice", "another").await.unwrap_err();
    assert_eq!(refused.message(), "etcdserver: authentication failed, invalid user ID or password");
    let read = async |token: String, key: &str| {
        let mut request = Request::new(RangeRequest { key: key.to_owned().into(), ..Default::default() });
        request.metadata_mut().insert("token", token.parse().unwrap());
        KvClient::new(channel.clone()).range(request).await.map(drop)
    };
    let token = login("alice", "alice-password").await.unwrap();
    read(token.clone(), "many/0001").await.unwrap();
    assert_eq!(read(token, "b").await.unwrap_err().message(), "etcdserver: permission denied");
    read(login("root", "root-password").await.unwrap(), "b").await.unwrap();
}
