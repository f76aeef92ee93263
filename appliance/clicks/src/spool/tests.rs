//! Spools that fill up, break and come back.

use std::io::{Seek as _, SeekFrom};

use super::*;
use crate::record::{Click, RECORD_BYTES_MAX};

fn settings(directory: &Path) -> Settings {
    Settings {
        directory: directory.into(),
        bytes_max: 1 << 20,
        segment_bytes: 4_096,
        segment_age: Duration::from_secs(3_600),
        when_full: WhenFull::DropOldest,
        sync_every: Duration::ZERO,
        keep_shipped: Duration::from_secs(3_600),
    }
}

/// A block of ten records with poorly compressible texts: about 2 KiB.
fn block(builder: &mut BlockBuilder, salt: u64) {
    for number in 0..10 {
        let noise: Vec<u8> = (0..12)
            .flat_map(|word| {
                xxhash_rust::xxh3::xxh3_64(&[salt, number, word].map(u64::to_le_bytes).concat()).to_le_bytes()
            })
            .collect();
        let click = Click { unix_ms: salt, user_agent: &noise, domain: b"go.example", ..Click::default() };
        let mut buffer = [0; RECORD_BYTES_MAX];
        assert!(builder.push(click.encode(&mut buffer), click.unix_ms, 1));
    }
}

/// Writes blocks until `blocks` are there.
fn fill(spool: &mut Spool, blocks: u64) {
    let mut builder = BlockBuilder::new().unwrap();
    for salt in 0..blocks {
        block(&mut builder, salt);
        assert_eq!(spool.append(&mut builder, salt, Instant::now()).unwrap(), 10);
    }
}

/// Everything that can be read: records of whole blocks, and records that are known to be damaged.
fn read_all(directory: &Path) -> (u64, u64) {
    let (mut whole, mut damaged) = (0, 0);
    for (_, path) in list(directory).unwrap() {
        let mut reader = SegmentReader::open(&path).unwrap();
        loop {
            match reader.next_piece().unwrap() {
                Piece::Block(header, records) => {
                    assert_eq!(crate::record::all(&records).count(), header.records as usize);
                    whole += u64::from(header.records);
                }
                Piece::Damaged(records) => damaged += records,
                Piece::End { .. } => break,
            }
        }
    }
    (whole, damaged)
}

#[test]
fn what_is_written_is_read_back_over_several_segments() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, found) = Spool::open(settings(directory.path()), "node", 1).unwrap();
    assert_eq!(found, Found::default());
    fill(&mut spool, 20);
    assert!(list(directory.path()).unwrap().len() > 3);
    assert_eq!(read_all(directory.path()), (200, 0));
    assert_eq!(spool.shared().lock().waiting, 200);
}

#[test]
fn a_torn_end_is_cut_off_and_counted_and_the_next_run_goes_on_behind_it() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::open(settings(directory.path()), "node", 1).unwrap();
    fill(&mut spool, 20);
    drop(spool);
    let (_, last) = list(directory.path()).unwrap().pop().unwrap();
    let length = fs::metadata(&last).unwrap().len();
    OpenOptions::new().write(true).open(&last).unwrap().set_len(length - 5).unwrap();
    let (mut spool, found) = Spool::open(settings(directory.path()), "node", 2).unwrap();
    assert_eq!((found.records, found.damaged_records), (190, 0));
    assert!(found.torn_bytes > 0);
    assert_eq!(found.sequence_ends, BTreeMap::from([(1, 190)]));
    fill(&mut spool, 1);
    assert_eq!(read_all(directory.path()), (200, 0));
}

#[test]
fn every_place_where_a_segment_may_be_cut_loses_whole_blocks_only() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) = Spool::open(settings(directory.path()), "node", 1).unwrap();
    fill(&mut spool, 2);
    drop(spool);
    let (_, path) = list(directory.path()).unwrap().pop().unwrap();
    let whole = fs::read(&path).unwrap();
    for length in (100..whole.len()).step_by(7) {
        fs::write(&path, &whole[..length]).unwrap();
        let (_, found) = Spool::open(settings(directory.path()), "node", 2).unwrap();
        assert!([0, 10].contains(&found.records), "{length}: {found:?}");
        assert_eq!(read_all(directory.path()), (found.records, 0), "{length}");
    }
}

