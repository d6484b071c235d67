//! The state in RocksDB, one database per *generation*.
//!
//! `root/CURRENT_STATE` names the generation (a folder beside it) that is in force. Installing a snapshot opens a new
//! generation and then renames a new name file over the old one: a crash at any moment leaves one whole state. Old
//! generations are removed at the next start, since readers may still hold them.
//!
//! The options aim at many small values and an idle process that is small: one block cache for all column families,
//! small write buffers, lz4, whole-key bloom filters where reads are point reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BottommostLevelCompaction, Cache, ColumnFamily,
    ColumnFamilyDescriptor, CompactOptions, DB, DBCompressionType, DBRawIterator, DBRecoveryMode,
    FlushOptions, Options, ReadOptions, Snapshot, WriteOptions,
};

use super::{Backend, BackendError, BackendSize, Change, Column, Cursor, View, WriteBatch};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::failpoint::{self, Point};
use crate::mvcc::limits;

/// Names the generation in force.
const POINTER_FILE: &str = "CURRENT_STATE";
const FIRST_GENERATION: u64 = 1;

pub struct RocksBackend {
    db: DB,
    root: PathBuf,
    generation: u64,
    /// Dropped after the database: who waits for its tracker knows that the database is closed.
    open: Option<TaskTrackerToken>,
}

impl std::fmt::Debug for RocksBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RocksBackend({} generation {})", self.root.display(), self.generation)
    }
}

impl RocksBackend {
    /// Opens the generation in force below `root`, creating the first one in an empty folder.
    pub fn open(root: &Path, open: Option<TaskTrackerToken>) -> Result<Self, BackendError> {
        let failed = |source: std::io::Error| BackendError::Open { path: root.into(), source: source.into() };
        std::fs::create_dir_all(root).map_err(failed)?;
        let pointer = read_pointer(root).map_err(failed)?;
        let generation = pointer.unwrap_or(FIRST_GENERATION);
        if pointer.is_none() && has_later_generation(root).map_err(failed)? {
            return Err(BackendError::NoPointer { path: root.join(POINTER_FILE) });
        }
        remove_other_generations(root, generation).map_err(failed)?;
        let dir = generation_dir(root, generation);
        // What was there once and is not there now is missing, and must not be made anew.
        let db = open_db(&dir, pointer.is_none() && is_vacant(&dir))?;
        write_pointer(root, generation).map_err(failed)?;
        Ok(Self { db, root: root.into(), generation, open })
    }

    /// Opens the generation in force without changing a file, also beside a process that has it open.
    pub fn open_read_only(root: &Path) -> Result<Self, BackendError> {
        let failed = |source: std::io::Error| BackendError::Open { path: root.into(), source: source.into() };
        let generation =
            read_pointer(root).map_err(failed)?.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        let dir = generation_dir(root, generation);
        let cache = Cache::new_lru_cache(limits::STATE_BLOCK_CACHE_BYTES);
        let families = Column::ALL
            .map(|column| ColumnFamilyDescriptor::new(column.name(), family_options(column, &cache)));
        // RocksDB writes a log of its own even so: not into this folder, and nobody reads it.
        let notes = std::env::temp_dir().join(format!("balsa-look-{}", std::process::id()));
        std::fs::create_dir_all(&notes).map_err(failed)?;
        let mut options = Options::default();
        options.set_db_log_dir(&notes);
        let db = DB::open_cf_descriptors_read_only(&options, &dir, families, false)
            .map_err(|source| BackendError::Open { path: dir, source: source.into() });
        // The open file goes on without a name.
        std::fs::remove_dir_all(&notes).map_err(failed)?;
        let db = db?;
        Ok(Self { db, root: root.into(), generation, open: None })
    }

    fn family(&self, column: Column) -> &ColumnFamily {
        self.db.cf_handle(column.name()).expect("every column family is created when the database is opened")
    }

    /// All families in one: RocksDB would flush a single one by itself, and the applied position would come to the disk
    /// without the data, or the data without it.
    fn flush(&self) -> Result<(), rocksdb::Error> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.db.flush_cfs_opt(&Column::ALL.map(|column| self.family(column)), &options)
    }

    fn property(&self, column: Column, name: &str) -> u64 {
        self.db.property_int_value_cf(self.family(column), name).ok().flatten().unwrap_or(0)
    }
}

