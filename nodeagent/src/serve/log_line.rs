//! One line of a CRI log: `2026-11-21T10:00:00.123456789Z stdout F text`.
//!
//! The tag is `F` for a full line and `P` for a part of one that was too long; tags may be followed by others after `:`.

/// A line as its parts; `content` is without the newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    pub timestamp: &'a str,
    pub stream: &'a str,
    pub is_partial: bool,
    pub content: &'a [u8],
}

/// `None`: not a line of a CRI log.
pub fn parse(raw: &[u8]) -> Option<Line<'_>> {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    let mut parts = raw.splitn(4, |byte| *byte == b' ');
    let timestamp = std::str::from_utf8(parts.next()?).ok()?;
    let stream = std::str::from_utf8(parts.next()?).ok().filter(|s| matches!(*s, "stdout" | "stderr"))?;
    let tag = parts.next()?.split(|byte| *byte == b':').next()?;
    let is_partial = match tag {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    Some(Line { timestamp, stream, is_partial, content: parts.next().unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_partial_empty_and_foreign() {
        let line = |raw: &'static str| parse(raw.as_bytes()).map(|l| (l.stream, l.is_partial, l.content));
        assert_eq!(line("2026-01-01T00:00:00Z stdout F a b\n"), Some(("stdout", false, &b"a b"[..])));
        assert_eq!(line("2026-01-01T00:00:00Z stderr P:x part"), Some(("stderr", true, &b"part"[..])));
        assert_eq!(line("2026-01-01T00:00:00Z stdout F \n"), Some(("stdout", false, &b""[..])));
        assert_eq!(line("2026-01-01T00:00:00Z stdout F\n"), Some(("stdout", false, &b""[..])));
        assert_eq!(line("hello world this is\n"), None);
        assert_eq!(line(""), None);
    }
}
