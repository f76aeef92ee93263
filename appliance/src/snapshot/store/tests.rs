//! The store over files of every kind of badness, in directories of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use snapshot_format::{
    Cache, CacheVisibility, CaseMode, Domain, Link, QueryMode, Status, TrailingSlash, Writer, WriterOptions,
};

use super::*;

/// A published file, and a node's directory.
struct Site {
    directory: tempfile::TempDir,
    now: Instant,
}

impl Site {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), now: Instant::now() }
    }

    fn settings(&self) -> settings::Snapshot {
        settings::Snapshot { path: self.published(), poll_interval: None, lock_memory: false, keep: 2 }
    }

    fn published(&self) -> PathBuf {
        self.directory.path().join("links.snapshot")
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    fn copies(&self) -> Vec<u64> {
        let names = fs::read_dir(self.state().join("snapshots")).unwrap();
        let generation =
            |name: &str| name.split_once('-').and_then(|(generation, _)| generation.parse().ok());
        let mut generations: Vec<u64> =
            names.filter_map(|entry| generation(entry.unwrap().file_name().to_str().unwrap())).collect();
        generations.sort_unstable_by(|one, other| other.cmp(one));
        generations
    }

    /// Publishes by rename a snapshot whose only link leads to `destination`.
    fn publish(&self, generation: u64, destination: &str) {
        let path = self.directory.path().join("new");
        write(&path, generation, destination);
        fs::rename(path, self.published()).unwrap();
    }

    fn publish_bytes(&self, bytes: &[u8]) {
        let path = self.directory.path().join("new");
        fs::write(&path, bytes).unwrap();
        fs::rename(path, self.published()).unwrap();
    }

    fn open(&self) -> (Store, Served, Option<Refused>) {
        let opened = Store::open(self.settings(), &self.state()).unwrap_or_else(|error| panic!("{error}"));
        (opened.store, opened.served, opened.complaint)
    }

    /// A store that serves generation 5.
    fn at_five(&self) -> Store {
        self.publish(5, "https://five.test/");
        let (store, served, complaint) = self.open();
        assert_eq!((served.snapshot.generation(), complaint), (5, None));
        store
    }

    #[track_caller]
    fn check_refused(&self, store: &mut Store, expected: Swap, word: &str) {
        match store.look(self.now, true) {
            Attempt::Refused(Refused { reason, error }) => {
                assert_eq!(reason, expected, "{error}");
                assert!(error.contains(word) && error.contains("links.snapshot"), "{error}");
            }
            other => panic!("{} instead of {expected:?}", name(&other)),
        }
        // The same file is not looked at again, nor counted again.
        assert_eq!(name(&store.look(self.now, false)), "nothing");
    }

    #[track_caller]
    fn check_new(&self, store: &mut Store, generation: u64) {
        match store.look(self.now, false) {
            Attempt::New(served) => assert_eq!(served.snapshot.generation(), generation),
            other => panic!("{} instead of generation {generation}", name(&other)),
        }
    }
}

fn name(attempt: &Attempt) -> &'static str {
    match attempt {
        Attempt::Nothing => "nothing",
        Attempt::Unchanged => "unchanged",
        Attempt::New(_) => "new",
        Attempt::Refused(_) => "refused",
    }
}

fn write(path: &Path, generation: u64, destination: &str) {
    let options = WriterOptions {
        generation,
        built_at_unix_s: 1_790_000_000,
        hash_seed: 1,
        temp_dir: path.parent().unwrap().to_owned(),
    };
    let mut writer = Writer::create(path, options).unwrap();
    let domain = Domain {
        id: 0,
        name: b"go.example",
        wildcard: false,
        status: Status::Found,
        case: CaseMode::Sensitive,
        trailing_slash: TrailingSlash::Ignore,
        query: QueryMode::Drop,
        cache: Cache { visibility: CacheVisibility::Private, max_age_s: 90 },
        not_found: None,
        root: None,
        site: snapshot_format::Site::NONE,
        links: 0,
    };
    let domain = writer.add_domain(&domain).unwrap();
    let link = Link {
        domain,
        code: b"a",
        destination: destination.as_bytes(),
        status: None,
        query: None,
        disabled: false,
        deleted: false,
        not_before_unix_s: None,
        expires_unix_s: None,
        version: 1,
        policy: None,
    };
    writer.add_link(&link, 0).unwrap();
    writer.finish(None, |_, _| {}).unwrap();
}

