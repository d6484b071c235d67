//! balsactl beside etcdctl: the same commands, each tool on a server of its own; output and exit code must be equal but for
//! ids, ports and times.

use std::io::Write;
use std::process::{Command, Stdio};

/// Arguments, and stdin after `<<`. Asking for raft's index comes late: a new server still writes its own name and version.
/// `{}` is the id of the lease that the last `lease grant` made.
const COMMANDS: &[&str] = &[
    "put a 1",
    "put a 2 --prev-kv",
    "put b 1 -w json",
    "put b 2 -w json --prev-kv",
    "put b 3 -w fields --prev-kv",
    "put c << from stdin",
    "put",
    "get a",
    "get a c",
    "get a --prefix --keys-only",
    "get a --from-key --print-value-only",
    "get a --from-key --limit 1 -w json",
    "get a --from-key --order DESCEND --sort-by MODIFY -w fields",
    "get a --from-key --order SIDEWAYS",
    "get a --prefix --from-key",
    "get a --consistency x",
    "get a b --prefix",
    "get a --rev 2 --hex",
    "get a --rev 999",
    "get nothing",
    "get nothing -w json",
    "get a -w table",
    "get",
    "get \"\" --prefix --keys-only",
    "del c --prev-kv",
    "del c",
    "del b -w json --prev-kv",
    "del b -w fields",
    "del",
    "txn << mod(\"a\") > \"1\"\nval(\"a\") = \"2\"\n\nput t \"x y\" --prev-kv\nget a --prefix\ndel nothing\n\nget a\n\n",
    "txn -w json << ver(\"a\") = \"9\"\n\nput t 1\n\nput t 2 --prev-kv\nget t\ndel t --prev-kv\n\n",
    "txn -w fields << \n\nput t 1\nget t\ndel t\n\n\n",
    "txn -i << create(\"a\") < \"1\"\n\nput t 1\n\nget a\n\n",
    "txn << bad\n\n\n\n",
    "txn << size(\"a\") = \"1\"\n\n\n\n",
    "txn << mod(\"a\") = \"x\"\n\n\n\n",
    "member list",
    "member list -w json",
    "member list -w table",
    "member list -w fields",
    "endpoint status",
    "endpoint status -w json",
    "endpoint status -w table",
    "endpoint status -w fields",
    "endpoint health -w json",
    "endpoint health --cluster",
    "lease grant 100",
    "put l 1 --lease {}",
    "put l 1 --lease zz",
    "put l 1 --lease 404",
    "lease timetolive {} --keys",
    "lease keep-alive {} --once",
    "lease keep-alive {} --once -w json",
    "lease keep-alive 404 --once",
    "lease keep-alive 404",
    "lease list",
    "lease list -w json",
    "lease revoke {}",
    "lease revoke 404",
    "lease list",
    "lease timetolive 404",
    "lease timetolive 404 -w json",
    "lease timetolive 404 -w fields",
    "lease grant 1 -w json",
    "lease grant 1 -w fields",
    "lease grant x",
    "lease grant",
    "compaction 3",
    "compaction 3",
    "compaction 999",
    "compaction 4 --physical",
    "get a --rev 2",
    "watch a --rev 2",
    "watch a --rev 2 -w json",
];

/// One tool on one server.
pub struct Tool<'a> {
    pub program: &'a str,
    pub endpoint: &'a str,
}

/// What differs, one paragraph per command.
pub fn differences(ours: &Tool<'_>, stock: &Tool<'_>) -> Vec<String> {
    let (mut our_lease, mut stock_lease) = (String::new(), String::new());
    let mut differences = Vec::new();
    for command in COMMANDS {
        let actual = ours.run(command, &mut our_lease);
        let expected = stock.run(command, &mut stock_lease);
        if actual != expected {
            differences.push(format!("$ {command}\nexpected:\n{expected}\nactual:\n{actual}"));
        }
    }
    differences
}

impl Tool<'_> {
    fn run(&self, command: &str, lease: &mut String) -> String {
        let (args, stdin) = command.split_once(" << ").unwrap_or((command, ""));
        let args = args.replace("{}", lease);
        let args = args.split(' ').map(|word| if word == "\"\"" { "" } else { word });
        let mut child = Command::new(self.program)
            .args(args)
            .env("ETCDCTL_API", "3")
            .env("ETCDCTL_ENDPOINTS", self.endpoint)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{} does not start ({error}); the package etcd-client has etcdctl", self.program)
            });
        let mut input = child.stdin.take().expect("stdin is a pipe");
        // A tool that does not read its stdin may be gone already.
        let _ = input.write_all(stdin.as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("the tool ends");
        let stdout = String::from_utf8_lossy(&output.stdout);
        if let Some(id) =
            stdout.strip_prefix("lease ").and_then(|rest| rest.split_once(" granted with").map(|(id, _)| id))
        {
            *lease = id.to_owned();
        }
        let errors: String = String::from_utf8_lossy(&output.stderr)
            .lines()
            .filter(|line| is_for_people(line))
            .collect::<Vec<_>>()
            .join("\n");
        let code = output.status.code();
        normal(&format!("{stdout}{errors}\nexit {code:?}"))
    }
}

/// Not the client library's own log.
fn is_for_people(line: &str) -> bool {
    !line.starts_with('{')
}

/// What differs from server to server has one name: ids, ports, times, and the size that a database has grown to.
/// A table is as wide as its ids, and an id that begins with zeros is printed shorter: widths are not compared here.
fn normal(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(normal_line).collect();
    for line in lines.iter_mut().filter(|line| line.starts_with(['+', '|'])) {
        *line = narrow(line);
    }
    lines.join("\n")
}

/// One space or dash for many.
fn narrow(line: &str) -> String {
    let mut out = String::new();
    for c in line.chars() {
        if !(matches!(c, ' ' | '-') && out.ends_with(c)) {
            out.push(c);
        }
    }
    out
}

fn normal_line(text: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() || c == '.' || c == 'µ' {
            word.push(c);
            continue;
        }
        out.push_str(&normal_word(&word));
        word.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    match out.split_once(" kB") {
        Some((before, after)) => {
            format!("{} SIZE{after}", before.trim_end_matches(|c: char| c.is_ascii_digit()))
        }
        None => out,
    }
}

/// Long numbers are ids, ports and sizes; many hex digits are a lease or a member; then there are times.
fn normal_word(word: &str) -> String {
    let hex = word.len() >= 10 && word.chars().all(|c| c.is_ascii_hexdigit());
    let long = word.len() >= 4 && word.chars().all(|c| c.is_ascii_digit());
    let time = ["ms", "µs", "s"]
        .iter()
        .any(|unit| word.strip_suffix(unit).is_some_and(|n| n.parse::<f64>().is_ok()));
    if hex || long {
        "ID".into()
    } else if time {
        "TIME".into()
    } else {
        word.into()
    }
}
