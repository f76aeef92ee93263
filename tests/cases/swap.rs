//! Another snapshot takes over while clients ask: no answer is wrong, none is lost, none goes back in time.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use lab::links::{plain_domain, plain_link, write};
use lab::load::{Load, Oracle, Plan};
use lab::{Node, Reply, Site};
use rustix::process::Signal;

use crate::fixture::GO;

const LINKS: u64 = 2_000;

/// Writes generation `generation`: every link leads to a place that names it, and every seventh link exists in even
/// generations only.
fn generation(site: &Site, generation: u64) -> std::path::PathBuf {
    let path = site.stage();
    let rows: Vec<(String, String)> = (0..LINKS)
        .filter(|&code| exists(code, generation))
        .map(|code| (format!("c{code}"), format!("https://g{generation}.test/c{code}")))
        .collect();
    let links = rows.iter().map(|(code, destination)| plain_link(code.as_bytes(), destination.as_bytes()));
    write(&path, generation, &plain_domain(GO), links);
    path
}

fn exists(code: u64, generation: u64) -> bool {
    !code.is_multiple_of(7) || generation.is_multiple_of(2)
}

/// Knows which generations were current during a request.
struct Generations {
    /// The newest that the node has said to serve: what is older may not be answered any more.
    confirmed: AtomicU64,
    /// The newest that the node can know.
    offered: AtomicU64,
    /// The newest that each client has seen: on its one connection, time runs forward.
    seen: Mutex<HashMap<ThreadId, u64>>,
}

impl Generations {
    fn starting_with(generation: u64) -> Arc<Self> {
        let new = AtomicU64::new;
        Arc::new(Self { confirmed: new(generation), offered: new(generation), seen: Mutex::default() })
    }

    /// Publishes one more generation by rename.
    fn publish(&self, site: &Site) -> u64 {
        let next = self.offered.load(Ordering::SeqCst) + 1;
        let path = generation(site, next);
        self.offered.store(next, Ordering::SeqCst);
        fs::rename(path, site.snapshot()).unwrap();
        next
    }
}

impl Oracle for Generations {
    fn ask(&self, number: u64) -> Vec<u8> {
        lab::peer::get(GO, &format!("/c{}", number % LINKS)).into_bytes()
    }

    fn before(&self) -> u64 {
        self.confirmed.load(Ordering::SeqCst)
    }

    fn judge(&self, number: u64, before: u64, reply: &Reply) -> Result<(), String> {
        let code = number % LINKS;
        let current = before..=self.offered.load(Ordering::SeqCst);
        let location = reply.location();
        let wrong = || Err(format!("c{code} in {current:?}: {} {location}", reply.status));
        if reply.status == 404 {
            return if current.clone().any(|generation| !exists(code, generation)) {
                Ok(())
            } else {
                wrong()
            };
        }
        let answered = location.strip_prefix("https://g").and_then(|rest| {
            rest.strip_suffix(&format!(".test/c{code}")).and_then(|generation| generation.parse::<u64>().ok())
        });
        let Some(answered) = answered.filter(|answered| reply.status == 302 && current.contains(answered))
        else {
            return wrong();
        };
        let mut seen = self.seen.lock().unwrap();
        let newest = seen.entry(std::thread::current().id()).or_insert(answered);
        if answered < *newest || !exists(code, answered) {
            return Err(format!("c{code}: generation {answered} after {newest}"));
        }
        *newest = answered;
        Ok(())
    }
}

/// Runs `swaps` swaps under load; `notice` makes the node look.
#[track_caller]
fn check(site: &Site, swaps: u64, notice: impl Fn(&Node)) {
    fs::rename(generation(site, 1), site.snapshot()).unwrap();
    let node = site.start();
    let generations = Generations::starting_with(1);
    let load = Load::start(&Plan::steady(node.addresses()), &generations);
    let newcomers = Plan { clients: 2, requests_per_connection: 3, ..Plan::steady(node.addresses()) };
    let newcomers = Load::start(&newcomers, &generations);
    load.until_more(500);
    for _ in 0..swaps {
        let published = generations.publish(site);
        notice(&node);
        node.until_generation(published);
        generations.confirmed.store(published, Ordering::SeqCst);
        load.until_more(500);
    }
    newcomers.stop().assert_flawless();
    let tally = load.stop();
    tally.assert_flawless();
    assert_eq!(tally.connections, 4, "no connection was lost to a swap: {tally:?}");
    let swapped = node.metric("carom_snapshot_swaps_total", &[("result", "swapped")]);
    assert_eq!(swapped, swaps as f64 + 1.0);
    assert_eq!(node.metric("carom_snapshot_generation", &[]), swaps as f64 + 1.0);
    assert_eq!(node.vitals().swaps.failed, 0);
    check_old_copies_are_gone(&node, site);
}

/// Old maps are unmapped and old copies removed: `snapshot.keep` stay.
#[track_caller]
fn check_old_copies_are_gone(node: &Node, site: &Site) {
    lab::eventually(lab::SOON, "old generations are let go", || {
        let maps = fs::read_to_string(format!("/proc/{}/maps", node.id())).unwrap();
        let mapped = maps.lines().filter(|line| line.contains(".snapshot")).count();
        let kept = copies(site).len();
        if mapped == 1 && kept <= 2 { Ok(()) } else { Err(format!("{mapped} maps, {kept} copies")) }
    });
}

