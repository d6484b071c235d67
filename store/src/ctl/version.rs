//! `version`: of this program, and of the API it speaks.

use super::failure::Failure;
use super::say;

pub fn run() -> Result<(), Failure> {
    say(format!("balsactl version: {}\nAPI version: 3.6\n", env!("CARGO_PKG_VERSION")))
}
