//! `diff REV REV [PREFIX]`: what changed between two revisions; of JSON values, what changed inside.
//!
//! Both revisions are listed by key, in pages and without values; values are read of keys that differ alone.

use balsa_proto::etcd::etcdserverpb as pb;
use balsa_proto::etcd::etcdserverpb::kv_client::KvClient;
use balsa_proto::etcd::mvccpb::KeyValue;
use base64::Engine;
use bytes::Bytes;
use serde_json::Value;

use super::connect::{self, Connection};
use super::failure::{BAD_FEATURE, Failure};
use super::flags::{Flags, Format};
use super::json_patch::{self, Step};
use super::say;
use crate::mvcc::prefix_end;

const PAGE: i64 = 1_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The older revision
    from: i64,
    /// The newer revision; 0 is now
    to: i64,
    /// Only keys that begin with this
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// Only which keys changed, and how
    #[arg(long)]
    keys_only: bool,
}

/// A key that is not the same at both revisions.
struct Changed {
    old: Option<KeyValue>,
    new: Option<KeyValue>,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    let format = flags.format();
    if !matches!(format, Format::Simple | Format::Json) {
        return Err(Failure::new(BAD_FEATURE, "a diff is printed as simple or json"));
    }
    let mut kv = connect::kv(flags, connect::any(flags).await?);
    let to = match args.to {
        0 => {
            let request = pb::RangeRequest { key: vec![0].into(), ..pb::RangeRequest::default() };
            connect::ask(flags, kv.range(request)).await?.header.map_or(0, |header| header.revision)
        }
        to => to,
    };
    let mut old = Listing::new(&args.prefix, args.from);
    let mut new = Listing::new(&args.prefix, to);
    let mut rows = Vec::new();
    loop {
        let changed = match (old.peek(flags, &mut kv).await?, new.peek(flags, &mut kv).await?) {
            (None, None) => break,
            (Some(a), Some(b)) if a.key == b.key => {
                let pair = (old.take(), new.take());
                if pair.0.as_ref().map(|kv| kv.mod_revision) == pair.1.as_ref().map(|kv| kv.mod_revision) {
                    continue;
                }
                Changed { old: pair.0, new: pair.1 }
            }
            (Some(a), Some(b)) if a.key < b.key => Changed { old: old.take(), new: None },
            (Some(_), None) => Changed { old: old.take(), new: None },
            (_, Some(_)) => Changed { old: None, new: new.take() },
        };
        let changed = if args.keys_only {
            changed
        } else {
            with_values(flags, &mut kv, changed, args.from, to).await?
        };
        match format {
            Format::Json => rows.push(json(&changed)),
            _ => say(simple(&changed, args.keys_only))?,
        }
    }
    if format == Format::Json { say(Value::Array(rows).to_string() + "\n") } else { Ok(()) }
}

/// The keys at one revision, in order.
struct Listing {
    next: Bytes,
    end: Bytes,
    revision: i64,
    page: std::collections::VecDeque<KeyValue>,
    more: bool,
}

impl Listing {
    fn new(prefix: &str, revision: i64) -> Self {
        let (next, end) = match prefix {
            "" => (vec![0].into(), vec![0].into()),
            prefix => (prefix.to_owned().into(), prefix_end(prefix.as_bytes()).into()),
        };
        Self { next, end, revision, page: Default::default(), more: true }
    }

    async fn peek(
        &mut self,
        flags: &Flags,
        kv: &mut KvClient<Connection>,
    ) -> Result<Option<KeyValue>, Failure> {
        if self.page.is_empty() && self.more {
            let request = pb::RangeRequest {
                key: self.next.clone(),
                range_end: self.end.clone(),
                revision: self.revision,
                limit: PAGE,
                keys_only: true,
                ..pb::RangeRequest::default()
            };
            let answer = connect::ask(flags, kv.range(request)).await?;
            self.more = answer.more;
            if let Some(last) = answer.kvs.last() {
                self.next = [&last.key[..], &[0]].concat().into();
            }
            self.page = answer.kvs.into();
        }
        Ok(self.page.front().cloned())
    }

    fn take(&mut self) -> Option<KeyValue> {
        self.page.pop_front()
    }
}

async fn with_values(
    flags: &Flags,
    kv: &mut KvClient<Connection>,
    changed: Changed,
    from: i64,
    to: i64,
) -> Result<Changed, Failure> {
    let mut sides = [(changed.old, from), (changed.new, to)];
    for (side, revision) in &mut sides {
        if let Some(known) = side {
            let request = pb::RangeRequest {
                key: known.key.clone(),
                revision: *revision,
                ..pb::RangeRequest::default()
            };
            *side = connect::ask(flags, kv.range(request)).await?.kvs.into_iter().next();
        }
    }
    let [(old, _), (new, _)] = sides;
    Ok(Changed { old, new })
}

impl Changed {
    fn key(&self) -> &[u8] {
        self.new.as_ref().or(self.old.as_ref()).map_or(&[], |kv| &kv.key)
    }

    fn kind(&self) -> &'static str {
        match (&self.old, &self.new) {
            (None, _) => "added",
            (_, None) => "removed",
            // Deleted in between, and made again.
            (Some(old), Some(new)) if old.create_revision != new.create_revision => "replaced",
            (Some(_), Some(_)) => "changed",
        }
    }

    /// `None` if either value is no JSON.
    fn steps(&self) -> Option<Vec<Step>> {
        let parse = |kv: &Option<KeyValue>| serde_json::from_slice::<Value>(&kv.as_ref()?.value).ok();
        Some(json_patch::steps(&parse(&self.old)?, &parse(&self.new)?))
    }
}

fn simple(changed: &Changed, keys_only: bool) -> String {
    let key = String::from_utf8_lossy(changed.key());
    let revision = |kv: &Option<KeyValue>| kv.as_ref().map_or("-".into(), |kv| kv.mod_revision.to_string());
    let head =
        format!("{} {key} ({} -> {})\n", changed.kind(), revision(&changed.old), revision(&changed.new));
    if keys_only {
        return head;
    }
    let body: String = match changed.steps() {
        Some(steps) => steps.iter().map(|step| format!("    {step}\n")).collect(),
        None => lines('-', &changed.old) + &lines('+', &changed.new),
    };
    head + &body
}

fn lines(sign: char, kv: &Option<KeyValue>) -> String {
    let text = kv.as_ref().map(|kv| String::from_utf8_lossy(&kv.value).into_owned()).unwrap_or_default();
    text.lines().map(|line| format!("  {sign} {line}\n")).collect()
}

fn json(changed: &Changed) -> Value {
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let side = |kv: &Option<KeyValue>| {
        kv.as_ref().map(|kv| serde_json::json!({"mod_revision": kv.mod_revision, "value": base64(&kv.value)}))
    };
    let patch = changed.steps().map(|steps| {
        let one = |step: &Step| match &step.new {
            Some(value) => serde_json::json!({"op": step.op, "path": step.path, "value": value}),
            None => serde_json::json!({"op": step.op, "path": step.path}),
        };
        steps.iter().map(one).collect::<Vec<_>>()
    });
    serde_json::json!({
        "key": base64(changed.key()),
        "change": changed.kind(),
        "old": side(&changed.old),
        "new": side(&changed.new),
        "patch": patch,
    })
}
