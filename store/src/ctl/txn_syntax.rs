//! One line of a transaction: a compare (`mod("key") > "0"`), or an operation in the words of the command line.

use balsa_proto::etcd::etcdserverpb::compare::TargetUnion;
use balsa_proto::etcd::etcdserverpb::request_op::Request;
use balsa_proto::etcd::etcdserverpb::{Compare, RequestOp};
use clap::Parser;

use super::failure::{Failure, INVALID_INPUT};
use super::{del, get, put};

#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
enum Operation {
    Get(get::Args),
    Put(put::Args),
    Del(del::Args),
}

fn invalid(text: String) -> Failure {
    Failure::new(INVALID_INPUT, text)
}

pub fn compare(line: &str) -> Result<Compare, Failure> {
    let malformed = || invalid(format!("malformed comparison: {line}"));
    let (target, rest) = line.split_once('(').ok_or_else(malformed)?;
    let (key, rest) = quoted(rest).ok_or_else(malformed)?;
    let rest = rest.strip_prefix(')').ok_or_else(malformed)?.trim_start();
    let (sign, rest) = rest.split_once(char::is_whitespace).ok_or_else(malformed)?;
    let (value, _) = quoted(rest.trim_start()).ok_or_else(malformed)?;
    let result = ["=", ">", "<", "!="].iter().position(|known| *known == sign).ok_or_else(malformed)? as i32;
    let number = || {
        let parsed = std::str::from_utf8(&value).ok().and_then(|text| text.parse::<i64>().ok());
        parsed.ok_or_else(|| invalid(format!("invalid txn compare request: {line}")))
    };
    let (target, union) = match target.trim() {
        "ver" | "version" => (0, TargetUnion::Version(number()?)),
        "c" | "create" => (1, TargetUnion::CreateRevision(number()?)),
        "m" | "mod" => (2, TargetUnion::ModRevision(number()?)),
        "val" | "value" => (3, TargetUnion::Value(value.into())),
        "lease" => (4, TargetUnion::Lease(number()?)),
        other => return Err(invalid(format!("malformed comparison: {line} (unknown target {other})"))),
    };
    Ok(Compare { result, target, key: key.into(), target_union: Some(union), ..Compare::default() })
}

pub fn operation(line: &str) -> Result<RequestOp, Failure> {
    let bad = || invalid(format!("invalid txn compare request: {line}"));
    let words = words(line).ok_or_else(bad)?;
    if words.len() < 2 {
        return Err(bad());
    }
    let request = match Operation::try_parse_from(words).map_err(|error| invalid(error.to_string()))? {
        Operation::Get(args) => Request::RequestRange(get::request(args)?),
        Operation::Put(args) => Request::RequestPut(put::request(args, false)?),
        Operation::Del(args) => Request::RequestDeleteRange(del::request(args)?),
    };
    Ok(RequestOp { request: Some(request) })
}

/// Splits at blanks; quotes of either kind keep a word together. `None` if a quote is not closed.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        if rest.starts_with('"') {
            let (word, after) = quoted(rest)?;
            words.push(String::from_utf8(word).ok()?);
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('\'') {
            let (word, after) = inner.split_once('\'')?;
            words.push(word.to_owned());
            rest = after;
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Some(words)
}

/// A Go string at the start of the text: its bytes, and what follows it.
fn quoted(text: &str) -> Option<(Vec<u8>, &str)> {
    if let Some(raw) = text.strip_prefix('`') {
        let (inner, after) = raw.split_once('`')?;
        return Some((inner.as_bytes().to_vec(), after));
    }
    let inner = text.strip_prefix('"')?;
    let mut bytes = Vec::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((bytes, &inner[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => bytes.push(b'\n'),
                't' => bytes.push(b'\t'),
                'r' => bytes.push(b'\r'),
                'x' => {
                    let digits: String = [chars.next()?.1, chars.next()?.1].iter().collect();
                    bytes.push(u8::from_str_radix(&digits, 16).ok()?);
                }
                other @ ('\\' | '"' | '\'') => bytes.push(other as u8),
                _ => return None,
            },
            other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    None
}
