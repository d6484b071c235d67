//! The trailing SHA-256 of a snapshot file: of all bytes before it.
//!
//! A file from `snapshot save` has it, one that was copied from a data directory has not. The two are told apart by the
//! length: pages are multiples of 512 bytes, and the hash has 32.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use sha2::{Digest, Sha256};

use super::FileError;

pub const SEAL_BYTES: u64 = 32;
const SECTOR_BYTES: u64 = 512;
const READ_BYTES: usize = 256 * 1024;

pub fn is_sealed(file_bytes: u64) -> bool {
    file_bytes % SECTOR_BYTES == SEAL_BYTES
}

/// Checks the seal. Without one the file is refused, unless `skip`; with `skip` nothing is compared.
pub fn check(file: &mut File, skip: bool) -> Result<(), FileError> {
    let file_bytes = file.metadata().map_err(FileError::Read)?.len();
    if skip {
        return Ok(());
    }
    if !is_sealed(file_bytes) {
        return Err(FileError::NoHash);
    }
    let (expected, actual) = compare(file, file_bytes - SEAL_BYTES).map_err(FileError::Read)?;
    if expected == actual {
        Ok(())
    } else {
        Err(FileError::Hash { expected: go(&expected), actual: go(&actual) })
    }
}

fn compare(file: &mut File, data_bytes: u64) -> io::Result<(Vec<u8>, Vec<u8>)> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut left = data_bytes;
    while left > 0 {
        let part = &mut buffer[..left.min(READ_BYTES as u64) as usize];
        file.read_exact(part)?;
        hash.update(&*part);
        left -= part.len() as u64;
    }
    let mut expected = vec![0; SEAL_BYTES as usize];
    file.read_exact(&mut expected)?;
    Ok((expected, hash.finalize().to_vec()))
}

/// As stock prints a hash in this error: a list of numbers.
fn go(bytes: &[u8]) -> String {
    let numbers: Vec<String> = bytes.iter().map(ToString::to_string).collect();
    format!("[{}]", numbers.join(" "))
}
