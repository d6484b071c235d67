//! A process on a damaged data directory ends with code 1 and a sentence, so that its supervisor and whoever reads the log
//! know. What the sentences are is in `store/tests/store/unclean.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::alone::Place;
use crate::load;

/// What happens to the folder `member`, and a part of what is said.
type Damage = (&'static str, fn(&Path) -> Result<()>, &'static str);

const DAMAGES: [Damage; 5] = [
    ("the log is gone", |dir| Ok(fs::remove_dir_all(dir.join("wal"))?), "holds a state but no raft log"),
    (
        "log and state are gone",
        |dir| {
            fs::remove_dir_all(dir.join("wal"))?;
            Ok(fs::remove_dir_all(dir.join("state"))?)
        },
        "its raft log and state are gone",
    ),
    ("the id is torn", |dir| Ok(fs::write(dir.join("id"), "torn")?), "does not hold a cluster id"),
    ("a bit of the log flipped", flip_a_bit_of_the_log, "wal"),
    (
        "the folder is a file",
        |dir| {
            fs::remove_dir_all(dir)?;
            Ok(fs::write(dir, "")?)
        },
        "is not usable",
    ),
];

#[test]
fn a_damaged_directory_ends_the_process_with_code_1() {
    let failed = |damage: &Damage| Some(format!("{}: {:#}", damage.0, one(damage).err()?));
    let failures: Vec<String> = DAMAGES.iter().filter_map(failed).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn one((_, damage, sentence): &Damage) -> Result<()> {
    let place = Place::new()?;
    let mut process = place.start_serving(place.command().args(place.flags()))?;
    for number in 0..50 {
        load::put(&place.endpoint(), &format!("k{number}"), "x")?;
    }
    process.kill_nine()?;
    damage(&place.data_dir().join("member"))?;
    let output = place.run(place.command().args(place.flags()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    ensure!(output.status.code() == Some(1), "{:?}: {said}", output.status);
    ensure!(last.starts_with("balsa: ") && last.contains(sentence), "{said}");
    Ok(())
}

/// Behind the first frames, and before others.
fn flip_a_bit_of_the_log(dir: &Path) -> Result<()> {
    let segment = fs::read_dir(dir.join("wal"))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path: &PathBuf| fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0))
        .min()
        .context("the log has a file")?;
    let mut bytes = fs::read(&segment)?;
    let written = bytes.iter().rposition(|byte| *byte != 0).context("something is written")?;
    bytes[written / 2] ^= 1;
    Ok(fs::write(&segment, bytes)?)
}
