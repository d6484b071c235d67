//! What balsactl has beyond one command and one answer: the commands of our own, and those that last.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use super::ctl::Tool;
use super::{Ours, Stock};

/// Far beyond what a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stdout, stderr and exit code of a command that must succeed.
fn ok(tool: &Tool<'_>, command: &str) -> String {
    let said = tool.run(command, &mut String::new());
    assert!(said.ends_with("exit Some(0)"), "{command}: {said}");
    said
}

fn lines_with<'a>(text: &'a str, part: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.contains(part)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_is_every_version_newest_first_with_its_time() {
    let server = Ours::start().await;
    let tool = Tool { program: env!("CARGO_BIN_EXE_balsactl"), endpoint: &server.endpoint };
    for command in ["put a 1", "put b x", "put a 2", "del a", "put a 3"] {
        ok(&tool, command);
    }
    let year = jiff::Timestamp::now().strftime("%Y-").to_string();
    let said = ok(&tool, "history a");
    let heads = lines_with(&said, "revision ");
    assert_eq!(heads.len(), 4, "{said}");
    assert!(heads.iter().all(|head| head.contains(&year) && head.contains('Z')), "{said}");
    let kinds: Vec<bool> = heads.iter().map(|head| head.contains("DELETE")).collect();
    assert_eq!(kinds, [false, true, false, false], "{said}");

    ok(&tool, "compaction 4");
    let said = ok(&tool, "history a -w json");
    let history: serde_json::Value =
        serde_json::from_str(said.lines().next().expect("a line")).expect("JSON");
    let revisions: Vec<_> =
        history["history"].as_array().expect("a list").iter().map(|row| &row["mod_revision"]).collect();
    assert_eq!(revisions, [6, 5, 4]);
    assert!(
        history["history"].as_array().expect("a list").iter().all(|row| row["time"].is_string()),
        "{said}"
    );
    assert_eq!(ok(&tool, "history nothing"), "\nexit Some(0)");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_of_a_stock_server_says_that_times_are_not_known() {
    let server = Stock::start().await;
    let tool = Tool::ours(&server);
    for command in ["put a 1", "put a 2", "del a"] {
        ok(&tool, command);
    }
    let said = ok(&tool, "history a --keys-only");
    assert_eq!(lines_with(&said, "time not known").len(), 3, "{said}");
    assert!(said.contains("a stock etcd"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn diff_is_a_patch_of_what_changed() {
    let server = Stock::start().await;
    let tool = Tool::ours(&server);
    for command in [
        r#"put p/a {"n":1,"s":"x"}"#,
        "put p/gone 1",
        "put other 1",
        r#"put p/a {"n":2,"s":"x"}"#,
        "del p/gone",
        "put p/new plain",
        "put other 2",
    ] {
        ok(&tool, command);
    }
    let said = ok(&tool, "diff 4 0 p/");
    let want = "changed p/a (2 -> 5)\n    replace /n: 1 -> 2\nremoved p/gone (3 -> -)\n  - 1\nadded p/new (- -> 7)\n  + plain\n\nexit Some(0)";
    assert_eq!(said, want);
    assert_eq!(ok(&tool, "diff 8 8"), "\nexit Some(0)");
    assert!(tool.run("diff 4 99", &mut String::new()).contains("future revision"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn top_and_verify_look_at_all_members() {
    let server = Stock::start().await;
    let tool = Tool::ours(&server);
    for command in ["put /registry/pods/a 1", "put /registry/pods/b 1", "put /registry/nodes/n 1"] {
        ok(&tool, command);
    }
    let said = ok(&tool, "top --once --interval 50ms");
    for part in ["revision 4", "leader", "members 1 of 1 answer", "/registry/pods/ | 2"] {
        let squeezed = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed.contains(part), "no {part:?} in {said}");
    }
    let said = ok(&tool, "verify --cluster");
    assert!(said.contains("the 1 members agree"), "{said}");
    let away = tool.run("verify -w json --command-timeout 200ms", &mut String::new());
    assert!(away.contains(r#""agree":true"#), "{away}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_fails_when_a_member_does_not_answer() {
    let server = Stock::start().await;
    let endpoint = format!("{},http://127.0.0.1:1", server.endpoint);
    let tool = Tool { program: env!("CARGO_BIN_EXE_balsactl"), endpoint: &endpoint };
    let said = tool.run("verify --command-timeout 300ms", &mut String::new());
    assert!(said.contains("127.0.0.1:1 does not answer") && said.ends_with("exit Some(1)"), "{said}");
}

/// The other check takes a minute; how it judges is a test of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_of_data_scale_measures_and_leaves_nothing() {
    let server = Stock::start().await;
    let tool = Tool::ours(&server);
    let said = ok(&tool, "check datascale --auto-compact --auto-defrag");
    let parts = [
        "Start data scale check for work load [10000 key-value pairs, 1024 bytes per key-value, 50 concurrent clients].",
        "PASS: Approximate system memory used : ",
        "Compacted with revision 10002",
        "Defragmented ",
    ];
    for part in parts {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert_eq!(
        ok(&tool, "get --prefix /etcdctl-check-datascale/ --count-only -w fields")
            .matches("\"Count\" : 0")
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inspect_reads_the_directory_of_a_member_that_runs() {
    let server = Ours::start().await;
    let tool = Tool { program: env!("CARGO_BIN_EXE_balsactl"), endpoint: &server.endpoint };
    ok(&tool, "put a 1");
    ok(&tool, "put seen-in-the-log 12345");
    let dir = server.data_dir().display().to_string();
    let said = ok(&tool, &format!("inspect {dir}"));
    assert!(said.contains("put seen-in-the-log (5 bytes)"), "{said}");
    let said = tool.run("inspect /no-such-file-anywhere", &mut String::new());
    assert!(said.contains("does not read") && said.ends_with("exit Some(128)"), "{said}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_bench_reports() {
    let server = Stock::start().await;
    let tool = Tool::ours(&server);
    for bench in [
        "put --total 20 --clients 4 --key-space-size 10 --check-hashkv",
        "txn-put --total 20 --txn-ops 2 --key-space-size 4",
        "txn-mixed --total 20 --key-space-size 4",
        "range k --total 20 --consistency s",
        "range k --prefix --paginate --limit 1 --total 5",
        "watch --streams 2 --watch-per-stream 3 --watched-key-total 2 --put-total 5",
        "watch-latency --streams 2 --watchers-per-stream 2 --put-total 5 --put-rate 0",
        "watch-get --watchers 3 --events 2",
        "lease-keepalive --total 10",
        "stm --total 10 --keys 4 --keys-per-txn 2 --clients 2",
    ] {
        let said = ok(&tool, &format!("bench {bench}"));
        for part in ["Summary:", "Requests/sec:", "Response time histogram:", "99.9% in"] {
            assert!(said.contains(part), "bench {bench} has no {part:?}: {said}");
        }
    }
    let said = tool.run("bench range k --total 1 --stream", &mut String::new());
    assert!(said.contains("Error distribution:") && said.ends_with("exit Some(1)"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_is_copied_and_kept() {
    let (source, copy) = (Stock::start().await, Stock::start().await);
    let (from, to) = (Tool::ours(&source), Tool::ours(&copy));
    for command in ["put p/a 1", "put p/b 2", "put outside 3"] {
        ok(&from, command);
    }
    let mut mirror = from.spawn(&format!("make-mirror {} --prefix p/ --dest-prefix q/", copy.endpoint));
    until(|| to.run("get q/ --prefix --keys-only", &mut String::new()) == "q/a\n\nq/b\n\n\nexit Some(0)");
    ok(&from, "del p/a");
    ok(&from, "put p/c 4");
    until(|| to.run("get q/ --prefix --keys-only", &mut String::new()) == "q/b\n\nq/c\n\n\nexit Some(0)");
    interrupt(&mirror);
    let mut said = String::new();
    mirror.stderr.take().expect("stderr is a pipe").read_to_string(&mut said).expect("stderr reads");
    assert!(mirror.wait().expect("it ends").success() && said.contains("go on with --rev 7"), "{said}");

    ok(&from, "put p/d 5");
    let mut mirror =
        from.spawn(&format!("make-mirror {} --prefix p/ --dest-prefix q/ --rev 7", copy.endpoint));
    until(|| to.run("get q/d --print-value-only", &mut String::new()).starts_with('5'));
    interrupt(&mirror);
    mirror.wait().expect("it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_queued_for_behind_stock_etcdctl() {
    let server = Stock::start().await;
    let mut holder = Tool::stock(&server).spawn("lock l");
    first_line(&mut holder);
    let mut waiter = Tool::ours(&server).spawn("lock l");
    let keys = || Tool::ours(&server).run("get l/ --prefix --keys-only", &mut String::new());
    until(|| lines_with(&keys(), "l/").len() == 2);
    interrupt(&holder);
    holder.wait().expect("it ends");
    assert!(first_line(&mut waiter).starts_with("l/"));
    interrupt(&waiter);
    assert!(waiter.wait().expect("it ends").success());
    assert_eq!(keys(), "\nexit Some(0)");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_election_is_won_seen_and_given_up() {
    let server = Stock::start().await;
    let tool = Tool::ours(&server);
    let mut leader = tool.spawn("elect e first");
    let mut lines = BufReader::new(leader.stdout.take().expect("stdout is a pipe"));
    assert!(next_line(&mut lines).starts_with("e/") && next_line(&mut lines) == "first\n");
    let mut observer = tool.spawn("elect -l e");
    let mut seen = BufReader::new(observer.stdout.take().expect("stdout is a pipe"));
    assert!(next_line(&mut seen).starts_with("e/") && next_line(&mut seen) == "first\n");
    interrupt(&leader);
    assert!(leader.wait().expect("it ends").success());
    interrupt(&observer);
    assert!(observer.wait().expect("it ends").success());
}

/// Its client sends the URL as HTTP/2's authority.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_etcdctl_may_name_our_endpoint_by_its_url() {
    let server = Ours::start().await;
    assert!(server.endpoint.starts_with("http://"));
    let tool = Tool { program: "etcdctl", endpoint: &server.endpoint };
    let said = ok(&tool, "endpoint status");
    assert!(said.starts_with(&server.endpoint), "{said}");
    server.stop().await;
}

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(sent.success());
}

fn first_line(child: &mut Child) -> String {
    next_line(&mut BufReader::new(child.stdout.take().expect("stdout is a pipe")))
}

fn next_line(lines: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).expect("stdout reads");
    line
}

/// Other processes do the work: all that is left is to look again.
fn until(mut there: impl FnMut() -> bool) {
    let started = Instant::now();
    while !there() {
        assert!(started.elapsed() < PATIENCE, "it does not come");
        std::thread::yield_now();
    }
}

impl Tool<'_> {
    /// Runs beside the test.
    fn spawn(&self, command: &str) -> Child {
        Command::new(self.program)
            .args(command.split(' '))
            .env("ETCDCTL_API", "3")
            .env("ETCDCTL_ENDPOINTS", self.endpoint)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tool starts")
    }
}
