//! Compiles the sandbox image's only program, `pause/pause.rs`, into a static ELF that the crate embeds.
//!
//! It is built for the same processor as the agent: a pod's first process runs beside it on the node.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const LINK_ARGUMENTS: [&str; 5] =
    ["-nostartfiles", "-nostdlib", "-static", "-Wl,--build-id=none", "-Wl,-z,noexecstack"];

fn main() {
    println!("cargo::rerun-if-changed=pause/pause.rs");
    let target = variable("TARGET");
    let out = PathBuf::from(variable("OUT_DIR")).join("pause");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition=2024", "--crate-type=bin", "--crate-name=pause", "--target", &target]);
    rustc.args(["-Cpanic=abort", "-Copt-level=s", "-Cstrip=symbols", "-Crelocation-model=static"]);
    rustc.arg("-Ctarget-feature=+crt-static");
    for argument in LINK_ARGUMENTS {
        rustc.arg(format!("-Clink-arg={argument}"));
    }
    let status = rustc.arg("-o").arg(&out).arg("pause/pause.rs").status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("rustc of pause/pause.rs ended with {status}"),
        Err(error) => panic!("cannot start rustc for pause/pause.rs: {error}"),
    }
}

fn variable(name: &str) -> String {
    match env::var(name) {
        Ok(value) => value,
        Err(error) => panic!("cargo sets {name} for build scripts: {error}"),
    }
}
