//! What happens to the published file after the swap, or to everything but the node's own copy, harms nobody.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use lab::links::{plain_domain, plain_link, write};
use lab::load::{Load, Plan, Steady};
use lab::{Node, Site};
use rustix::process::Signal;

use crate::fixture::GO;
use crate::swap::copies;

const LINKS: usize = 5_000;

fn publish(site: &Site, generation: u64) {
    let path = site.stage();
    let rows: Vec<(String, String)> =
        (0..LINKS).map(|code| (format!("c{code}"), destination(generation, code))).collect();
    let links = rows.iter().map(|(code, to)| plain_link(code.as_bytes(), to.as_bytes()));
    write(&path, generation, &plain_domain(GO), links);
    fs::rename(path, site.snapshot()).unwrap();
}

fn destination(generation: u64, code: usize) -> String {
    format!("https://g{generation}.test/c{code}")
}

fn oracle(generation: u64) -> Arc<Steady> {
    let links = (0..LINKS).map(|code| (format!("/c{code}"), destination(generation, code))).collect();
    Arc::new(Steady { host: GO.into(), links })
}

/// Asks for every link once.
#[track_caller]
fn check_serves(node: &Node, generation: u64) {
    assert_eq!(node.generation(), generation);
    let plan = Plan { clients: 2, requests_max: LINKS as u64, ..Plan::steady(node.addresses()) };
    Load::start(&plan, &oracle(generation)).finish().assert_flawless();
}

#[test]
fn the_published_file_may_be_overwritten_and_truncated_while_it_is_served() {
    let site = Site::new();
    publish(&site, 1);
    let node = site.start();
    let load = Load::start(&Plan::steady(node.addresses()), &oracle(1));
    load.until_more(200);
    let length = fs::metadata(site.snapshot()).unwrap().len();
    let mut file = OpenOptions::new().write(true).open(site.snapshot()).unwrap();
    file.write_all(&vec![0xff; length as usize]).unwrap();
    load.until_more(2_000);
    file.set_len(0).unwrap();
    load.until_more(2_000);
    node.reload();
    node.until_metric("carom_snapshot_swaps_total", &[("result", "invalid")], 1.0);
    load.until_more(2_000);
    load.stop().assert_flawless();
    check_serves(&node, 1);
}

#[test]
fn the_copy_can_be_written_by_nobody() {
    let site = Site::new();
    publish(&site, 1);
    let _node = site.start();
    let copies = copies(&site);
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert_eq!(fs::metadata(&copies[0]).unwrap().permissions().mode() & 0o222, 0);
}

#[test]
fn a_restart_without_the_published_file_serves_the_copy() {
    let site = Site::new();
    publish(&site, 3);
    site.start().stop();
    fs::remove_file(site.snapshot()).unwrap();
    let mut node = site.start();
    check_serves(&node, 3);
    // A crash instead of a drain.
    node.signal(Signal::KILL);
    node.end(lab::SOON);
    let node = site.start();
    check_serves(&node, 3);
    publish(&site, 4);
    node.reload();
    node.until_generation(4);
    check_serves(&node, 4);
}

#[test]
fn a_restart_never_goes_back_to_an_older_published_file() {
    let site = Site::new();
    publish(&site, 3);
    site.start().stop();
    publish(&site, 2);
    check_serves(&site.start(), 3);
}

#[test]
fn a_restart_with_a_bad_published_file_serves_the_copy() {
    let site = Site::new();
    publish(&site, 3);
    site.start().stop();
    site.publish_bytes(b"no snapshot");
    check_serves(&site.start(), 3);
}

#[test]
fn a_copy_that_was_damaged_is_made_again_from_the_published_file() {
    let site = Site::new();
    publish(&site, 3);
    site.start().stop();
    for copy in copies(&site) {
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).unwrap();
        let mut bytes = fs::read(&copy).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&copy, bytes).unwrap();
    }
    check_serves(&site.start(), 3);
}

#[test]
fn a_copy_that_a_crash_cut_off_is_cleaned_away() {
    let site = Site::new();
    publish(&site, 1);
    site.start().stop();
    let copy = copies(&site).remove(0);
    let half = fs::read(&copy).unwrap();
    for name in ["99-0123456789abcdef.snapshot", ".tmp-99", "99-0123456789abcdef.snapshot.tmp"] {
        fs::write(copy.with_file_name(name), &half[..half.len() / 2]).unwrap();
    }
    publish(&site, 2);
    let node = site.start();
    check_serves(&node, 2);
}

#[test]
fn a_node_with_nothing_to_serve_says_so_and_ends() {
    let site = Site::new();
    let finished = site.serve_in_vain();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let said = finished.errors;
    let path = site.snapshot();
    assert!(said.contains(path.to_str().unwrap()), "the message names the file: {said}");
    assert!(said.contains("snapshot-tool build"), "the message says what to do: {said}");

    site.publish_bytes(b"no snapshot");
    let finished = site.serve_in_vain();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.errors.contains("links.snapshot"), "{finished:?}");
    assert!(!site.ready_file().exists());
}
