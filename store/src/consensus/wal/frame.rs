//! Frames: header, checksum, body.
//!
//! ```text
//! magic u32 | crc32c u32 | segment u64 | number u64 | len u32 | not len u32 | body      (little endian)
//! ```
//! The checksum covers all that follows it. The segment is in it, so that a frame cannot be taken for one of another
//! file; the number counts data frames over all segments, so that none can be missing. The length stands there twice, so that a flipped bit in it does not look like a frame
//! whose end is missing.

use std::ops::Range;

const MAGIC: u32 = 0xf7a3_ba15;
pub const HEADER_BYTES: usize = 4 + 4 + 8 + 8 + 4 + 4;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// An empty frame, for records to be pushed behind.
pub fn begin() -> Vec<u8> {
    vec![0; HEADER_BYTES]
}

/// Fills in the header of a frame that [`begin`] began.
pub fn seal(frame: &mut [u8], segment: u64, number: u64) {
    let len = u32::try_from(frame.len() - HEADER_BYTES).expect("frames are bounded far below 4 GiB");
    frame[8..16].copy_from_slice(&segment.to_le_bytes());
    frame[16..24].copy_from_slice(&number.to_le_bytes());
    frame[24..28].copy_from_slice(&len.to_le_bytes());
    frame[28..32].copy_from_slice(&(!len).to_le_bytes());
    let crc = crc32c::crc32c(&frame[8..]);
    frame[..4].copy_from_slice(&MAGIC.to_le_bytes());
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

/// What stands at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    Frame {
        number: u64,
        body: Range<usize>,
    },
    /// Nothing was written from here on.
    End,
    /// Neither a whole frame nor nothing.
    Broken,
}

/// Looks at `at` in the bytes of a whole segment.
pub fn look(bytes: &[u8], at: usize, segment: u64) -> Found {
    if let Some(frame) = frame_at(bytes, at, segment) {
        return frame;
    }
    if bytes[at.min(bytes.len())..].iter().all(|byte| *byte == 0) { Found::End } else { Found::Broken }
}

fn frame_at(bytes: &[u8], at: usize, segment: u64) -> Option<Found> {
    let header = bytes.get(at..at.checked_add(HEADER_BYTES)?)?;
    let u64_at = |from: usize| u64::from_le_bytes(header[from..from + 8].try_into().expect("eight bytes"));
    if u64_at(8) != segment {
        return None;
    }
    let body_at = at + HEADER_BYTES;
    let body = body_at..body_at.checked_add(len_of(header)?)?;
    let covered = bytes.get(at + 8..body.end)?;
    (crc32c::crc32c(covered) == u32_at(header, 4)).then(|| Found::Frame { number: u64_at(16), body })
}

/// `None` if the header is not one.
fn len_of(header: &[u8]) -> Option<usize> {
    let len = u32_at(header, 24);
    (u32_at(header, 0) == MAGIC && u32_at(header, 28) == !len).then_some(len as usize)
}

fn u32_at(header: &[u8], from: usize) -> u32 {
    u32::from_le_bytes(header[from..from + 4].try_into().expect("four bytes"))
}

/// Whether the broken frame at `at` is one that the power cut off: the last thing written, with a sector of it missing.
pub fn is_torn(bytes: &[u8], at: usize, segment: u64) -> bool {
    let Some(last) = bytes.iter().rposition(|byte| *byte != 0) else { return false };
    let end = claimed_end(bytes, at).max(last + 1).min(bytes.len());
    let magic = MAGIC.to_le_bytes();
    let whole_frame_follows = (at + 1..=last)
        .any(|later| bytes[later..].starts_with(&magic) && frame_at(bytes, later, segment).is_some());
    !whole_frame_follows && has_zero_sector(bytes, at..end)
}

/// Where the frame says that it ends. Of a header that did not arrive whole its own end counts: the rest of it may be the
/// sector that is missing.
fn claimed_end(bytes: &[u8], at: usize) -> usize {
    let body_at = at + HEADER_BYTES;
    bytes.get(at..body_at).and_then(len_of).map_or(body_at, |len| body_at.saturating_add(len))
}

fn has_zero_sector(bytes: &[u8], range: Range<usize>) -> bool {
    let mut from = range.start;
    while from < range.end {
        let to = ((from / SECTOR_BYTES + 1) * SECTOR_BYTES).min(range.end);
        if bytes[from..to].iter().all(|byte| *byte == 0) {
            return true;
        }
        from = to;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_a_sector_cuts_in_two_may_be_torn_there() {
        for at in SECTOR_BYTES - HEADER_BYTES + 1..SECTOR_BYTES {
            let mut frame = begin();
            frame.extend([7; 40]);
            seal(&mut frame, 1, 3);
            let mut bytes = vec![0; 8 * SECTOR_BYTES];
            bytes[at..at + frame.len()].copy_from_slice(&frame);
            bytes[at] ^= 1;
            assert!(!is_torn(&bytes, at, 1), "a flipped bit, at {at}");
            bytes[at] ^= 1;
            bytes[SECTOR_BYTES..].fill(0);
            assert!(is_torn(&bytes, at, 1), "only the first sector arrived, at {at}");
        }
    }
}
