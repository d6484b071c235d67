//! `txn`: compares, then what to do if they hold, then what to do if not; each list ends with an empty line.

use std::io::BufRead;

use balsa_proto::etcd::etcdserverpb::TxnRequest;

use super::failure::{Failure, INVALID_INPUT};
use super::flags::Flags;
use super::{Answer, connect, print, say, txn_syntax};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Input transaction in interactive mode
    #[arg(short, long)]
    interactive: bool,
    #[arg(hide = true)]
    words: Vec<String>,
}

pub async fn run(flags: &Flags, args: Args) -> Result<(), Failure> {
    if !args.words.is_empty() {
        return Err(Failure::bad_args("txn command does not accept argument"));
    }
    let request = read(&mut std::io::stdin().lock(), args.interactive)?;
    let mut client = connect::kv(flags, connect::any(flags).await?);
    let response = connect::ask(flags, client.txn(request)).await?;
    print(flags, &Answer::Txn(response))
}

fn read(input: &mut dyn BufRead, interactive: bool) -> Result<TxnRequest, Failure> {
    let prompt = |text: &str| if interactive { say(format!("{text}\n")) } else { Ok(()) };
    prompt("compares:")?;
    let compare = read_list(input, txn_syntax::compare)?;
    prompt("success requests (get, put, del):")?;
    let success = read_list(input, txn_syntax::operation)?;
    prompt("failure requests (get, put, del):")?;
    let failure = read_list(input, txn_syntax::operation)?;
    Ok(TxnRequest { compare, success, failure })
}

/// Until an empty line. An input that ends before is cut short: half a transaction must not run.
fn read_list<T>(input: &mut dyn BufRead, parse: fn(&str) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    let mut items = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line).map_err(|error| Failure::new(INVALID_INPUT, error.to_string()))?;
        if !line.ends_with('\n') {
            return Err(Failure::new(INVALID_INPUT, "EOF"));
        }
        let line = line.trim();
        if line.is_empty() {
            return Ok(items);
        }
        items.push(parse(line)?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_lists_with_empty_lines_between() {
        let text = "mod(\"a b\") > \"2\"\nval(\"k\") = \"x\\ty\"\n\nput k \"v w\" --prev-kv\nget k --prefix\n\ndel k\n\n";
        let request = read(&mut text.as_bytes(), false).expect("parses");
        assert_eq!((request.compare.len(), request.success.len(), request.failure.len()), (2, 2, 1));
        assert_eq!(&request.compare[0].key[..], b"a b");
    }

    #[test]
    fn a_bad_line_says_which() {
        let failure = read(&mut "bad(\n\n\n".as_bytes(), false).expect_err("does not parse");
        assert_eq!(failure, Failure::new(INVALID_INPUT, r#"malformed comparison: bad(; got bad("")  """#));
    }
}
