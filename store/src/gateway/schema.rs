//! Messages, enums and methods as the descriptors tell them, in a form that is quick to walk.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// The packages that clients of the store speak.
const PACKAGES: [&str; 6] =
    ["etcdserverpb", "authpb", "mvccpb", "v3lockpb", "v3electionpb", "grpc.health.v1"];

#[derive(Debug)]
pub struct Schema {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    /// By `package.Service/Method`.
    methods: HashMap<String, Method>,
}

/// Fields in the order of the `.proto`, which is that of the JSON.
#[derive(Debug, Default)]
pub struct Message {
    pub fields: Vec<Field>,
}

#[derive(Debug)]
pub struct Field {
    /// As in the `.proto`; written.
    pub name: String,
    /// In camel case; understood as well.
    pub json_name: String,
    pub number: u32,
    pub kind: Kind,
    pub repeated: bool,
    /// Says by its presence which of several was meant, so that a default is not left out.
    pub in_oneof: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int32,
    Uint32,
    Int64,
    Uint64,
    String,
    Bytes,
    Enum(EnumId),
    Message(MessageId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageId(usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnumId(usize);

#[derive(Debug)]
pub struct Enum {
    pub name: String,
    pub values: Vec<(String, i32)>,
}

#[derive(Debug, Clone)]
pub struct Method {
    /// `/package.Service/Method`.
    pub path: String,
    pub input: MessageId,
    pub output: MessageId,
    pub client_streams: bool,
    pub server_streams: bool,
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(balsa_proto::DESCRIPTORS).expect("the build wrote them");
    Schema::of(&set)
});

/// Made once, when first asked for.
pub fn schema() -> &'static Schema {
    &SCHEMA
}

impl Schema {
    pub fn method(&self, name: &str) -> Option<&Method> {
        self.methods.get(name)
    }

    pub fn methods(&self) -> impl Iterator<Item = &Method> {
        self.methods.values()
    }

    pub fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.0]
    }

    pub fn enumeration(&self, id: EnumId) -> &Enum {
        &self.enums[id.0]
    }

    fn of(set: &FileDescriptorSet) -> Schema {
        let mut names = Names::default();
        let files = || set.file.iter().filter(|file| PACKAGES.contains(&file.package()));
        for file in files() {
            let package = format!(".{}", file.package());
            file.enum_type.iter().for_each(|found| names.add_enum(&package, found));
            file.message_type.iter().for_each(|found| names.add_message(&package, found));
        }
        let messages = names.messages.iter().map(|message| names.message(message)).collect();
        let enums = names.enums.iter().map(|(name, found)| enumeration(name, found)).collect();
        let mut methods = HashMap::new();
        for file in files() {
            for service in &file.service {
                let service_name = format!("{}.{}", file.package(), service.name());
                for method in &service.method {
                    let name = format!("{service_name}/{}", method.name());
                    let method = Method {
                        path: format!("/{name}"),
                        input: names.message_id(method.input_type()),
                        output: names.message_id(method.output_type()),
                        client_streams: method.client_streaming(),
                        server_streams: method.server_streaming(),
                    };
                    methods.insert(name, method);
                }
            }
        }
        Schema { messages, enums, methods }
    }
}

/// Full names, with the leading dot that descriptors use, to places.
#[derive(Default)]
struct Names<'a> {
    messages: Vec<&'a DescriptorProto>,
    message_ids: HashMap<String, MessageId>,
    enums: Vec<(String, &'a EnumDescriptorProto)>,
    enum_ids: HashMap<String, EnumId>,
}

impl<'a> Names<'a> {
    fn add_message(&mut self, scope: &str, found: &'a DescriptorProto) {
        let name = format!("{scope}.{}", found.name());
        self.message_ids.insert(name.clone(), MessageId(self.messages.len()));
        self.messages.push(found);
        found.enum_type.iter().for_each(|inner| self.add_enum(&name, inner));
        found.nested_type.iter().for_each(|inner| self.add_message(&name, inner));
    }

