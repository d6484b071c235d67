//! Makes a URL in HTTP/2's `:authority` bearable: etcdctl 3.4's `endpoint status` sends `http://127.0.0.1:2379` there, and a
//! client of a socket the path of it, which our HTTP/2 library refuses as malformed before anyone could look at it. Nobody
//! reads the authority of a gRPC request.
//!
//! In: the bytes of a connection. Out: the same bytes, as many, but for the colon and the slashes of such an authority. They become
//! letters whose codes are as long as theirs, plain and in HPACK's Huffman code, so that no length changes, neither of a frame
//! nor of an entry of the peer's table. Frames other than HEADERS pass at once; a HEADERS frame that comes in pieces is held
//! until it is whole. What is not HTTP/2 passes untouched. Source: RFC 9113 §4.1, §6.2; RFC 7541 §5, §6, appendix B.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// HTTP/2's default bound on a frame, which our server does not raise. Who exceeds it is refused by the library.
const MAX_HELD_BYTES: usize = 16_384 + FRAME_HEAD_BYTES;
/// In HPACK's static table.
const AUTHORITY_INDEX: usize = 1;
const SCHEMES: [&[u8]; 2] = [b"http://", b"https://"];

pub struct AuthorityFilter<S> {
    stream: S,
    state: State,
    /// What came and cannot go on yet: the beginning of a frame.
    held: Vec<u8>,
    /// How much of `held` may go.
    free: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes of the preface were there.
    Preface(usize),
    /// At the head of a frame.
    Head,
    /// So many bytes of a frame are left that need no look.
    Skip(usize),
    /// Not HTTP/2, or not as it should be: the library decides.
    Blind,
}

