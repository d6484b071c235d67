//! The words of test scripts: a command line to a request, a response to lines. Used by the unit tests of the state and
//! by the conformance suite.
//!
//! `\0` in a key is the zero byte and `""` is the empty key. A transaction is clauses with `;` between them; the
//! operation `txn { … }` nests one in another.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::mvccpb::KeyValue;
use bytes::Bytes;

#[derive(Debug)]
pub enum Request {
    Range(pb::RangeRequest),
    Put(pb::PutRequest),
    DeleteRange(pb::DeleteRangeRequest),
    Txn(pb::TxnRequest),
    Compaction(pb::CompactionRequest),
    LeaseGrant(pb::LeaseGrantRequest),
    LeaseRevoke(pb::LeaseRevokeRequest),
}

/// Revisions in scripts count from 1 at the start of the script, which the server had at `base`.
#[derive(Debug, Clone, Copy)]
pub struct Show {
    pub base: i64,
}

pub fn parse(command: &str, show: Show) -> Request {
    let words: Vec<&str> = command.split_whitespace().collect();
    let args = &words[1..];
    let id = |at: usize| args[at].parse().expect("a number");
    match words[0] {
        "get" => Request::Range(range_request(args, show)),
        "put" => Request::Put(put_request(args)),
        "del" => Request::DeleteRange(delete_request(args)),
        "txn" => Request::Txn(txn_request(command.trim_start_matches("txn"), show)),
        "compact" => Request::Compaction(pb::CompactionRequest {
            revision: show.wire(id(0)),
            physical: args.contains(&"physical"),
        }),
        "grant" => Request::LeaseGrant(pb::LeaseGrantRequest { id: id(0), ttl: id(1) }),
        "revoke" => Request::LeaseRevoke(pb::LeaseRevokeRequest { id: id(0) }),
        other => panic!("no such command: {other}"),
    }
}

pub fn option<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

pub fn number(words: &[&str], name: &str) -> i64 {
    option(words, name).map_or(0, |word| word.parse().expect("a number"))
}

/// The words that are neither options nor flags.
pub fn positional<'a>(words: &[&'a str]) -> Vec<&'a str> {
    const FLAGS: [&str; 10] = [
        "prev_kv",
        "ignore_value",
        "ignore_lease",
        "keys_only",
        "count_only",
        "serializable",
        "progress",
        "fragment",
        "noput",
        "nodelete",
    ];
    words.iter().filter(|word| !word.contains('=') && !FLAGS.contains(word)).copied().collect()
}

pub fn key(word: &str) -> Bytes {
    if word == "\"\"" { Bytes::new() } else { word.replace("\\0", "\0").into_bytes().into() }
}

fn range_request(words: &[&str], show: Show) -> pb::RangeRequest {
    let keys = positional(words);
    let revision = |name| show.wire(number(words, name));
    pb::RangeRequest {
        key: key(keys[0]),
        range_end: keys.get(1).map(|end| key(end)).unwrap_or_default(),
        limit: number(words, "limit"),
        revision: revision("rev"),
        sort_order: match option(words, "order") {
            None => 0,
            Some("asc") => 1,
            Some("desc") => 2,
            Some(other) => other.parse().expect("a number"),
        },
        sort_target: match option(words, "by") {
            None | Some("key") => 0,
            Some("version") => 1,
            Some("create") => 2,
            Some("mod") => 3,
            Some("value") => 4,
            Some(other) => panic!("no such target: {other}"),
        },
        serializable: words.contains(&"serializable"),
        keys_only: words.contains(&"keys_only"),
        count_only: words.contains(&"count_only"),
        min_mod_revision: revision("min_mod"),
        max_mod_revision: revision("max_mod"),
        min_create_revision: revision("min_create"),
        max_create_revision: revision("max_create"),
    }
}

fn put_request(words: &[&str]) -> pb::PutRequest {
    let args = positional(words);
    pb::PutRequest {
        key: key(args[0]),
        value: args.get(1).map(|value| key(value)).unwrap_or_default(),
        lease: number(words, "lease"),
        prev_kv: words.contains(&"prev_kv"),
        ignore_value: words.contains(&"ignore_value"),
        ignore_lease: words.contains(&"ignore_lease"),
    }
}

fn delete_request(words: &[&str]) -> pb::DeleteRangeRequest {
    let args = positional(words);
    let range_end = args.get(1).map(|end| key(end)).unwrap_or_default();
    pb::DeleteRangeRequest { key: key(args[0]), range_end, prev_kv: words.contains(&"prev_kv") }
}

fn txn_request(clauses: &str, show: Show) -> pb::TxnRequest {
    let mut request = pb::TxnRequest::default();
    for clause in split_clauses(clauses) {
        let (kind, rest) = clause.split_once(' ').expect("a clause has a word and more");
        match kind {
            "if" => request.compare.push(compare(rest, show)),
            "then" => request.success.push(operation(rest, show)),
            "else" => request.failure.push(operation(rest, show)),
            other => panic!("no such clause: {other}"),
        }
    }
    request
}

