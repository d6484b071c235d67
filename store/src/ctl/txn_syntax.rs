//! One line of a transaction: a compare (`mod("key") > "0"`), or an operation in the words of the command line.

use balsa_proto::etcd::etcdserverpb::compare::TargetUnion;
use balsa_proto::etcd::etcdserverpb::request_op::Request;
use balsa_proto::etcd::etcdserverpb::{Compare, RequestOp};
use clap::Parser;

use super::failure::{Failure, INVALID_INPUT};
use super::{del, get, go_flags, put};

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
    let (target, rest) =
        line.split_once('(').ok_or_else(|| invalid(format!("malformed comparison: {line}")))?;
    let Parts { key, sign, value } = parts(rest).map_err(|read| {
        let Parts { key, sign, value } = read;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        invalid(format!(
            "malformed comparison: {line}; got {target}({:?}) {sign} {:?}",
            text(&key),
            text(&value)
        ))
    })?;
    let result = ["=", ">", "<", "!="].iter().position(|known| *known == sign);
    let result =
        result.ok_or_else(|| invalid(format!("malformed comparison: {line} (unknown result op)")))?;
    let number = |radix| {
        let parsed = std::str::from_utf8(&value).ok().and_then(|text| i64::from_str_radix(text, radix).ok());
        parsed.ok_or_else(|| invalid(format!("invalid txn compare request: {line}")))
    };
    let (target, union) = match target.trim() {
        "ver" | "version" => (0, TargetUnion::Version(number(10)?)),
        "c" | "create" => (1, TargetUnion::CreateRevision(number(10)?)),
        "m" | "mod" => (2, TargetUnion::ModRevision(number(10)?)),
        "val" | "value" => (3, TargetUnion::Value(value.into())),
        // An id, written as everywhere on the command line.
        "lease" => (4, TargetUnion::Lease(number(16)?)),
        other => return Err(invalid(format!("malformed comparison: {line} (unknown target {other})"))),
    };
    let result = result as i32;
    Ok(Compare { result, target, key: key.into(), target_union: Some(union), ..Compare::default() })
}

#[derive(Default)]
struct Parts {
    key: Vec<u8>,
    sign: String,
    value: Vec<u8>,
}

/// `"key") > "value"`, or as much of it as there is.
fn parts(text: &str) -> Result<Parts, Parts> {
    let mut read = Parts::default();
    let Some((key, rest)) = quoted(text.trim_start()) else { return Err(read) };
    read.key = key;
    let Some(rest) = rest.strip_prefix(')') else { return Err(read) };
    let rest = rest.trim_start();
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    read.sign = rest[..end].to_owned();
    let Some((value, _)) = quoted(rest[end..].trim_start()) else { return Err(read) };
    read.value = value;
    Ok(read)
}

pub fn operation(line: &str) -> Result<RequestOp, Failure> {
    let bad = || invalid(format!("invalid txn compare request: {line}"));
    let words = words(line).ok_or_else(bad)?;
    if words.len() < 2 {
        return Err(bad());
    }
    let parsed = go_flags::parse::<Operation>(words).map_err(|error| {
        // Which flag is wrong is worth a word; of an unknown operation, the line says all.
        if error.kind() != clap::error::ErrorKind::InvalidSubcommand {
            eprintln!("{error}");
        }
        invalid(format!("invalid txn request: {line}"))
    });
    let request = match parsed? {
        Operation::Get(args) => Request::RequestRange(get::request(args)?),
        Operation::Put(args) => Request::RequestPut(put::request(args, false)?),
        Operation::Del(args) => Request::RequestDeleteRange(del::request(args)?),
    };
    Ok(RequestOp { request: Some(request) })
}

/// Splits at blanks; quotes of either kind keep a word together. `None` if a quote is not closed.
pub fn words(line: &str) -> Option<Vec<String>> {
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
