//! The bytes of bbolt's pages, little endian.
//!
//! | at | page header | branch element | leaf element |
//! |---|---|---|---|
//! | 0 | id u64 | position u32 | flags u32 |
//! | 4 | | key length u32 | position u32 |
//! | 8 | flags u16, count u16 | child page u64 | key length u32 |
//! | 12 | overflow u32 | | value length u32 |
//!
//! Elements follow the header, keys and values follow the elements; a position counts from the element itself. A page
//! with `overflow` n takes n more pages behind it. Pages 0 and 1 are meta pages, of which the whole one with the higher
//! transaction id is in force.

use bytes::{Buf, BufMut};

/// What bbolt uses on every machine with 4 KiB of memory per page, and what we write.
pub const PAGE_BYTES: usize = 4096;
pub const HEADER_BYTES: usize = 16;
pub const ELEMENT_BYTES: usize = 16;

pub const BRANCH: u16 = 0x01;
pub const LEAF: u16 = 0x02;
const META: u16 = 0x04;

/// A leaf element whose value is a bucket header: root page u64 (0: the page follows inline), sequence u64.
pub const BUCKET_ELEMENT: u32 = 0x01;
pub const BUCKET_HEADER_BYTES: usize = 16;

/// In the place of the free list's page: there is none, whoever opens the file finds the free pages by itself.
const NO_FREELIST: u64 = u64::MAX;
const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// Meta fields that the checksum covers, and with it.
const META_BODY_BYTES: usize = 56;
pub const META_BYTES: usize = HEADER_BYTES + META_BODY_BYTES + 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub id: u64,
    pub flags: u16,
    pub count: u16,
    pub overflow: u32,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let mut rest = &mut out[..];
        rest.put_u64_le(self.id);
        rest.put_u16_le(self.flags);
        rest.put_u16_le(self.count);
        rest.put_u32_le(self.overflow);
        out
    }

    pub fn decode(bytes: &[u8]) -> Option<Header> {
        let mut bytes = bytes.get(..HEADER_BYTES)?;
        Some(Header {
            id: bytes.get_u64_le(),
            flags: bytes.get_u16_le(),
            count: bytes.get_u16_le(),
            overflow: bytes.get_u32_le(),
        })
    }
}

/// What a meta page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    pub page_bytes: u32,
    /// Page of the bucket of buckets.
    pub root: u64,
    /// The first page id that is not in the file.
    pub high_water: u64,
    pub txid: u64,
}

impl Meta {
    /// The start of page 0 or 1; the rest of the page is zeroes.
    pub fn encode(&self, page: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(META_BYTES);
        out.extend_from_slice(&Header { id: page, flags: META, count: 0, overflow: 0 }.encode());
        out.put_u32_le(MAGIC);
        out.put_u32_le(VERSION);
        out.put_u32_le(self.page_bytes);
        out.put_u32_le(0);
        out.put_u64_le(self.root);
        out.put_u64_le(0);
        out.put_u64_le(NO_FREELIST);
        out.put_u64_le(self.high_water);
        out.put_u64_le(self.txid);
        let checksum = fnv64a(&out[HEADER_BYTES..]);
        out.put_u64_le(checksum);
        out
    }

    /// `None` if the bytes are no whole meta page.
    pub fn decode(bytes: &[u8]) -> Option<Meta> {
        let body = bytes.get(HEADER_BYTES..META_BYTES)?;
        let (covered, mut checksum) = body.split_at(META_BODY_BYTES);
        if checksum.get_u64_le() != fnv64a(covered) {
            return None;
        }
        let mut rest = covered;
        let known = rest.get_u32_le() == MAGIC && rest.get_u32_le() == VERSION;
        let page_bytes = rest.get_u32_le();
        rest.advance(4);
        let root = rest.get_u64_le();
        rest.advance(16);
        let (high_water, txid) = (rest.get_u64_le(), rest.get_u64_le());
        let sane = page_bytes.is_power_of_two() && (512..=1 << 16).contains(&page_bytes);
        (known && sane).then_some(Meta { page_bytes, root, high_water, txid })
    }
}

fn fnv64a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The value of a bucket's element in the bucket of buckets.
pub fn bucket_header(root: u64) -> [u8; BUCKET_HEADER_BYTES] {
    let mut out = [0; BUCKET_HEADER_BYTES];
    out[..8].copy_from_slice(&root.to_le_bytes());
    out
}

/// A branch or leaf page with all its overflow, or the page inside of an inline bucket.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    bytes: &'a [u8],
    pub header: Header,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf<'a> {
    pub flags: u32,
    pub key: &'a [u8],
    pub value: &'a [u8],
}

impl<'a> Page<'a> {
    pub fn of(bytes: &'a [u8]) -> Option<Page<'a>> {
        Some(Page { bytes, header: Header::decode(bytes)? })
    }

    /// `None` if the element points outside of the page.
    pub fn leaf(&self, index: usize) -> Option<Leaf<'a>> {
        let element = self.bytes.get(HEADER_BYTES + index * ELEMENT_BYTES..)?;
        let mut fields = element.get(..ELEMENT_BYTES)?;
        let flags = fields.get_u32_le();
        let [at, key_bytes, value_bytes] =
            [fields.get_u32_le(), fields.get_u32_le(), fields.get_u32_le()].map(|field| field as usize);
        let data = element.get(at..)?;
        let key = data.get(..key_bytes)?;
        let value = data.get(key_bytes..)?.get(..value_bytes)?;
        Some(Leaf { flags, key, value })
    }

    /// First key and page id of a child.
    pub fn branch(&self, index: usize) -> Option<(&'a [u8], u64)> {
        let element = self.bytes.get(HEADER_BYTES + index * ELEMENT_BYTES..)?;
        let mut fields = element.get(..ELEMENT_BYTES)?;
        let (at, key_bytes) = (fields.get_u32_le() as usize, fields.get_u32_le() as usize);
        Some((element.get(at..)?.get(..key_bytes)?, fields.get_u64_le()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meta_page_comes_back_and_a_flipped_bit_does_not() {
        let meta = Meta { page_bytes: 4096, root: 7, high_water: 9, txid: 2 };
        let mut bytes = meta.encode(1);
        assert_eq!(bytes.len(), META_BYTES);
        assert_eq!(Meta::decode(&bytes), Some(meta));
        bytes[HEADER_BYTES + 20] ^= 1;
        assert_eq!(Meta::decode(&bytes), None);
    }

    /// From a file that a stock etcd wrote: root 8, high water 9, transaction 15.
    #[test]
    fn the_checksum_is_stocks() {
        let meta = Meta { page_bytes: 4096, root: 8, high_water: 9, txid: 15 };
        let bytes = meta.encode(0);
        assert_eq!(bytes[META_BYTES - 8..], 13_080_378_349_640_900_765_u64.to_le_bytes());
    }
}
