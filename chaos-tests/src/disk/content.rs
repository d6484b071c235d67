//! The bytes of a file in pages that the live and the durable state share until one of them changes.

use std::collections::BTreeMap;
use std::sync::Arc;

pub const PAGE_BYTES: u64 = 4096;

type Page = Vec<u8>;

/// Pages that were never written are holes and read as zeros.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pages: BTreeMap<u64, Arc<Page>>,
    pub size: u64,
}

impl Content {
    pub fn read(&self, offset: u64, length: u64) -> Vec<u8> {
        let end = (offset + length).min(self.size);
        let mut bytes = Vec::with_capacity(usize::try_from(end.saturating_sub(offset)).unwrap_or(0));
        let mut at = offset;
        while at < end {
            let (page, from) = (at / PAGE_BYTES, at % PAGE_BYTES);
            let take = (PAGE_BYTES - from).min(end - at);
            match self.pages.get(&page) {
                Some(page) => bytes.extend_from_slice(&page[from as usize..(from + take) as usize]),
                None => bytes.resize(bytes.len() + take as usize, 0),
            }
            at += take;
        }
        bytes
    }

    /// Numbers of the pages that were touched.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> std::ops::RangeInclusive<u64> {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (page, from) = (at / PAGE_BYTES, (at % PAGE_BYTES) as usize);
            let take = rest.len().min(PAGE_BYTES as usize - from);
            let page = self.pages.entry(page).or_insert_with(|| Arc::new(vec![0; PAGE_BYTES as usize]));
            Arc::make_mut(page)[from..from + take].copy_from_slice(&rest[..take]);
            rest = &rest[take..];
            at += take as u64;
        }
        self.size = self.size.max(offset + bytes.len() as u64);
        offset / PAGE_BYTES..=at.saturating_sub(1).max(offset) / PAGE_BYTES
    }

    /// Pages of this file that the write would add.
    pub fn pages_missing(&self, offset: u64, length: u64) -> u64 {
        if length == 0 {
            return 0;
        }
        let (first, last) = (offset / PAGE_BYTES, (offset + length - 1) / PAGE_BYTES);
        let there = self.pages.range(first..=last).count() as u64;
        last - first + 1 - there
    }

    /// Makes pages of zeros, as space that is set aside.
    pub fn allocate(&mut self, offset: u64, length: u64) -> std::ops::RangeInclusive<u64> {
        let (first, last) = (offset / PAGE_BYTES, (offset + length - 1) / PAGE_BYTES);
        for page in first..=last {
            self.pages.entry(page).or_insert_with(|| Arc::new(vec![0; PAGE_BYTES as usize]));
        }
        first..=last
    }

    /// Sets the size; what lies behind it is gone, also if the file grows again. Gives the pages that changed.
    pub fn truncate(&mut self, size: u64) -> Vec<u64> {
        let first_gone = size.div_ceil(PAGE_BYTES);
        let mut changed: Vec<u64> = self.pages.range(first_gone..).map(|(&page, _)| page).collect();
        self.pages.split_off(&first_gone);
        let tail = (size % PAGE_BYTES) as usize;
        if tail > 0
            && size < self.size
            && let Some(page) = self.pages.get_mut(&(size / PAGE_BYTES))
        {
            Arc::make_mut(page)[tail..].fill(0);
            changed.push(size / PAGE_BYTES);
        }
        self.size = size;
        changed
    }

    /// Takes over one page, or its absence.
    pub fn copy_page(&mut self, from: &Self, page: u64) {
        match from.pages.get(&page) {
            Some(bytes) => drop(self.pages.insert(page, bytes.clone())),
            None => drop(self.pages.remove(&page)),
        }
    }

    pub fn page_count(&self) -> u64 {
        self.pages.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_across_pages_is_read_back() {
        let mut content = Content::default();
        let bytes: Vec<u8> = (0..10_000).map(|number| number as u8).collect();
        assert_eq!(content.write(4000, &bytes), 0..=3);
        assert_eq!(content.read(4000, 20_000), bytes);
        assert_eq!(content.read(0, 10), vec![0; 10]);
    }

    #[test]
    fn what_was_cut_off_reads_as_zeros_when_the_file_grows_again() {
        let mut content = Content::default();
        content.write(0, &[7; 5000]);
        assert_eq!(content.truncate(100), vec![1, 0]);
        content.truncate(5000);
        assert_eq!(content.read(99, 3), vec![7, 0, 0]);
    }
}