#[test]
fn a_newer_generation_is_copied_and_the_older_copies_go() {
    let site = Site::new();
    let mut store = site.at_five();
    for generation in [6, 7, 20] {
        site.publish(generation, "https://new.test/");
        site.check_new(&mut store, generation);
    }
    assert_eq!(site.copies(), [20, 7]);
}

#[test]
fn what_is_mapped_is_the_copy_and_not_the_published_file() {
    let site = Site::new();
    site.publish(5, "https://five.test/");
    let (_, served, _) = site.open();
    fs::write(site.published(), b"overwritten in place").unwrap();
    let domain = served.snapshot.domain(b"go.example").unwrap();
    assert_eq!(served.snapshot.link(&domain, b"a").unwrap().destination, b"https://five.test/");
    assert!(served.path.starts_with(site.state()));
    assert_eq!(fs::metadata(served.path).unwrap().permissions().mode() & 0o222, 0);
}

#[test]
fn a_file_that_was_seen_is_not_read_again() {
    let site = Site::new();
    let mut store = site.at_five();
    assert_eq!(name(&store.look(site.now, false)), "nothing");
    assert_eq!(name(&store.look(site.now, true)), "nothing");
    // Another file with the same content.
    let bytes = fs::read(site.published()).unwrap();
    site.publish_bytes(&bytes);
    assert_eq!(name(&store.look(site.now, false)), "unchanged");
    assert_eq!(name(&store.look(site.now, false)), "nothing");
}

#[test]
fn truncated_files_are_refused() {
    let site = Site::new();
    let mut store = site.at_five();
    let path = site.directory.path().join("six");
    write(&path, 6, "https://six.test/");
    let good = fs::read(path).unwrap();
    for bytes in [0, 1, 4_095, 4_096, 4_097, good.len() - 1] {
        site.publish_bytes(&good[..bytes]);
        site.check_refused(&mut store, Swap::Invalid, "");
    }
    site.publish_bytes(&good);
    site.check_new(&mut store, 6);
}

#[test]
fn a_wrong_bit_anywhere_is_found() {
    let site = Site::new();
    let mut store = site.at_five();
    let path = site.directory.path().join("six");
    write(&path, 6, "https://six.test/");
    let good = fs::read(path).unwrap();
    for place in (0..128).step_by(8).chain((4_096..good.len()).step_by(4_096)) {
        let mut bad = good.clone();
        bad[place] ^= 4;
        site.publish_bytes(&bad);
        site.check_refused(&mut store, Swap::Invalid, "");
    }
    assert_eq!(site.copies(), [5]);
}

#[test]
fn older_generations_and_other_content_under_the_same_number_are_refused() {
    let site = Site::new();
    let mut store = site.at_five();
    site.publish(4, "https://four.test/");
    site.check_refused(&mut store, Swap::Older, "generation 4 is older than 5");
    site.publish(5, "https://other.test/");
    site.check_refused(&mut store, Swap::Older, "give it a new number");
    site.publish(6, "https://six.test/");
    site.check_new(&mut store, 6);
}

#[test]
fn a_name_that_vanishes_is_told_once_and_its_return_is_seen() {
    let site = Site::new();
    let mut store = site.at_five();
    fs::remove_file(site.published()).unwrap();
    site.check_refused(&mut store, Swap::Missing, "No such file");
    site.publish(6, "https://six.test/");
    site.check_new(&mut store, 6);
}