impl Backend for RocksBackend {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        let found = self.db.get_cf(self.family(column), key).map_err(|e| read_failed(column, e))?;
        Ok(found.map(Bytes::from))
    }

    fn write(&self, batch: &WriteBatch) -> Result<(), BackendError> {
        let families = Column::ALL.map(|column| self.family(column));
        let mut writes = rocksdb::WriteBatch::with_capacity_bytes(batch.size_bytes());
        for change in batch.changes() {
            match change {
                Change::Put { column, key, value } => writes.put_cf(families[*column as usize], key, value),
                Change::Delete { column, key } => writes.delete_cf(families[*column as usize], key),
            }
        }
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        self.db.write_opt(&writes, &options).map_err(|source| BackendError::Write { source: source.into() })
    }

    fn view(&self, read: &mut dyn FnMut(&dyn View)) -> Result<(), BackendError> {
        read(&RocksView { backend: self, snapshot: self.db.snapshot() });
        Ok(())
    }

    fn sync(&self) -> Result<(), BackendError> {
        self.flush().map_err(|source| BackendError::Write { source: source.into() })
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), BackendError> {
        let failed =
            |source: rocksdb::Error| BackendError::Checkpoint { path: dir.into(), source: source.into() };
        Checkpoint::new(&self.db).and_then(|checkpoint| checkpoint.create_checkpoint(dir)).map_err(failed)
    }

    fn install(&self, dir: &Path) -> Result<Arc<dyn Backend>, BackendError> {
        let failed =
            |source: std::io::Error| BackendError::Install { path: dir.into(), source: source.into() };
        let generation = self.generation + 1;
        let target = generation_dir(&self.root, generation);
        if target.exists() {
            std::fs::remove_dir_all(&target).map_err(failed)?;
        }
        failpoint::pass(Point::InstallBeforeMove);
        std::fs::rename(dir, &target).map_err(failed)?;
        let db = open_db(&target, false)?;
        failpoint::pass(Point::InstallBeforePointer);
        write_pointer(&self.root, generation).map_err(failed)?;
        failpoint::pass(Point::InstallAfterPointer);
        Ok(Arc::new(RocksBackend { db, root: self.root.clone(), generation, open: self.open.clone() }))
    }

    fn defragment(&self) -> Result<(), BackendError> {
        let mut options = CompactOptions::default();
        // Automatic compactions go on meanwhile: an exclusive one would let writes pile up.
        options.set_exclusive_manual_compaction(false);
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        for column in Column::ALL {
            let family = self.family(column);
            self.flush().map_err(|source| BackendError::Defragment {
                column: column.name(),
                source: source.into(),
            })?;
            failpoint::pass(Point::DefragmentAfterFlush);
            self.db.compact_range_cf_opt(family, None::<&[u8]>, None::<&[u8]>, &options);
            failpoint::pass(Point::DefragmentAfterColumn);
        }
        Ok(())
    }

    fn size(&self) -> BackendSize {
        let mut size = BackendSize::default();
        for column in Column::ALL {
            let buffered = self.property(column, "rocksdb.cur-size-all-mem-tables");
            size.total_bytes += buffered + self.property(column, "rocksdb.live-sst-files-size");
            size.in_use_bytes += buffered + self.property(column, "rocksdb.estimate-live-data-size");
        }
        size.in_use_bytes = size.in_use_bytes.min(size.total_bytes);
        size
    }
}

fn read_failed(column: Column, source: rocksdb::Error) -> BackendError {
    BackendError::Read { column: column.name(), source: source.into() }
}

fn generation_dir(root: &Path, generation: u64) -> PathBuf {
    root.join(format!("{generation:08}"))
}

