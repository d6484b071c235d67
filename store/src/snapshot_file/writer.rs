//! Writes a bbolt file from records in key order, bucket after bucket.
//!
//! Each level of a bucket's tree has one open page; a full page goes out and its first key goes one level up. What is in
//! memory is one page per level, and the largest record.
//! ```text
//! pages  0 meta  1 meta  2…  leaves and branches of the first bucket, root last  …  the bucket of buckets
//! ```
//! No page is free and none is written twice but the two meta pages, which come last: a file that was cut short has none.

use std::io::{self, Seek, SeekFrom, Write};

use bytes::BufMut;

use super::page::{
    self, BRANCH, BUCKET_ELEMENT, ELEMENT_BYTES, HEADER_BYTES, Header, LEAF, Meta, PAGE_BYTES,
};

/// The transaction id of the newer meta page; the older one has one less.
const TXID: u64 = 2;

pub struct BoltWriter<W> {
    pages: Pages<W>,
    buckets: Tree,
    open: Option<(Vec<u8>, Tree)>,
}

impl<W: Write + Seek> BoltWriter<W> {
    /// Starts a file at the beginning of `out`.
    pub fn begin(mut out: W) -> io::Result<Self> {
        out.seek(SeekFrom::Start(0))?;
        out.write_all(&[0; 2 * PAGE_BYTES])?;
        Ok(BoltWriter { pages: Pages { out, next: 2 }, buckets: Tree::default(), open: None })
    }

    /// Ends the bucket before, and starts one. Names must come in order.
    pub fn bucket(&mut self, name: &[u8]) -> io::Result<()> {
        self.end_bucket()?;
        self.open = Some((name.to_vec(), Tree::default()));
        Ok(())
    }

    /// Keys of a bucket must come in order.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let (_, tree) = self.open.as_mut().expect("a bucket is started before its first record");
        tree.add(&mut self.pages, Item { flags: 0, key, value })
    }

    fn end_bucket(&mut self) -> io::Result<()> {
        let Some((name, mut tree)) = self.open.take() else { return Ok(()) };
        let root = tree.finish(&mut self.pages)?;
        let header = page::bucket_header(root);
        self.buckets.add(&mut self.pages, Item { flags: BUCKET_ELEMENT, key: &name, value: &header })
    }

    /// Ends the file; how many bytes it has.
    pub fn finish(mut self) -> io::Result<u64> {
        self.end_bucket()?;
        let root = self.buckets.finish(&mut self.pages)?;
        let Pages { mut out, next } = self.pages;
        for page in [0, 1] {
            let meta = Meta { page_bytes: PAGE_BYTES as u32, root, high_water: next, txid: TXID - page };
            out.seek(SeekFrom::Start(page * PAGE_BYTES as u64))?;
            out.write_all(&meta.encode(page))?;
        }
        out.flush()?;
        Ok(next * PAGE_BYTES as u64)
    }
}

/// Where pages go, one behind the other.
struct Pages<W> {
    out: W,
    next: u64,
}

impl<W: Write> Pages<W> {
    fn write(&mut self, open: &OpenPage, flags: u16) -> io::Result<u64> {
        let id = self.next;
        let used = open.bytes();
        let count = used.div_ceil(PAGE_BYTES);
        let header = Header {
            id,
            flags,
            count: u16::try_from(open.items.len()).expect("a page has fewer elements than bytes"),
            overflow: u32::try_from(count - 1).expect("a record is bounded far below 16 TiB"),
        };
        self.out.write_all(&header.encode())?;
        self.out.write_all(&open.elements(flags))?;
        self.out.write_all(&open.data)?;
        self.out.write_all(&vec![0; count * PAGE_BYTES - used])?;
        self.next += count as u64;
        Ok(id)
    }
}

/// A record of a leaf.
struct Item<'a> {
    flags: u32,
    key: &'a [u8],
    value: &'a [u8],
}

/// The open pages of one bucket, leaves first.
#[derive(Default)]
struct Tree {
    leaf: OpenPage,
    branches: Vec<OpenPage>,
    last_key: Option<Vec<u8>>,
}

