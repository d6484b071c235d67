//! `snapshot status`: what a snapshot file holds, printed as etcdutl 3.6 does.

use std::path::PathBuf;

use serde::Serialize;

use crate::ctl::display::simple::human_size;
use crate::ctl::display::table::draw;
use crate::ctl::failure::{BAD_FEATURE, ERROR, Failure};
use crate::ctl::flags::{Flags, Format};
use crate::ctl::say;
use crate::snapshot_file::status::{self, Status};

#[derive(Debug, clap::Args)]
pub struct Args {
    filename: Vec<PathBuf>,
}

pub fn run(flags: &Flags, args: &Args) -> Result<(), Failure> {
    let [path] = &args.filename[..] else {
        return Err(Failure::bad_args("snapshot status requires exactly one argument"));
    };
    std::fs::metadata(path)
        .map_err(|_| Failure::new(ERROR, format!("stat {}: no such file or directory", path.display())))?;
    let status = status::of(path)?;
    say(show(&status, flags.format())?)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    hash: u32,
    revision: i64,
    total_key: usize,
    total_size: u64,
    version: &'a str,
}

fn show(status: &Status, format: Format) -> Result<String, Failure> {
    let Status { hash, revision, total_keys, total_bytes, version } = status;
    let cells = || {
        vec![
            format!("{hash:x}"),
            revision.to_string(),
            total_keys.to_string(),
            human_size(*total_bytes),
            version.clone(),
        ]
    };
    Ok(match format {
        Format::Simple => cells().join(", ") + "\n",
        Format::Table => draw(&["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "VERSION"], vec![cells()]),
        Format::Json => {
            let json = Json {
                hash: *hash,
                revision: *revision,
                total_key: *total_keys,
                total_size: *total_bytes,
                version,
            };
            serde_json::to_string(&json).expect("plain structs with text keys serialize") + "\n"
        }
        Format::Fields => format!(
            "\"Hash\" : {hash}\n\"Revision\" : {revision}\n\"Keys\" : {total_keys}\n\"Size\" : {total_bytes}\n\"Version\" : {version}\n"
        ),
        Format::Protobuf => {
            return Err(Failure::new(BAD_FEATURE, "protobuf not supported as output format"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What etcdutl 3.6 printed of a file.
    #[test]
    fn looks_like_stock() {
        let status = Status {
            hash: 3_197_441_545,
            revision: 9,
            total_keys: 3,
            total_bytes: 36_864,
            version: "3.6.0".into(),
        };
        let shown = |format| show(&status, format).unwrap();
        assert_eq!(shown(Format::Simple), "be951609, 9, 3, 37 kB, 3.6.0\n");
        let json = r#"{"hash":3197441545,"revision":9,"totalKey":3,"totalSize":36864,"version":"3.6.0"}"#;
        assert_eq!(shown(Format::Json), format!("{json}\n"));
        let fields =
            "\"Hash\" : 3197441545\n\"Revision\" : 9\n\"Keys\" : 3\n\"Size\" : 36864\n\"Version\" : 3.6.0\n";
        assert_eq!(shown(Format::Fields), fields);
        let table = "\
+----------+----------+------------+------------+---------+
|   HASH   | REVISION | TOTAL KEYS | TOTAL SIZE | VERSION |
+----------+----------+------------+------------+---------+
| be951609 |        9 |          3 |      37 kB |   3.6.0 |
+----------+----------+------------+------------+---------+
";
        assert_eq!(shown(Format::Table), table);
    }
}
