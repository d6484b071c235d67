//! What a power cut takes and what it leaves.

use rand::SeedableRng;

use super::*;

fn cut(disk: &mut Disk) {
    disk.power_cut(Survivors::Nothing, &mut StdRng::seed_from_u64(1));
}

fn read(disk: &Disk, name: &str) -> Option<String> {
    let number = disk.lookup(ROOT, name).ok()?;
    Some(String::from_utf8(disk.file(number).unwrap().live.read(0, 100)).unwrap())
}

#[test]
fn bytes_that_were_not_synced_are_gone() {
    let mut disk = Disk::new(Metadata::Journaled);
    let file = disk.create(ROOT, "log", 0o600).unwrap();
    disk.write(file, 0, b"kept").unwrap();
    disk.sync_file(file).unwrap();
    disk.write(file, 4, b" lost").unwrap();
    assert_eq!(read(&disk, "log").as_deref(), Some("kept lost"));
    cut(&mut disk);
    assert_eq!(read(&disk, "log").as_deref(), Some("kept"));
}

#[test]
fn what_was_overwritten_without_a_sync_comes_back() {
    let mut disk = Disk::new(Metadata::Journaled);
    let file = disk.create(ROOT, "page", 0o600).unwrap();
    disk.write(file, 0, b"old").unwrap();
    disk.sync_file(file).unwrap();
    disk.write(file, 0, b"new").unwrap();
    disk.truncate(file, 1).unwrap();
    cut(&mut disk);
    assert_eq!(read(&disk, "page").as_deref(), Some("old"));
}

#[test]
fn a_journal_commits_names_with_any_sync_and_posix_only_with_the_folder() {
    for (metadata, expected) in [(Metadata::Journaled, Some("x")), (Metadata::Strict, None)] {
        let mut disk = Disk::new(metadata);
        let file = disk.create(ROOT, "new", 0o600).unwrap();
        disk.write(file, 0, b"x").unwrap();
        disk.sync_file(file).unwrap();
        cut(&mut disk);
        assert_eq!(read(&disk, "new").as_deref(), expected, "{metadata:?}");
    }
}

#[test]
fn an_unsynced_rename_is_undone_with_the_file_that_it_replaced() {
    let mut disk = Disk::new(Metadata::Journaled);
    for (name, text) in [("current", "1"), ("next", "2")] {
        let file = disk.create(ROOT, name, 0o600).unwrap();
        disk.write(file, 0, text.as_bytes()).unwrap();
        disk.sync_file(file).unwrap();
    }
    disk.rename((ROOT, "next"), (ROOT, "current")).unwrap();
    assert_eq!(read(&disk, "current").as_deref(), Some("2"));
    cut(&mut disk);
    assert_eq!(read(&disk, "current").as_deref(), Some("1"));
    assert_eq!(read(&disk, "next").as_deref(), Some("2"));
    disk.rename((ROOT, "next"), (ROOT, "current")).unwrap();
    disk.sync_folder(ROOT).unwrap();
    cut(&mut disk);
    assert_eq!((read(&disk, "current").as_deref(), read(&disk, "next")), (Some("2"), None));
}

#[test]
fn an_unlinked_file_lives_until_it_is_forgotten() {
    let mut disk = Disk::new(Metadata::Journaled);
    let file = disk.create(ROOT, "open", 0o600).unwrap();
    disk.remember(file);
    disk.unlink(ROOT, "open").unwrap();
    disk.write(file, 0, b"still here").unwrap();
    disk.forget(file, 1);
    assert_eq!(disk.write(file, 0, b"gone"), Err(Errno::ENOENT));
}

#[test]
fn a_full_disk_takes_no_new_page_but_overwrites_old_ones() {
    let mut disk = Disk::new(Metadata::Journaled);
    let file = disk.create(ROOT, "data", 0o600).unwrap();
    disk.write(file, 0, b"page").unwrap();
    disk.trouble.full = true;
    assert_eq!(disk.write(file, 0, b"over"), Ok(()));
    assert_eq!(disk.write(file, 4096, b"more"), Err(Errno::ENOSPC));
    assert_eq!(disk.create(ROOT, "other", 0o600), Err(Errno::ENOSPC));
}

#[test]
fn a_failing_sync_makes_nothing_durable() {
    let mut disk = Disk::new(Metadata::Journaled);
    let file = disk.create(ROOT, "data", 0o600).unwrap();
    disk.sync_file(file).unwrap();
    disk.write(file, 0, b"lost").unwrap();
    disk.trouble.syncs_fail = true;
    assert_eq!(disk.sync_file(file), Err(Errno::EIO));
    cut(&mut disk);
    assert_eq!(read(&disk, "data").as_deref(), Some(""));
}