impl Tree {
    fn add<W: Write>(&mut self, pages: &mut Pages<W>, item: Item<'_>) -> io::Result<()> {
        assert!(self.last_key.as_deref().is_none_or(|last| last < item.key), "records come in key order");
        self.last_key = Some(item.key.to_vec());
        let bytes = item.key.len() + item.value.len();
        if !self.leaf.has_room(bytes) {
            let (first, id) = self.leaf.close(pages, LEAF)?;
            self.add_child(pages, 0, first, id)?;
        }
        self.leaf.items.push(Slot {
            flags: item.flags,
            key_bytes: item.key.len(),
            tail: item.value.len() as u64,
        });
        self.leaf.data.extend_from_slice(item.key);
        self.leaf.data.extend_from_slice(item.value);
        Ok(())
    }

    fn add_child<W: Write>(
        &mut self,
        pages: &mut Pages<W>,
        level: usize,
        first: Vec<u8>,
        id: u64,
    ) -> io::Result<()> {
        if level == self.branches.len() {
            self.branches.push(OpenPage::default());
        }
        if !self.branches[level].has_room(first.len()) {
            let (first, id) = self.branches[level].close(pages, BRANCH)?;
            self.add_child(pages, level + 1, first, id)?;
        }
        let branch = &mut self.branches[level];
        branch.items.push(Slot { flags: 0, key_bytes: first.len(), tail: id });
        branch.data.extend_from_slice(&first);
        Ok(())
    }

    /// Writes what is open, from the leaves up; the page of the root.
    fn finish<W: Write>(&mut self, pages: &mut Pages<W>) -> io::Result<u64> {
        let (mut first, mut root) = self.leaf.close(pages, LEAF)?;
        let mut level = 0;
        while level < self.branches.len() {
            self.add_child(pages, level, first, root)?;
            (first, root) = self.branches[level].close(pages, BRANCH)?;
            level += 1;
        }
        Ok(root)
    }
}

/// A page that still takes elements.
#[derive(Default)]
struct OpenPage {
    items: Vec<Slot>,
    /// Keys, in leaves each with its value behind it.
    data: Vec<u8>,
}

struct Slot {
    flags: u32,
    key_bytes: usize,
    /// Of a leaf: bytes of the value. Of a branch: the child's page.
    tail: u64,
}

impl OpenPage {
    fn bytes(&self) -> usize {
        HEADER_BYTES + self.items.len() * ELEMENT_BYTES + self.data.len()
    }

    /// A record that is larger than a page gets pages of its own.
    fn has_room(&self, data_bytes: usize) -> bool {
        self.items.is_empty() || self.bytes() + ELEMENT_BYTES + data_bytes <= PAGE_BYTES
    }

    /// Writes the page and empties it; its first key and its id.
    fn close<W: Write>(&mut self, pages: &mut Pages<W>, flags: u16) -> io::Result<(Vec<u8>, u64)> {
        let id = pages.write(self, flags)?;
        let first = self.items.first().map_or(0, |slot| slot.key_bytes);
        let first = self.data[..first].to_vec();
        self.items.clear();
        self.data.clear();
        Ok((first, id))
    }

    fn elements(&self, flags: u16) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.items.len() * ELEMENT_BYTES);
        let mut at = 0;
        let field = |number: usize| u32::try_from(number).expect("a record is bounded far below 4 GiB");
        for (index, slot) in self.items.iter().enumerate() {
            let position = field((self.items.len() - index) * ELEMENT_BYTES + at);
            at += slot.key_bytes;
            if flags == LEAF {
                out.put_u32_le(slot.flags);
                out.put_u32_le(position);
                out.put_u32_le(field(slot.key_bytes));
                out.put_u32_le(field(slot.tail as usize));
                at += slot.tail as usize;
            } else {
                out.put_u32_le(position);
                out.put_u32_le(field(slot.key_bytes));
                out.put_u64_le(slot.tail);
            }
        }
        out
    }
}
