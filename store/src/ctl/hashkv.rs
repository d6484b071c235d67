//! `hashkv FILE`: what `endpoint hashkv` would say of a server with the data of a snapshot file. Printed as etcdutl does.

use std::path::PathBuf;

use serde::Serialize;

use super::display::table::draw;
use super::failure::{BAD_FEATURE, Failure};
use super::flags::{Flags, Format};
use super::say;
use crate::snapshot_file::BoltFile;
use crate::snapshot_file::hash::{self, FileHash};

#[derive(Debug, clap::Args)]
pub struct Args {
    filename: Vec<PathBuf>,
    /// Maximum revision to hash (default: latest revision)
    #[arg(long, default_value_t = 0)]
    rev: i64,
}

pub fn run(flags: &Flags, args: &Args) -> Result<(), Failure> {
    let [path] = &args.filename[..] else {
        return Err(Failure::bad_args("hashkv command requires exactly one argument"));
    };
    let hash = hash::of(&BoltFile::open(path)?, args.rev)?;
    let text = show(&hash, flags.format());
    say(text.ok_or_else(|| Failure::new(BAD_FEATURE, "protobuf not supported as output format"))?)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    hash: u32,
    hash_revision: i64,
    compact_revision: i64,
}

fn show(hash: &FileHash, format: Format) -> Option<String> {
    let FileHash { hash, hash_revision, compact_revision } = *hash;
    let cells = || vec![hash.to_string(), hash_revision.to_string(), compact_revision.to_string()];
    Some(match format {
        Format::Simple => cells().join(", ") + "\n",
        Format::Table => draw(&["HASH", "HASH REVISION", "COMPACT REVISION"], vec![cells()]),
        Format::Json => {
            let json = Json { hash, hash_revision, compact_revision };
            serde_json::to_string(&json).expect("plain structs with text keys serialize") + "\n"
        }
        Format::Fields => format!(
            "\"Hash\" : {hash}\n\"Hash revision\" : {hash_revision}\n\"Compact revision\" : {compact_revision}\n"
        ),
        Format::Protobuf => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What etcdutl 3.6 printed of a file.
    #[test]
    fn looks_like_stock() {
        let hash = FileHash { hash: 911_444_275, hash_revision: 9, compact_revision: 4 };
        assert_eq!(show(&hash, Format::Simple).as_deref(), Some("911444275, 9, 4\n"));
        let json = "{\"hash\":911444275,\"hashRevision\":9,\"compactRevision\":4}\n";
        assert_eq!(show(&hash, Format::Json).as_deref(), Some(json));
    }
}
