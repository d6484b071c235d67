//! What a lease was granted, and its record in the column family `lease`.

use bytes::{Buf, BufMut, Bytes, BytesMut};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub ttl_seconds: i64,
    /// From the last checkpoint; 0 if there was none, and then the whole time to live counts.
    pub remaining_seconds: i64,
}

impl Terms {
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(16);
        out.put_i64(self.ttl_seconds);
        out.put_i64(self.remaining_seconds);
        out.freeze()
    }

    pub fn decode(mut bytes: &[u8]) -> Option<Terms> {
        let terms =
            Terms { ttl_seconds: bytes.try_get_i64().ok()?, remaining_seconds: bytes.try_get_i64().ok()? };
        bytes.is_empty().then_some(terms)
    }

    /// What a new leader starts the deadline from.
    pub fn starting_seconds(&self) -> u64 {
        let seconds = if self.remaining_seconds > 0 { self.remaining_seconds } else { self.ttl_seconds };
        seconds.max(0) as u64
    }
}
