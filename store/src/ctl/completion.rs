//! `completion`: a script that teaches a shell our words.

use clap::Command;
use clap_complete::Shell;

use super::failure::Failure;
use super::say;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// bash, zsh, fish or powershell
    shell: Shell,
}

pub fn run(mut command: Command, args: &Args) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "balsactl", &mut script);
    say(&script)
}