/// Private copies in the state directory.
pub(crate) fn copies(site: &Site) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![site.state()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "snapshot") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn forty_swaps_by_signal_under_load_give_no_wrong_answer_and_lose_none() {
    check(&Site::new(), 40, Node::reload);
}

#[test]
fn twenty_swaps_noticed_by_polling_under_load_give_no_wrong_answer_and_lose_none() {
    check(&Site::new().set("snapshot", "poll_interval_ms", 10), 20, |_| {});
}

#[test]
fn publishing_faster_than_a_node_can_follow_ends_with_the_newest() {
    let site = Site::new().set("snapshot", "poll_interval_ms", 5);
    fs::rename(generation(&site, 1), site.snapshot()).unwrap();
    let node = site.start();
    let generations = Generations::starting_with(1);
    let load = Load::start(&Plan::steady(node.addresses()), &generations);
    load.until_more(100);
    for _ in 0..60 {
        generations.publish(&site);
        node.reload();
    }
    node.until_generation(61);
    generations.confirmed.store(61, Ordering::SeqCst);
    load.until_more(1_000);
    load.stop().assert_flawless();
    assert_eq!(node.vitals().swaps.failed, 0, "{:?}", node.vitals().swaps);
}

#[test]
fn the_same_snapshot_published_again_is_noticed_and_changes_nothing() {
    let site = Site::new();
    let first = generation(&site, 1);
    site.publish(&first);
    let node = site.start();
    site.publish(&first);
    node.reload();
    node.until_metric("carom_snapshot_swaps_total", &[("result", "unchanged")], 1.0);
    assert_eq!(node.metric("carom_snapshot_swaps_total", &[("result", "swapped")]), 1.0);
    assert_eq!(node.generation(), 1);
}

#[test]
fn a_file_that_only_its_change_time_tells_apart_is_noticed() {
    let site = Site::new();
    fs::rename(generation(&site, 1), site.snapshot()).unwrap();
    let node = site.start();
    let before = fs::metadata(site.snapshot()).unwrap();
    // Generations 1 and 3 have the same links, and so the same size.
    let newer = fs::read(generation(&site, 3)).unwrap();
    let mut file = fs::File::options().write(true).open(site.snapshot()).unwrap();
    file.write_all(&newer).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    drop(file);
    assert_eq!(fs::metadata(site.snapshot()).unwrap().len(), before.len());
    node.reload();
    node.until_generation(3);
}

#[test]
fn a_file_that_is_copied_in_place_is_served_when_the_copy_is_whole() {
    let site = Site::new().set("snapshot", "poll_interval_ms", 5);
    fs::rename(generation(&site, 1), site.snapshot()).unwrap();
    let node = site.start();
    let generations = Generations::starting_with(1);
    let load = Load::start(&Plan::steady(node.addresses()), &generations);
    let newer = fs::read(generation(&site, 2)).unwrap();
    generations.offered.store(2, Ordering::SeqCst);
    let mut file = fs::File::create(site.snapshot()).unwrap();
    let half = newer.len() / 2;
    file.write_all(&newer[..half]).unwrap();
    node.until_metric("carom_snapshot_swaps_total", &[("result", "invalid")], 1.0);
    load.until_more(500);
    file.write_all(&newer[half..]).unwrap();
    drop(file);
    node.until_generation(2);
    generations.confirmed.store(2, Ordering::SeqCst);
    load.until_more(500);
    load.stop().assert_flawless();
}

#[test]
fn a_node_that_is_killed_in_the_middle_of_swaps_starts_again_with_a_whole_generation() {
    let site = Site::new().set("snapshot", "poll_interval_ms", 1);
    let generations = Generations::starting_with(1);
    fs::rename(generation(&site, 1), site.snapshot()).unwrap();
    let mut newest_served = 1;
    for round in 0..10_u32 {
        let mut node = site.start();
        let served = node.generation();
        let offered = generations.offered.load(Ordering::SeqCst);
        assert!((newest_served..=offered).contains(&served), "{served} in round {round}");
        // The node is killed while it copies one of these, each time another one.
        for _ in 0..=round {
            generations.publish(&site);
        }
        newest_served = node.generation();
        node.signal(Signal::KILL);
        node.end(lab::SOON);
        if round % 3 == 2 {
            // Only the copies are left to start from.
            fs::remove_file(site.snapshot()).unwrap();
        }
    }
    let node = site.start();
    generations.confirmed.store(newest_served, Ordering::SeqCst);
    let plan = Plan { clients: 2, requests_max: LINKS, ..Plan::steady(node.addresses()) };
    Load::start(&plan, &generations).finish().assert_flawless();
    check_old_copies_are_gone(&node, &site);
}

#[test]
fn a_storm_of_signals_is_survived_and_the_newest_file_served() {
    let site = Site::new();
    let generations = Generations::starting_with(1);
    fs::rename(generation(&site, 1), site.snapshot()).unwrap();
    let node = site.start();
    let load = Load::start(&Plan::steady(node.addresses()), &generations);
    for _ in 0..10 {
        generations.publish(&site);
        (0..500).for_each(|_| node.reload());
    }
    node.until_generation(11);
    generations.confirmed.store(11, Ordering::SeqCst);
    load.until_more(500);
    load.stop().assert_flawless();
}