#[test]
fn a_flipped_byte_anywhere_costs_its_block_and_no_more_and_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) =
        Spool::open(Settings { segment_bytes: 1 << 20, ..settings(directory.path()) }, "node", 1).unwrap();
    fill(&mut spool, 4);
    drop(spool);
    let (_, path) = list(directory.path()).unwrap().pop().unwrap();
    let whole = fs::read(&path).unwrap();
    // Not the header of the file, nor the first block, whose loss of a header nothing tells; nor the last one.
    let blocks: Vec<usize> = memchr::memmem::find_iter(&whole, segment::BLOCK_MAGIC).collect();
    for place in (blocks[1]..blocks[3]).step_by(11) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x40;
        fs::write(&path, &damaged).unwrap();
        assert_eq!(read_all(directory.path()), (30, 10), "byte {place}");
    }
}

#[test]
fn a_full_spool_drops_the_oldest_and_counts_what_nobody_took() {
    let directory = tempfile::tempdir().unwrap();
    let bound = Settings { bytes_max: 20_000, ..settings(directory.path()) };
    let (mut spool, _) = Spool::open(bound, "node", 1).unwrap();
    fill(&mut spool, 40);
    assert!(spool.bytes() <= 20_000);
    let state = *spool.shared().lock();
    let (readable, _) = read_all(directory.path());
    assert!(state.cursor.totals.dropped > 0);
    assert_eq!(state.cursor.totals.dropped + readable, 400);
    assert_eq!(state.waiting, readable);
    assert_eq!(Cursor::read(directory.path()).unwrap(), state.cursor);
}

#[test]
fn a_full_spool_refuses_the_newest_if_so_asked() {
    let directory = tempfile::tempdir().unwrap();
    let bound = Settings { bytes_max: 20_000, when_full: WhenFull::DropNewest, ..settings(directory.path()) };
    let (mut spool, _) = Spool::open(bound, "node", 1).unwrap();
    let mut builder = BlockBuilder::new().unwrap();
    let mut refused = 0;
    for salt in 0..40 {
        block(&mut builder, salt);
        match spool.append(&mut builder, salt, Instant::now()) {
            Ok(records) => assert_eq!((records, refused), (10, 0)),
            Err(AppendError::Full) => refused += 10,
            Err(AppendError::Disk(error)) => panic!("{error}"),
        }
    }
    assert!(refused > 0);
    assert_eq!(read_all(directory.path()), (400 - refused, 0));
    assert_eq!(spool.shared().lock().cursor.totals.dropped, 0);
}

#[test]
fn shipped_segments_go_first_and_their_going_is_no_loss() {
    let directory = tempfile::tempdir().unwrap();
    let bound = Settings { bytes_max: 20_000, keep_shipped: Duration::ZERO, ..settings(directory.path()) };
    let (mut spool, _) = Spool::open(bound, "node", 1).unwrap();
    fill(&mut spool, 6);
    let last = list(directory.path()).unwrap().last().unwrap().0;
    let shared = spool.shared();
    {
        let mut state = shared.lock();
        let records = state.waiting;
        state.cursor.advance(Position { segment: last, offset: 0, records: 0 }, Fate::Shipped(records));
    }
    spool.maintain(1_000_000, Instant::now()).unwrap();
    assert_eq!(list(directory.path()).unwrap().len(), 1);
    assert_eq!(shared.lock().cursor.totals.dropped, 0);
}

#[test]
fn a_file_that_is_no_segment_is_put_aside() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(name(3)), b"no segment at all").unwrap();
    let (_, found) = Spool::open(settings(directory.path()), "node", 1).unwrap();
    assert_eq!((found.damaged_segments, found.segments), (1, 0));
    assert!(directory.path().join("0000000000000003.damaged").exists());
}

#[test]
fn a_reader_that_skips_sees_what_the_first_one_left() {
    let directory = tempfile::tempdir().unwrap();
    let (mut spool, _) =
        Spool::open(Settings { segment_bytes: 1 << 20, ..settings(directory.path()) }, "node", 1).unwrap();
    fill(&mut spool, 4);
    let (_, path) = list(directory.path()).unwrap().pop().unwrap();
    let mut first = SegmentReader::open(&path).unwrap();
    first.next_piece().unwrap();
    let offset = first.offset();
    // The header of the second block is lost: whoever goes on there knows how much is missing.
    let mut file = OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(offset + 9)).unwrap();
    file.write_all(&[0xff; 4]).unwrap();
    let mut second = SegmentReader::open(&path).unwrap();
    second.skip_to(offset).unwrap();
    assert_eq!(second.next_piece().unwrap(), Piece::Damaged(10));
    assert!(matches!(second.next_piece().unwrap(), Piece::Block(header, _) if header.first_sequence == 20));
}
