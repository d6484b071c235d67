//! One suite, two servers: what `testdata/conformance/*.txt` says must hold of our store and of a stock etcd.
//!
//! A script is commands (`> …`) and the output that follows each, in the words of `mvcc/script_syntax.rs` and of
//! `conformance/run.rs`. All scripts run against one server; each begins with an empty key space, and revisions count
//! from there; those of `testdata/conformance_json` go over the JSON gateway (`conformance/json.rs`), each to a server of its
//! own. A header line `# stock 3.4 lacks: …` keeps a script from a server of that version.
//! `UPDATE_EXPECT=1` rewrites the outputs from the stock server, or from ours for what stock lacks.

mod cluster;
mod ctl;
mod ctl_more;
mod health;
mod json;
mod maintenance;
mod metrics;
mod range_stream;
mod run;
#[path = "../../src/mvcc/script_syntax.rs"]
mod script_syntax;
mod servers;

use std::path::{Path, PathBuf};

use self::servers::{Ours, Stock};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ours_conforms() {
    let server = Ours::start().await;
    let failures = run_all(&server.endpoint, Side::Ours).await;
    server.stop().await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_conforms() {
    let server = Stock::start().await;
    let failures = run_all(&server.endpoint, Side::Stock).await;
    drop(server);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_membership_changes_alike() {
    let (ours, stock) = (Ours::start().await, Stock::start().await);
    for (side, endpoint) in [(Side::Ours, &ours.endpoint), (Side::Stock, &stock.endpoint)] {
        let differences = cluster::differences(side, endpoint).await;
        assert!(differences.is_empty(), "{side:?}\n{}", differences.join("\n"));
    }
    ours.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_have_the_names_of_stock() {
    let (ours, stock) = (Ours::start().await, Stock::start().await);
    for endpoint in [&ours.endpoint, &stock.endpoint] {
        run::script(endpoint, metrics::SCRIPT).await;
    }
    let started = std::time::Instant::now();
    // What has just ended is counted a moment later.
    let (differences, needless) = loop {
        let (have, want) = (metrics::of(&ours.endpoint).await, metrics::of(&stock.endpoint).await);
        let differences = have.differences(&want);
        if differences.is_empty() || started.elapsed() > run::PATIENCE {
            break (differences, have.needlessly_left_out(&want));
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    ours.stop().await;
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(needless.is_empty(), "{needless:?} need not be left out");
    assert!(metrics::unexplained().is_empty(), "{:?} are not in docs/divergence.md", metrics::unexplained());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ours_conforms_in_json() {
    let mut failures = Vec::new();
    for script in scripts("conformance_json") {
        let server = Ours::start().await;
        failures.extend(
            check(&script, Side::Ours, async |text| json::script(&server.endpoint, text).await).await,
        );
        server.stop().await;
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_conforms_in_json() {
    let mut failures = Vec::new();
    for script in scripts("conformance_json") {
        let server = Stock::start().await;
        failures.extend(
            check(&script, Side::Stock, async |text| json::script(&server.endpoint, text).await).await,
        );
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Both tools on stock servers, since what a server says is another test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balsactl_prints_what_etcdctl_prints() {
    let mut differences = Vec::new();
    for group in ctl::GROUPS {
        let (one, other) = (Stock::start().await, Stock::start().await);
        differences.extend(ctl::differences(group, &ctl::Tool::ours(&one), &ctl::Tool::stock(&other)));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balsactl_prints_every_format_as_etcdctl_does() {
    let server = Stock::start().await;
    let (ours, stock) = (ctl::Tool::ours(&server), ctl::Tool::stock(&server));
    for command in ["put a 1", "put a 2", "put b 3", "lease grant 1000", "role add r", "user add u:pw"] {
        stock.run(command, &mut String::new());
    }
    for command in ["role grant-permission r readwrite a z", "user grant-role u r"] {
        stock.run(command, &mut String::new());
    }
    let differences = ctl::differences_in_formats(&ours, &stock);
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// The tool of 3.6 is not at hand where tests run: what it prints is written down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn balsactl_prints_what_a_newer_etcdctl_prints() {
    let script = std::fs::read_to_string(ctl::newer_script()).expect("testdata is there");
    let server = Stock::start().await;
    if std::env::var_os("UPDATE_EXPECT").is_some()
        && let Ok(program) = std::env::var("ETCDCTL_NEWER")
    {
        let newer = ctl::Tool { program: &program, endpoint: &server.endpoint };
        return std::fs::write(ctl::newer_script(), ctl::played(&script, &newer)).expect("writable");
    }
    let actual = ctl::played(&script, &ctl::Tool::ours(&server));
    assert!(actual == script, "{}", first_difference(&script, &actual));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Ours,
    Stock,
}

async fn run_all(endpoint: &str, side: Side) -> Vec<String> {
    let mut failures = Vec::new();
    for script in scripts("conformance") {
        failures.extend(check(&script, side, async |text| run::script(endpoint, text).await).await);
    }
    failures
}

/// Plays one script; what is wrong with it.
async fn check(script: &Path, side: Side, play: impl AsyncFnOnce(&str) -> String) -> Option<String> {
    let text = std::fs::read_to_string(script).expect("readable");
    let lacking = text.lines().any(|line| line.starts_with("# stock 3.4 lacks:"));
    if lacking && side == Side::Stock {
        return None;
    }
    let actual = play(&text).await;
    let truth = if lacking { Side::Ours } else { Side::Stock };
    if std::env::var_os("UPDATE_EXPECT").is_some() && side == truth {
        std::fs::write(script, &actual).expect("writable");
        return None;
    }
    let difference =
        || format!("{} on {side:?} says\n{}", script.display(), first_difference(&text, &actual));
    (actual != text).then(difference)
}

fn scripts(folder: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("testdata is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    scripts
}

/// The first line that differs, after the command that it answers.
fn first_difference(expected: &str, actual: &str) -> String {
    let mut command = "";
    let mut expected_lines = expected.lines();
    for line in actual.lines() {
        if line.starts_with("> ") || line.starts_with("$ ") {
            command = line;
        }
        let want = expected_lines.next().unwrap_or("(the end)");
        if line != want {
            return format!("{command}\n  expected: {want}\n  actual:   {line}");
        }
    }
    format!("{command}\n  expected more: {}", expected_lines.next().unwrap_or("(nothing)"))
}
