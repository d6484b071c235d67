//! Reads a bbolt file: its buckets in order, and each bucket's records in key order, one path of pages in memory.
//!
//! Every page is checked on the way: it is within the file, it is the page that it says it is, its elements stay within
//! it, and keys ascend. A page that is reached twice would break the order of keys, so that a walk always ends.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Buf;

use super::FileError;
use super::page::{BRANCH, BUCKET_ELEMENT, BUCKET_HEADER_BYTES, HEADER_BYTES, LEAF, META_BYTES, Meta, Page};

/// Levels of a tree: far more than 2^64 pages need.
const MAX_DEPTH: usize = 32;
/// The largest record with its page, as a bound on what a damaged file can make us allocate.
const MAX_PAGE_BYTES: u64 = 1 << 30;

#[derive(Debug)]
pub struct BoltFile {
    file: File,
    meta: Meta,
}

/// A bucket of the file.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub name: Vec<u8>,
    root: Root,
}

/// Takes flags, key and value of a leaf element.
type Take<'a, E> = &'a mut dyn FnMut(u32, &[u8], &[u8]) -> Result<(), E>;

#[derive(Debug, Clone)]
enum Root {
    Page(u64),
    /// The bucket is small and its one page stands in the value of its name.
    Inline(Vec<u8>),
}

impl BoltFile {
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let file = File::open(path).map_err(FileError::Read)?;
        Self::of(file)
    }

    pub fn of(file: File) -> Result<Self, FileError> {
        let meta = find_meta(&file)?.ok_or(FileError::NotASnapshot)?;
        let have_bytes = file.metadata().map_err(FileError::Read)?.len();
        let bolt = BoltFile { file, meta };
        let need_bytes = bolt.data_bytes();
        if have_bytes < need_bytes { Err(FileError::CutShort { need_bytes, have_bytes }) } else { Ok(bolt) }
    }

    /// Bytes of all pages, without what may follow.
    pub fn data_bytes(&self) -> u64 {
        self.meta.high_water.saturating_mul(u64::from(self.meta.page_bytes))
    }

    pub fn buckets(&self) -> Result<Vec<Bucket>, FileError> {
        let mut buckets = Vec::new();
        let root = Root::Page(self.meta.root);
        self.walk(&root, &mut |flags, name, value| {
            let damaged = FileError::Damaged { page: self.meta.root, what: "a bucket has no root" };
            if flags & BUCKET_ELEMENT == 0 {
                return Ok(());
            }
            let Some((mut header, inline)) = value.split_at_checked(BUCKET_HEADER_BYTES) else {
                return Err(damaged);
            };
            let root = match header.get_u64_le() {
                0 => Root::Inline(inline.to_vec()),
                page => Root::Page(page),
            };
            buckets.push(Bucket { name: name.to_vec(), root });
            Ok(())
        })?;
        Ok(buckets)
    }

    /// Calls `take` with each key and value, in key order, until it fails.
    pub fn visit<E: From<FileError>>(
        &self,
        bucket: &Bucket,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.walk(&bucket.root, &mut |_, key, value| take(key, value))
    }

    fn walk<E: From<FileError>>(&self, root: &Root, take: Take<'_, E>) -> Result<(), E> {
        let mut last: Option<Vec<u8>> = None;
        let take = &mut |flags, key: &[u8], value: &[u8]| {
            if last.as_deref().is_some_and(|last| last >= key) {
                let error = FileError::Damaged { page: self.meta.root, what: "keys are out of order" };
                return Err(error.into());
            }
            let last = last.get_or_insert_default();
            last.clear();
            last.extend_from_slice(key);
            take(flags, key, value)
        };
        match root {
            Root::Page(id) => self.walk_page(*id, 0, take),
            Root::Inline(bytes) => {
                let damaged = FileError::Damaged { page: 0, what: "an inline bucket has no page" };
                leaves(&Page::of(bytes).ok_or(damaged)?, 0, take)
            }
        }
    }

    fn walk_page<E: From<FileError>>(&self, id: u64, depth: usize, take: Take<'_, E>) -> Result<(), E> {
        let damaged = |what| FileError::Damaged { page: id, what };
        if depth == MAX_DEPTH {
            return Err(damaged("the tree is too deep").into());
        }
        let bytes = self.page(id)?;
        let page = Page::of(&bytes).ok_or_else(|| damaged("it has no header"))?;
        if page.header.flags == LEAF {
            return leaves(&page, id, take);
        }
        if page.header.flags != BRANCH {
            return Err(damaged("it is neither a branch nor a leaf").into());
        }
        for index in 0..usize::from(page.header.count) {
            let (_, child) = page.branch(index).ok_or_else(|| damaged("an element is outside of it"))?;
            self.walk_page(child, depth + 1, take)?;
        }
        Ok(())
    }

    /// A page with its overflow.
    fn page(&self, id: u64) -> Result<Vec<u8>, FileError> {
        let damaged = |what| FileError::Damaged { page: id, what };
        let page_bytes = u64::from(self.meta.page_bytes);
        if id < 2 || id >= self.meta.high_water {
            return Err(damaged("it is outside of the file"));
        }
        let mut header = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut header, id * page_bytes).map_err(FileError::Read)?;
        let page = Page::of(&header).ok_or_else(|| damaged("it has no header"))?.header;
        let last = id + u64::from(page.overflow);
        let bytes = (u64::from(page.overflow) + 1) * page_bytes;
        if page.id != id || last >= self.meta.high_water || bytes > MAX_PAGE_BYTES {
            return Err(damaged("it is not the page that stood here"));
        }
        let mut whole = vec![0; bytes as usize];
        self.file.read_exact_at(&mut whole, id * page_bytes).map_err(FileError::Read)?;
        Ok(whole)
    }
}

fn leaves<E: From<FileError>>(page: &Page<'_>, id: u64, take: Take<'_, E>) -> Result<(), E> {
    for index in 0..usize::from(page.header.count) {
        let damaged = FileError::Damaged { page: id, what: "an element is outside of it" };
        let leaf = page.leaf(index).ok_or(damaged)?;
        take(leaf.flags, leaf.key, leaf.value)?;
    }
    Ok(())
}

/// The newer of the whole meta pages. Where the second one stands follows from the page size, which the first one tells;
/// without a first one every size is tried.
fn find_meta(file: &File) -> Result<Option<Meta>, FileError> {
    let read = |at: u64| {
        let mut bytes = [0; META_BYTES];
        match file.read_exact_at(&mut bytes, at) {
            Ok(()) => Ok(Meta::decode(&bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(FileError::Read(error)),
        }
    };
    let first = read(0)?;
    let sizes = match first {
        Some(meta) => meta.page_bytes.trailing_zeros()..=meta.page_bytes.trailing_zeros(),
        None => 9..=16,
    };
    let mut newest = first;
    for size in sizes {
        let second = read(1 << size)?.filter(|meta| meta.page_bytes == 1 << size);
        newest = match (newest, second) {
            (Some(a), Some(b)) => Some(if b.txid > a.txid { b } else { a }),
            (a, b) => a.or(b),
        };
    }
    Ok(newest)
}