impl<S> AuthorityFilter<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, state: State::Preface(0), held: Vec::new(), free: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AuthorityFilter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.free > 0 {
                let count = this.free.min(out.remaining());
                out.put_slice(&this.held[..count]);
                this.held.drain(..count);
                this.free -= count;
                return Poll::Ready(Ok(()));
            }
            if this.held.is_empty() {
                // The usual case works in the reader's own buffer.
                let before = out.filled().len();
                ready!(Pin::new(&mut this.stream).poll_read(cx, out))?;
                let fresh = &mut out.filled_mut()[before..];
                if fresh.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let passed = scan(&mut this.state, fresh);
                this.held.extend_from_slice(&fresh[passed..]);
                out.set_filled(before + passed);
                if passed > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                let mut space = [0; 4096];
                let mut fresh = ReadBuf::new(&mut space);
                ready!(Pin::new(&mut this.stream).poll_read(cx, &mut fresh))?;
                if fresh.filled().is_empty() {
                    // The peer is gone in the middle of a frame.
                    this.free = this.held.len();
                    this.state = State::Blind;
                    if this.free == 0 {
                        return Poll::Ready(Ok(()));
                    }
                } else {
                    this.held.extend_from_slice(fresh.filled());
                    this.free = scan(&mut this.state, &mut this.held);
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AuthorityFilter<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// How many bytes from the start may go on; HEADERS among them are mended.
fn scan(state: &mut State, bytes: &mut [u8]) -> usize {
    let mut at = 0;
    while at < bytes.len() {
        match *state {
            State::Blind => return bytes.len(),
            State::Preface(seen) => {
                let count = (PREFACE.len() - seen).min(bytes.len() - at);
                if bytes[at..at + count] != PREFACE[seen..seen + count] {
                    *state = State::Blind;
                    return bytes.len();
                }
                at += count;
                *state =
                    if seen + count == PREFACE.len() { State::Head } else { State::Preface(seen + count) };
            }
            State::Skip(left) => {
                let count = left.min(bytes.len() - at);
                at += count;
                *state = if count == left { State::Head } else { State::Skip(left - count) };
            }
            State::Head => {
                let Some(head) = bytes[at..].first_chunk::<FRAME_HEAD_BYTES>() else { return at };
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let (kind, flags) = (head[3], head[4]);
                let whole = FRAME_HEAD_BYTES + length;
                if kind != HEADERS || whole > MAX_HELD_BYTES {
                    *state = State::Skip(whole);
                } else if bytes.len() - at < whole {
                    return at;
                } else {
                    mend_headers(flags, &mut bytes[at + FRAME_HEAD_BYTES..at + whole]);
                    at += whole;
                }
            }
        }
    }
    at
}

fn mend_headers(flags: u8, payload: &mut [u8]) {
    let padding = if flags & PADDED != 0 { 1 } else { 0 };
    let priority = if flags & PRIORITY != 0 { 5 } else { 0 };
    if let Some(block) = payload.get_mut(padding + priority..) {
        // A block that does not parse is the library's to refuse.
        let _ = mend_block(block);
    }
}

/// Walks the header fields up to the authority. `None` where the block ends too early.
fn mend_block(block: &mut [u8]) -> Option<()> {
    let mut at = 0;
    while at < block.len() {
        let first = block[at];
        match first {
            // Indexed; a change of the table's size.
            0x80.. => drop(integer(block, &mut at, 7)?),
            0x20..0x40 => drop(integer(block, &mut at, 5)?),
            // A literal, to be indexed or not.
            _ => {
                let prefix = if first >= 0x40 { 6 } else { 4 };
                let name = integer(block, &mut at, prefix)?;
                if name == 0 {
                    string(block, &mut at)?;
                }
                let (huffman, range) = string(block, &mut at)?;
                if name == AUTHORITY_INDEX {
                    mend_authority(huffman, &mut block[range]);
                    return Some(());
                }
            }
        }
    }
    Some(())
}

/// RFC 7541 §5.1.
fn integer(block: &[u8], at: &mut usize, prefix: u32) -> Option<usize> {
    let most = (1usize << prefix) - 1;
    let mut value = *block.get(*at)? as usize & most;
    *at += 1;
    if value < most {
        return Some(value);
    }
    for shift in (0..28).step_by(7) {
        let byte = *block.get(*at)? as usize;
        *at += 1;
        value += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Whether it is in Huffman code, and where its bytes are. RFC 7541 §5.2.
fn string(block: &[u8], at: &mut usize) -> Option<(bool, std::ops::Range<usize>)> {
    let huffman = block.get(*at)? & 0x80 != 0;
    let length = integer(block, at, 7)?;
    let range = *at..at.checked_add(length).filter(|end| *end <= block.len())?;
    *at = range.end;
    Some((huffman, range))
}

/// `/run/etcd.sock` becomes `3run3etcd.sock`.
fn mend_path(huffman: bool, value: &mut [u8]) {
    if !huffman {
        if value.first() == Some(&b'/') {
            value.iter_mut().filter(|byte| **byte == b'/').for_each(|slash| *slash = b'3');
        }
        return;
    }
    let (slash, slash_bits) = code(b'/');
    let mut at = 0;
    while let Some((symbol, length)) = symbol(value, at) {
        if (symbol, length) == (slash, slash_bits) {
            // The codes of `/` and `3` differ in their last bit alone.
            let last = at + length - 1;
            value[last / 8] ^= 1 << (7 - last % 8);
        } else if at == 0 {
            return;
        }
        at += length;
    }
}

/// The code that begins at a bit, and its length; `None` at the end and for codes that stand in no path.
fn symbol(value: &[u8], at: usize) -> Option<(u32, usize)> {
    let mut code = 0;
    for length in 1..=GREATEST_CODES[GREATEST_CODES.len() - 1].0 {
        let bit = at + length - 1;
        code = code << 1 | u32::from(value.get(bit / 8)? >> (7 - bit % 8) & 1);
        if GREATEST_CODES.iter().any(|(of, greatest)| *of == length && code <= *greatest) {
            return Some((code, length));
        }
    }
    None
}

/// Of each length that has codes, the greatest one: the code is canonical, so that a longer code begins with more.
const GREATEST_CODES: [(usize, u32); 10] = [
    (5, 0b0_1001),
    (6, 0b10_1101),
    (7, 0b111_1011),
    (8, 0b1111_1101),
    (10, 0x3fc),
    (11, 0x7fc),
    (12, 0xffb),
    (13, 0x1ffd),
    (14, 0x3ffd),
    (15, 0x7ffe),
];

/// `http://host` becomes `httpB33host`.
fn mend_authority(huffman: bool, value: &mut [u8]) {
    mend_path(huffman, value);
    for scheme in SCHEMES {
        if huffman {
            let bits: Vec<bool> = scheme.iter().flat_map(|byte| code_bits(*byte)).collect();
            let matches = value.len() * 8 >= bits.len()
                && bits
                    .iter()
                    .enumerate()
                    .all(|(bit, want)| (value[bit / 8] >> (7 - bit % 8) & 1 == 1) == *want);
            if matches {
                // The codes of `:` and `B`, and of `/` and `3`, differ in their last bit alone.
                let mut end = 0;
                for byte in scheme {
                    end += code(*byte).1;
                    if matches!(byte, b':' | b'/') {
                        value[(end - 1) / 8] ^= 1 << (7 - (end - 1) % 8);
                    }
                }
                return;
            }
        } else if value.starts_with(scheme) {
            let colon = scheme.len() - 3;
            value[colon..scheme.len()].copy_from_slice(b"B33");
            return;
        }
    }
}

/// HPACK's Huffman code of the letters of a scheme, and its length.
fn code(byte: u8) -> (u32, usize) {
    match byte {
        b'h' => (0b10_0111, 6),
        b't' => (0b0_1001, 5),
        b'p' => (0b10_1011, 6),
        b's' => (0b0_1000, 5),
        b':' => (0b101_1100, 7),
        b'/' => (0b01_1000, 6),
        _ => unreachable!("a scheme has no other letters"),
    }
}

fn code_bits(byte: u8) -> impl Iterator<Item = bool> {
    let (code, length) = code(byte);
    (0..length).rev().map(move |bit| code >> bit & 1 == 1)
}

#[cfg(test)]
#[path = "authority_test.rs"]
mod tests;
