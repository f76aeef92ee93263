//! A file that is no good never reaches a shard: the old generation serves on, and the reason is counted and told.

use std::ffi::CStr;
use std::fs;
use std::path::Path;

use lab::links::{plain_domain, plain_link, write};
use lab::{Node, Site};
use rustix::fs::{CWD, Mode};

use crate::fixture::GO;

const SWAPS: &str = "carom_snapshot_swaps_total";

/// The bytes of a good snapshot in which `/a` leads to a place that names the generation.
fn snapshot(generation: u64) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshot");
    let destination = format!("https://g{generation}.test/");
    let rows: Vec<String> = (0..500).map(|index| format!("r{index}")).collect();
    let rest = rows.iter().map(|code| plain_link(code.as_bytes(), b"https://rest.test/"));
    write(&path, generation, &plain_domain(GO), rest.chain([plain_link(b"a", destination.as_bytes())]));
    fs::read(path).unwrap()
}

struct Case {
    site: Site,
    node: Node,
}

impl Case {
    fn new() -> Self {
        let site = Site::new();
        site.publish_bytes(&snapshot(5));
        let node = site.start();
        Self { site, node }
    }

    /// Makes the node look, and checks that it refuses with `result` and serves generation 5 on.
    #[track_caller]
    fn check_refused(&self, what: &str, result: &str) {
        let failed = self.node.vitals().swaps.failed;
        let before = self.node.metric(SWAPS, &[("result", result)]);
        self.node.reload();
        self.node.until_metric(SWAPS, &[("result", result)], before + 1.0);
        let vitals = self.node.vitals();
        assert_eq!(vitals.swaps.failed, failed + 1, "{what}");
        let error = vitals.swaps.last_error.unwrap_or_else(|| panic!("{what}: no error in the vitals"));
        assert!(error.contains("links.snapshot"), "{what}: the error names no file: {error}");
        assert!(vitals.ready, "{what}: a bad file is no reason to refuse traffic");
        self.check_serves(5, what);
    }

    #[track_caller]
    fn check_serves(&self, generation: u64, what: &str) {
        assert_eq!(self.node.generation(), generation, "{what}");
        self.node.ask_everywhere(lab::peer::get(GO, "/a"), |reply| {
            assert_eq!(reply.location(), format!("https://g{generation}.test/"), "{what}");
        });
    }

    /// Checks that the next good file is taken as if nothing had been.
    #[track_caller]
    fn check_recovers(&self) {
        self.site.publish_bytes(&snapshot(6));
        self.node.reload();
        self.node.until_generation(6);
        self.check_serves(6, "a good file after the bad ones");
        assert_eq!(self.node.vitals().swaps.last_error, None, "an error that is over is not told any more");
    }

    fn remove(&self) {
        let path = self.site.snapshot();
        if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }.unwrap();
    }
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let case = Case::new();
    let good = snapshot(6);
    for length in [1, 127, 128, 4_095, 4_096, 5_000, good.len() / 2, good.len() - 1] {
        case.site.publish_bytes(&good[..length]);
        case.check_refused(&format!("{length} of {} bytes", good.len()), "invalid");
    }
    case.site.publish_bytes(&[&good[..], b"\0"].concat());
    case.check_refused("one byte too many", "invalid");
    case.check_recovers();
}

#[test]
fn an_empty_file_is_refused() {
    let case = Case::new();
    case.site.publish_bytes(b"");
    case.check_refused("an empty file", "invalid");
    case.check_recovers();
}

#[test]
fn a_file_with_one_wrong_bit_is_refused_wherever_it_is() {
    let case = Case::new();
    let good = snapshot(6);
    // Header, section table, and the first byte of every page that holds something.
    let pages = (0..good.len()).step_by(4_096);
    for place in [0, 9, 16, 40, 64, 121, 130, 150].into_iter().chain(pages.skip(1)) {
        let mut bad = good.clone();
        bad[place] ^= 0x10;
        case.site.publish_bytes(&bad);
        case.check_refused(&format!("a wrong bit in byte {place}"), "invalid");
    }
    case.check_recovers();
}

#[test]
fn a_file_of_another_version_or_kind_is_refused() {
    let case = Case::new();
    let mut newer = snapshot(6);
    newer[8] = 2;
    case.site.publish_bytes(&newer);
    case.check_refused("format version 2", "invalid");
    case.site.publish_bytes(b"go.example,a,https://a.test/\n");
    case.check_refused("a CSV file", "invalid");
    case.site.publish_bytes(&vec![0; 1 << 20]);
    case.check_refused("a megabyte of zeros", "invalid");
    case.check_recovers();
}

#[test]
fn an_older_generation_is_refused() {
    let case = Case::new();
    case.site.publish_bytes(&snapshot(4));
    case.check_refused("generation 4 after 5", "older");
    case.check_recovers();
}

#[test]
fn another_content_under_the_generation_that_is_served_is_refused() {
    let case = Case::new();
    let path = case.site.stage();
    write(&path, 5, &plain_domain(GO), [plain_link(b"a", b"https://other.test/")]);
    fs::rename(path, case.site.snapshot()).unwrap();
    case.check_refused("other links under generation 5", "older");
    case.check_recovers();
}

#[test]
fn a_name_that_vanishes_is_noticed_and_the_old_generation_serves_on() {
    let case = Case::new();
    case.remove();
    case.check_refused("no file", "missing");
    case.check_recovers();
}

#[test]
fn a_name_that_leads_to_no_file_is_refused_and_never_waited_for() {
    let case = Case::new();
    case.remove();
    fs::create_dir(case.site.snapshot()).unwrap();
    case.check_refused("a directory", "unreadable");
    case.remove();
    std::os::unix::fs::symlink(case.site.snapshot(), case.site.snapshot()).unwrap();
    case.check_refused("a link to itself", "unreadable");
    case.remove();
    // Nobody will ever write into it: an open that waits would wait for ever.
    make_fifo(&case.site.snapshot());
    case.check_refused("a pipe", "unreadable");
    case.remove();
    std::os::unix::fs::symlink("/dev/null", case.site.snapshot()).unwrap();
    case.check_refused("a device", "unreadable");
    case.check_recovers();
}

fn make_fifo(path: &Path) {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    let path: &CStr = &path;
    rustix::fs::mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).unwrap();
}

#[test]
fn a_state_directory_without_room_keeps_the_old_generation() {
    if !lab::here::is_root() {
        lab::here::not_run("a full state directory: needs root to mount a small file system");
        return;
    }
    let site = Site::new();
    let Some(mount) = lab::mount::small(&site.state(), 512) else {
        lab::here::not_run("a full state directory: this machine does not let the tests mount a tmpfs");
        return;
    };
    site.publish_bytes(&snapshot(5));
    let node = site.start();
    let case = Case { site, node };
    let path = case.site.stage();
    let rows: Vec<String> = (0..20_000).map(|index| format!("r{index}")).collect();
    let links = rows.iter().map(|code| plain_link(code.as_bytes(), b"https://rest.test/"));
    write(&path, 6, &plain_domain(GO), links);
    fs::rename(path, case.site.snapshot()).unwrap();
    case.check_refused("a snapshot larger than the disk", "no_room");
    case.check_recovers();
    // The mount goes before the directory that it lies in.
    drop(mount);
}
