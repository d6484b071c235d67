//! Where a process gets its settings from, and where its log goes, as stock 3.6 does it.

use anyhow::{Context, Result, ensure};
use balsa_chaos_tests::lab::eventually;

use crate::alone::{Place, text};
use crate::load;
use crate::members::SERVING;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Looked at with 3.4.23 and 3.6.5: what stands beside a file does not count, and need not make sense.
#[test]
fn beside_a_file_neither_flags_nor_variables_count() {
    by_file().expect("the file alone counts");
}

fn by_file() -> Result<()> {
    let place = Place::new()?;
    place.write_file("settings.yaml", "name: of-the-file\n")?;
    let mut command = place.command();
    command.args(["--config-file", "settings.yaml", "--name", "of-the-flag", "--unsafe-no-fsync"]);
    command.env("ETCD_NAME", "of-the-variable").env("ETCD_HEARTBEAT_INTERVAL", "no number");
    command.env("ETCD_UNSAFE_NO_FSYNC", "true");
    let mut process = place.start_serving(&mut command)?;
    let log = process.log();
    ensure!(log.contains(r#""name":"of-the-file""#), "{log}");
    ensure!(log.contains("other configuration command line flags and environment variables will be ignored"));
    process.stop()?;
    // The file itself may be named by a variable.
    let mut by_variable = place.command();
    by_variable.env("ETCD_CONFIG_FILE", "settings.yaml").args(["--name", "of-the-flag"]);
    place.start_serving(&mut by_variable)?.stop()?;
    // Without a file, both are one too many.
    let mut both = place.command();
    both.args(place.flags()).args(["--name", "of-the-flag"]).env("ETCD_NAME", "of-the-variable");
    let output = place.run(&mut both)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains("ETCD_NAME is shadowed by the flag"), "{said}");
    Ok(())
}

#[test]
fn older_spellings_act() {
    spellings().expect("one dash, and the names of before 3.6");
}

fn spellings() -> Result<()> {
    const VARIABLE: &str = "ETCD_EXPERIMENTAL_WATCH_PROGRESS_NOTIFY_INTERVAL";
    let place = Place::new()?;
    let mut older = place.command();
    older.args(place.flags().iter().map(|flag| flag.replacen("--", "-", 1)));
    older.arg("--experimental-corrupt-check-time=1h").env(VARIABLE, "5s");
    let mut process = place.start_serving(&mut older)?;
    let log = process.log();
    ensure!(!log.contains("unrecognized environment variable"), "{log}");
    process.stop()?;
    let mut wrong = place.command();
    wrong.args(place.flags()).env(VARIABLE, "soon");
    let output = place.run(&mut wrong)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains(r#"invalid duration "soon""#), "{said}");
    Ok(())
}

#[test]
fn lines_for_reading_by_eye_have_their_parts_between_tabs() {
    console().expect("lines of the console format");
}

fn console() -> Result<()> {
    let place = Place::new()?;
    let mut command = place.command();
    command.args(place.flags()).arg("--log-format=console");
    let mut process = place.start_serving(&mut command)?;
    process.stop()?;
    let log = process.log();
    let line = log.lines().find(|line| line.contains(SERVING)).context("the line is there")?;
    let parts: Vec<&str> = line.split('\t').collect();
    ensure!(parts.len() == 5 && parts[1] == "info" && parts[3] == SERVING, "{line}");
    let time = parts[0].strip_suffix('Z').context("UTC")?;
    ensure!(time.len() == "2026-01-02T03:04:05.678901".len() && time.contains('T'), "{line}");
    ensure!(parts[4].starts_with('{') && parts[4].contains(r#""name": "default""#), "{line}");
    ensure!(!log.contains('\u{1b}'), "no colours");
    Ok(())
}

#[test]
fn the_log_goes_where_it_is_sent() {
    outputs().expect("every output has the log");
}

fn outputs() -> Result<()> {
    let place = Place::new()?;
    let mut command = place.command();
    command.args(place.flags()).args(["--log-outputs=stdout,a.log,b.log"]);
    place.start_serving(&mut command)?.stop()?;
    for file in ["a.log", "b.log"] {
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(place.path(file))?);
        ensure!(text(&place.path(file)).contains(SERVING) && mode & 0o777 == 0o600, "{file}: {mode:o}");
    }
    let mut rotating = place.command();
    rotating.args(place.flags()).args(["--log-outputs=stderr,c.log", "--enable-log-rotation"]);
    rotating.arg(r#"--log-rotation-config-json={"maxsize": 1, "maxbackups": 1}"#);
    let mut process = place.start_serving(&mut rotating)?;
    // At the level debug each request leaves lines.
    eventually("a full log file is put aside", PATIENCE, || {
        for _ in 0..200 {
            load::put(&place.endpoint(), "k", "x")?;
        }
        let names = std::fs::read_dir(place.path("."))?.flatten().map(|entry| entry.file_name());
        let backups = names.filter(|name| name.to_string_lossy().starts_with("c-")).count();
        ensure!(backups == 1, "{backups} so far");
        Ok(())
    })?;
    process.stop()?;
    let mut wrong = place.command();
    wrong.args(place.flags()).args(["--log-outputs=stderr", "--enable-log-rotation"]);
    let output = place.run(&mut wrong)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1) && said.contains("requires a single file path"), "{said}");
    Ok(())
}
