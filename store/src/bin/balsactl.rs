//! balsactl: a command line client for etcd v3 stores.

use std::process::ExitCode;

fn main() -> ExitCode {
    balsa_store::ctl::main()
}
