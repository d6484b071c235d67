//! balsactl beside etcdctl: the same commands, each tool on a server of its own; output and exit code must be equal but for
//! ids, ports and times. Commands that change nothing are asked of one server by both, and then nothing may differ.

mod commands;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

pub use commands::{FORMATS, GROUPS, Group, READS};

/// One tool on one server.
pub struct Tool<'a> {
    pub program: &'a str,
    pub endpoint: &'a str,
}

/// What differs, one paragraph per command.
pub fn differences(group: &Group, ours: &Tool<'_>, stock: &Tool<'_>) -> Vec<String> {
    let (mut our_lease, mut stock_lease) = (String::new(), String::new());
    let mut differences = Vec::new();
    for command in group.commands {
        let actual = ours.run(command, &mut our_lease);
        let expected = stock.run(command, &mut stock_lease);
        compare(
            &format!("{}: {command}", group.name),
            &normal(&expected),
            &normal(&actual),
            &mut differences,
        );
    }
    differences
}

/// Every read in every format, of one server.
pub fn differences_in_formats(ours: &Tool<'_>, stock: &Tool<'_>) -> Vec<String> {
    let mut differences = Vec::new();
    for read in READS {
        for format in FORMATS {
            let (args, stdin) = read.split_once(" << ").unwrap_or((read, ""));
            let command = format!("{args} -w {format} << {stdin}");
            let actual = ours.run(&command, &mut String::new());
            let expected = stock.run(&command, &mut String::new());
            compare(&command, &expected, &actual, &mut differences);
        }
    }
    differences
}

fn compare(command: &str, expected: &str, actual: &str, differences: &mut Vec<String>) {
    if actual != expected {
        differences.push(format!("$ {command}\nexpected:\n{expected}\nactual:\n{actual}"));
    }
}

/// Plays a script of `$ command` and output with one tool, and gives the script with the outputs that there were.
pub fn played(script: &str, tool: &Tool<'_>) -> String {
    let mut out = String::new();
    for line in script.lines() {
        if line.is_empty() || line.starts_with('#') {
            out.push_str(&format!("{line}\n"));
        } else if let Some(command) = line.strip_prefix("$ ") {
            // A line of the output that is empty is a dot here.
            let said = normal(&tool.run(command, &mut String::new()));
            let said =
                said.lines().map(|line| if line.is_empty() { ".\n".into() } else { format!("{line}\n") });
            out.push_str(&format!("{line}\n{}", said.collect::<String>()));
        }
    }
    out
}

pub fn newer_script() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/ctl/newer.txt")
}

impl<'a> Tool<'a> {
    pub fn ours(server: &'a super::Stock) -> Self {
        Self { program: env!("CARGO_BIN_EXE_balsactl"), endpoint: &server.endpoint }
    }

    pub fn stock(server: &'a super::Stock) -> Self {
        Self { program: "etcdctl", endpoint: &server.endpoint }
    }

    /// Stdout, stderr and exit code as they were; the id of a lease that was granted goes into `lease`.
    /// A change of the membership that a stock server has dropped (`cluster::DROPPED`) is asked for again.
    pub fn run(&self, command: &str, lease: &mut String) -> String {
        let said = self.run_once(command, lease);
        let dropped = command.starts_with("member ") && said.contains("context deadline exceeded");
        if dropped { self.run_once(command, lease) } else { said }
    }

    fn run_once(&self, command: &str, lease: &mut String) -> String {
        let (args, stdin) = command.split_once(" << ").unwrap_or((command, ""));
        let args = args.replace("{}", lease);
        let stdin = stdin.replace("\\n", "\n");
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
        format!("{stdout}{errors}\nexit {code:?}")
    }
}

/// Not the client library's own log, nor the usage that stock repeats for a wrong flag.
fn is_for_people(line: &str) -> bool {
    !line.starts_with('{') && !line.starts_with("Usage:")
}

/// What differs from server to server has one name: ids, ports, times, and the size that a database has grown to.
/// A table is as wide as its ids, and an id that begins with zeros is printed shorter: widths are not compared here.
fn normal(text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(normal_line).collect();
    for line in &mut lines {
        if line.starts_with(['+', '|']) {
            *line = narrow(line);
        }
        // An id with a zero in front is padded with a blank, and members come in the order of their ids.
        *line = line.replace("  ID", " ID");
        if let Some(cluster) = line.strip_prefix("ETCD_INITIAL_CLUSTER=\"") {
            let mut urls: Vec<&str> = cluster.trim_end_matches('"').split(',').collect();
            urls.sort_unstable();
            *line = urls.join(",");
        }
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
    sizes(&out)
}

/// A number before a unit of size or a percent sign.
fn sizes(text: &str) -> String {
    let mut out = String::new();
    for part in text.split_inclusive([',', '|']) {
        let cell = part.trim_end_matches([',', '|']);
        let size = [" B", " kB", " MB", "%"].iter().any(|unit| {
            let number = cell.trim().strip_suffix(unit);
            number.is_some_and(|number| number.parse::<f64>().is_ok())
        });
        out.push_str(if size { " SIZE" } else { cell });
        out.push_str(&part[cell.len()..]);
    }
    out
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
    } else if word.starts_with("3.4.") {
        "3.4.x".into()
    } else {
        word.into()
    }
}
