//! Says whether this is a build for development, which has points to fail at: see `src/failpoint.rs`.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(failpoints)");
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("PROFILE").is_ok_and(|profile| profile == "debug") {
        println!("cargo::rustc-cfg=failpoints");
    }
}