/// At `;`, but not inside braces.
fn split_clauses(text: &str) -> Vec<&str> {
    let mut clauses = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => {
                clauses.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    clauses.push(text[start..].trim());
    clauses.retain(|clause| !clause.is_empty());
    clauses
}

/// `mod KEY = 3`, `value KEY..END > x`.
fn compare(text: &str, show: Show) -> pb::Compare {
    use pb::compare::TargetUnion;
    let words: Vec<&str> = text.split_whitespace().collect();
    let value = || words[3].parse().expect("a number");
    let (target, union) = match words[0] {
        "version" => (0, TargetUnion::Version(value())),
        "create" => (1, TargetUnion::CreateRevision(show.wire(value()))),
        "mod" => (2, TargetUnion::ModRevision(show.wire(value()))),
        "value" => (3, TargetUnion::Value(key(words[3]))),
        "lease" => (4, TargetUnion::Lease(value())),
        other => panic!("no such target: {other}"),
    };
    let result = ["=", ">", "<", "!="].iter().position(|sign| *sign == words[2]).expect("an operator") as i32;
    let (start, end) = words[1].split_once("..").unwrap_or((words[1], "\"\""));
    pb::Compare { result, target, key: key(start), range_end: key(end), target_union: Some(union) }
}

fn operation(text: &str, show: Show) -> pb::RequestOp {
    use pb::request_op;
    let words: Vec<&str> = text.split_whitespace().collect();
    let request = match words[0] {
        "put" => Some(request_op::Request::RequestPut(put_request(&words[1..]))),
        "get" => Some(request_op::Request::RequestRange(range_request(&words[1..], show))),
        "del" => Some(request_op::Request::RequestDeleteRange(delete_request(&words[1..]))),
        "txn" => {
            let inner = text.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).expect("braces").0;
            Some(request_op::Request::RequestTxn(txn_request(inner, show)))
        }
        "nothing" => None,
        other => panic!("no such operation: {other}"),
    };
    pb::RequestOp { request }
}

impl Show {
    /// As the server counts. What is not positive has a meaning of its own.
    pub fn wire(self, revision: i64) -> i64 {
        if revision > 0 { revision + self.base - 1 } else { revision }
    }

    /// As the script counts.
    pub fn revision(self, revision: i64) -> i64 {
        if revision > 0 { revision - self.base + 1 } else { revision }
    }

    pub fn header(self, header: &Option<pb::ResponseHeader>) -> String {
        header.as_ref().map_or("none".into(), |header| self.revision(header.revision).to_string())
    }

    pub fn row(self, row: &KeyValue) -> String {
        let lease = if row.lease == 0 { String::new() } else { format!(" lease={}", row.lease) };
        let (create, modified) = (self.revision(row.create_revision), self.revision(row.mod_revision));
        let (key, value) = (row.key.escape_ascii(), row.value.escape_ascii());
        format!("  {key}={value} create={create} mod={modified} version={}{lease}\n", row.version)
    }

    fn rows<'a>(self, rows: impl IntoIterator<Item = &'a KeyValue>) -> String {
        rows.into_iter().map(|row| self.row(row)).collect()
    }

    pub fn range(self, response: &pb::RangeResponse) -> String {
        let more = if response.more { " more" } else { "" };
        format!(
            "{}count={}{more} rev={}\n",
            self.rows(&response.kvs),
            response.count,
            self.header(&response.header)
        )
    }

    pub fn put(self, response: &pb::PutResponse) -> String {
        format!("{}put rev={}\n", self.rows(&response.prev_kv), self.header(&response.header))
    }

    pub fn delete(self, response: &pb::DeleteRangeResponse) -> String {
        format!(
            "{}deleted={} rev={}\n",
            self.rows(&response.prev_kvs),
            response.deleted,
            self.header(&response.header)
        )
    }

    pub fn txn(self, response: &pb::TxnResponse) -> String {
        use pb::response_op::Response;
        let one = |op: &pb::ResponseOp| match &op.response {
            Some(Response::ResponseRange(range)) => self.range(range),
            Some(Response::ResponsePut(put)) => self.put(put),
            Some(Response::ResponseDeleteRange(delete)) => self.delete(delete),
            Some(Response::ResponseTxn(txn)) => self.txn(txn),
            None => "nothing\n".into(),
        };
        let responses: String = response.responses.iter().map(one).collect();
        format!("{responses}succeeded={} rev={}\n", response.succeeded, self.header(&response.header))
    }

    pub fn compaction(self, response: &pb::CompactionResponse) -> String {
        format!("compacted rev={}\n", self.header(&response.header))
    }

    pub fn grant(self, response: &pb::LeaseGrantResponse) -> String {
        format!("granted id={} ttl={} rev={}\n", response.id, response.ttl, self.header(&response.header))
    }

    pub fn revoke(self, response: &pb::LeaseRevokeResponse) -> String {
        format!("revoked rev={}\n", self.header(&response.header))
    }
}