    fn add_enum(&mut self, scope: &str, found: &'a EnumDescriptorProto) {
        let name = format!("{scope}.{}", found.name());
        self.enum_ids.insert(name.clone(), EnumId(self.enums.len()));
        self.enums.push((name, found));
    }

    fn message_id(&self, name: &str) -> MessageId {
        *self.message_ids.get(name).unwrap_or_else(|| panic!("{name} is in one of the packages"))
    }

    fn message(&self, found: &DescriptorProto) -> Message {
        Message { fields: found.field.iter().map(|field| self.field(field)).collect() }
    }

    fn field(&self, found: &FieldDescriptorProto) -> Field {
        Field {
            name: found.name().to_owned(),
            json_name: found.json_name().to_owned(),
            number: u32::try_from(found.number()).expect("field numbers are positive"),
            kind: self.kind(found),
            repeated: found.label() == Label::Repeated,
            in_oneof: found.oneof_index.is_some(),
        }
    }

    fn kind(&self, found: &FieldDescriptorProto) -> Kind {
        match found.r#type() {
            Type::Bool => Kind::Bool,
            Type::Int32 => Kind::Int32,
            Type::Uint32 => Kind::Uint32,
            Type::Int64 => Kind::Int64,
            Type::Uint64 => Kind::Uint64,
            Type::String => Kind::String,
            Type::Bytes => Kind::Bytes,
            Type::Enum => {
                let id = self.enum_ids.get(found.type_name());
                Kind::Enum(*id.unwrap_or_else(|| panic!("{} is in one of the packages", found.type_name())))
            }
            Type::Message => Kind::Message(self.message_id(found.type_name())),
            other => panic!("no message of etcd has a field of the type {other:?}"),
        }
    }
}

fn enumeration(name: &str, found: &EnumDescriptorProto) -> Enum {
    let values = found.value.iter().map(|value| (value.name().to_owned(), value.number()));
    Enum { name: name.trim_start_matches('.').to_owned(), values: values.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::PATHS;
    use crate::server::door::{Need, need_of};

    #[test]
    fn every_path_stands_for_a_method() {
        for (path, method) in PATHS {
            assert!(schema().method(method).is_some(), "{path} → {method}");
        }
    }

    /// Root is what an RPC needs that nobody thought of. These were thought of.
    #[test]
    fn only_what_changes_the_cluster_needs_root() {
        let mut root: Vec<&str> = schema()
            .methods()
            .map(|method| method.path.as_str())
            .filter(|path| need_of(path) == Need::Root)
            .collect();
        root.sort_unstable();
        expect_test::expect![[r#"
            /etcdserverpb.Auth/AuthDisable
            /etcdserverpb.Auth/AuthEnable
            /etcdserverpb.Auth/AuthStatus
            /etcdserverpb.Auth/RoleAdd
            /etcdserverpb.Auth/RoleDelete
            /etcdserverpb.Auth/RoleGrantPermission
            /etcdserverpb.Auth/RoleList
            /etcdserverpb.Auth/RoleRevokePermission
            /etcdserverpb.Auth/UserAdd
            /etcdserverpb.Auth/UserChangePassword
            /etcdserverpb.Auth/UserDelete
            /etcdserverpb.Auth/UserGrantRole
            /etcdserverpb.Auth/UserList
            /etcdserverpb.Auth/UserRevokeRole
            /etcdserverpb.Cluster/MemberAdd
            /etcdserverpb.Cluster/MemberPromote
            /etcdserverpb.Cluster/MemberRemove
            /etcdserverpb.Cluster/MemberUpdate
            /etcdserverpb.KV/Compact
            /etcdserverpb.Maintenance/Defragment
            /etcdserverpb.Maintenance/Downgrade
            /etcdserverpb.Maintenance/Hash
            /etcdserverpb.Maintenance/HashKV
            /etcdserverpb.Maintenance/MoveLeader
            /etcdserverpb.Maintenance/Snapshot"#]]
        .assert_eq(&root.join("\n"));
    }
}