#[test]
fn what_is_no_file_is_refused() {
    let site = Site::new();
    let mut store = site.at_five();
    fs::remove_file(site.published()).unwrap();
    fs::create_dir(site.published()).unwrap();
    site.check_refused(&mut store, Swap::Unreadable, "not a regular file");
}

#[test]
fn a_fault_of_the_machine_is_tried_again_after_a_while() {
    let site = Site::new();
    let mut store = site.at_five();
    // The directory of the copies is gone: nothing can be copied.
    let copies = site.state().join("snapshots");
    fs::remove_dir_all(&copies).unwrap();
    site.publish(6, "https://six.test/");
    assert_eq!(name(&store.look(site.now, false)), "refused");
    fs::create_dir(&copies).unwrap();
    assert_eq!(name(&store.look(site.now, false)), "nothing");
    site.check_new_at(&mut store, site.now + SNAPSHOT_RETRY, 6);
}

impl Site {
    #[track_caller]
    fn check_new_at(&self, store: &mut Store, now: Instant, generation: u64) {
        match store.look(now, false) {
            Attempt::New(served) => assert_eq!(served.snapshot.generation(), generation),
            other => panic!("{} instead of generation {generation}", name(&other)),
        }
    }
}

#[test]
fn a_start_with_a_bad_file_serves_the_newest_good_copy_and_says_so() {
    let site = Site::new();
    drop(site.at_five());
    for (bytes, expected) in [(Some(&b"no snapshot"[..]), Swap::Invalid), (None, Swap::Missing)] {
        match bytes {
            Some(bytes) => site.publish_bytes(bytes),
            None => fs::remove_file(site.published()).unwrap(),
        }
        let (_, served, complaint) = site.open();
        assert_eq!(served.snapshot.generation(), 5);
        assert_eq!(complaint.map(|refused| refused.reason), Some(expected));
    }
}

#[test]
fn a_start_never_goes_back_to_an_older_published_file() {
    let site = Site::new();
    drop(site.at_five());
    site.publish(4, "https://four.test/");
    let (_, served, complaint) = site.open();
    assert_eq!(served.snapshot.generation(), 5);
    assert_eq!(complaint.map(|refused| refused.reason), Some(Swap::Older));
}

#[test]
fn a_damaged_copy_is_passed_over() {
    let site = Site::new();
    drop(site.at_five());
    let state = site.state().join("snapshots");
    fs::write(state.join("99-0123456789abcdef.snapshot"), b"cut off").unwrap();
    let (_, served, complaint) = site.open();
    assert_eq!((served.snapshot.generation(), complaint), (5, None));
    // The copy of the published file itself is damaged: it is made again.
    let mut bytes = fs::read(&served.path).unwrap();
    bytes[4_096] ^= 1;
    fs::set_permissions(&served.path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&served.path, bytes).unwrap();
    let (_, served, complaint) = site.open();
    assert_eq!((served.snapshot.generation(), complaint), (5, None));
}

#[test]
fn a_start_with_nothing_to_serve_names_the_file_and_the_fix() {
    let site = Site::new();
    let error = Store::open(site.settings(), &site.state()).err().unwrap().to_string();
    assert!(error.contains("links.snapshot") && error.contains("snapshot-tool build"), "{error}");
}

#[test]
fn a_state_directory_that_cannot_be_made_is_named() {
    let site = Site::new();
    site.publish(5, "https://five.test/");
    fs::write(site.state(), b"a file").unwrap();
    let error = Store::open(site.settings(), &site.state()).err().unwrap().to_string();
    assert!(error.contains("node.state_dir"), "{error}");
}

#[test]
fn available_memory_is_read_from_meminfo() {
    let meminfo = "MemTotal:       16384 kB\nMemFree:   1 kB\nMemAvailable:       2048 kB\nBuffers: 0 kB\n";
    assert_eq!(available_bytes(meminfo), Some(2_097_152));
    assert_eq!(available_bytes("MemTotal: 1 kB\n"), None);
}