fn read_pointer(root: &Path) -> std::io::Result<Option<u64>> {
    match std::fs::read_to_string(root.join(POINTER_FILE)) {
        Ok(text) => {
            text.trim().parse().map(Some).map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Write, sync, rename, sync the folder: the pointer is either the old one or the new one.
fn write_pointer(root: &Path, generation: u64) -> std::io::Result<()> {
    let fresh = root.join(format!("{POINTER_FILE}.new"));
    std::fs::write(&fresh, format!("{generation}\n"))?;
    std::fs::File::open(&fresh)?.sync_all()?;
    std::fs::rename(&fresh, root.join(POINTER_FILE))?;
    std::fs::File::open(root)?.sync_all()
}

fn remove_other_generations(root: &Path, current: u64) -> std::io::Result<()> {
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
        if number.is_some_and(|number| number != current) && entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Without a pointer there is at most the first generation, of a start that was cut short.
fn has_later_generation(root: &Path) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(root)? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
        if number.is_some_and(|number| number > FIRST_GENERATION) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Not there, or an empty folder: where a database may be made.
pub(crate) fn is_vacant(dir: &Path) -> bool {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

fn open_db(dir: &Path, create: bool) -> Result<DB, BackendError> {
    let cache = Cache::new_lru_cache(limits::STATE_BLOCK_CACHE_BYTES);
    let families =
        Column::ALL.map(|column| ColumnFamilyDescriptor::new(column.name(), family_options(column, &cache)));
    DB::open_cf_descriptors(&database_options(create), dir, families)
        .map_err(|source| BackendError::Open { path: dir.into(), source: source.into() })
}

fn database_options(create: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    // Writes go to memory alone; all column families reach the disk together, and with them the applied position
    // (docs/adr/0023-state-without-a-log-of-its-own.md).
    options.set_atomic_flush(true);
    // Earlier versions wrote a log without syncing it: a power cut may have left gaps. What stands before the first one is a
    // whole state of some moment, and the rest is applied again from the raft log.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.create_missing_column_families(true);
    options.set_db_write_buffer_size(limits::STATE_WRITE_BUFFER_BYTES);
    options.set_max_background_jobs(2);
    options.set_max_open_files(512);
    options.set_bytes_per_sync(1 << 20);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_stats_dump_period_sec(0);
    options
}

fn family_options(column: Column, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // A table's whole index is larger than what one shard of the cache takes once tables are large and well compressed:
    // every seek would read and unpack it anew (docs/adr/0028-indexes-in-parts.md).
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_metadata_block_size(limits::STATE_METADATA_BLOCK_BYTES);
    table.set_pin_top_level_index_and_filter(true);
    table.set_format_version(5);
    let mut options = Options::default();
    match column {
        Column::Kv => {
            // A read of a live key knows its exact revision from the index, so the whole key is in the filter.
            table.set_bloom_filter(10.0, false);
            options.set_write_buffer_size(limits::STATE_KV_WRITE_BUFFER_BYTES);
        }
        Column::Log => options.set_write_buffer_size(limits::STATE_LOG_WRITE_BUFFER_BYTES),
        Column::Meta | Column::Lease => options.set_write_buffer_size(limits::STATE_SMALL_WRITE_BUFFER_BYTES),
    }
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

struct RocksView<'a> {
    backend: &'a RocksBackend,
    snapshot: Snapshot<'a>,
}

impl View for RocksView<'_> {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        let found =
            self.snapshot.get_cf(self.backend.family(column), key).map_err(|e| read_failed(column, e))?;
        Ok(found.map(Bytes::from))
    }

    fn cursor(&self, column: Column, lower: &[u8], upper: &[u8]) -> Box<dyn Cursor + '_> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(lower);
        if !upper.is_empty() {
            options.set_iterate_upper_bound(upper);
        }
        let rows = self.snapshot.raw_iterator_cf_opt(self.backend.family(column), options);
        Box::new(RocksCursor { column, rows })
    }
}

struct RocksCursor<'a> {
    column: Column,
    rows: DBRawIterator<'a>,
}

impl RocksCursor<'_> {
    /// An iterator that is not valid is either at the end or broken.
    fn checked(&self) -> Result<(), BackendError> {
        if self.rows.valid() {
            return Ok(());
        }
        self.rows.status().map_err(|e| read_failed(self.column, e))
    }
}

impl Cursor for RocksCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<(), BackendError> {
        self.rows.seek(key);
        self.checked()
    }

    fn seek_for_prev(&mut self, key: &[u8]) -> Result<(), BackendError> {
        self.rows.seek_for_prev(key);
        self.checked()
    }

    fn seek_to_last(&mut self) -> Result<(), BackendError> {
        self.rows.seek_to_last();
        self.checked()
    }

    fn next(&mut self) -> Result<(), BackendError> {
        if self.rows.valid() {
            self.rows.next();
        }
        self.checked()
    }

    fn prev(&mut self) -> Result<(), BackendError> {
        if self.rows.valid() {
            self.rows.prev();
        }
        self.checked()
    }

    fn item(&self) -> Option<(&[u8], &[u8])> {
        self.rows.item()
    }
}
