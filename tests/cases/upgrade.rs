//! The program is replaced while clients ask without a pause: not one of them notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use lab::load::{Load, Plan, Steady, Tally};
use lab::process::Process;
use lab::{Authority, Node, SOON, Site, Trust, eventually};
use rustix::process::Signal;

use crate::fixture::{self, GO};
use crate::tls;

/// Upgrades in a row: an upgraded node is upgraded like any other.
const UPGRADES: usize = 20;

/// A site whose program can be replaced.
pub(crate) fn site() -> Site {
    Process::inherit_orphans();
    fixture::site().with_program()
}

/// Upgrades `node`, and checks that it ends in order when its successor serves.
#[track_caller]
pub(crate) fn upgraded(site: &Site, mut node: Node) -> Node {
    let upgrade = site.upgrade();
    assert_eq!(upgrade.code, Some(0), "{}{}\n{}", upgrade.output, upgrade.errors, node.log());
    let successor = node.successor(&site.ready_file());
    assert_eq!(upgrade.output, format!("process {} serves now\n", successor.id()));
    assert_eq!(node.end(SOON).code(), Some(0), "{}", node.log());
    successor
}

pub(crate) fn oracle() -> Arc<Steady> {
    Arc::new(Steady { host: GO.into(), links: vec![("/plain".into(), "https://plain.test/".into())] })
}

/// Clients over HTTPS: each makes a full handshake, asks three times, and comes again.
struct SecureLoad {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Tally>>,
}

impl SecureLoad {
    fn start(authority: &Authority, node: &Node, clients: usize) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let address = node.secure_address();
        let clients = (0..clients).map(|_| {
            let (stop, answered, authority_trust) =
                (Arc::clone(&stop), Arc::clone(&answered), Trust::new(authority));
            thread::spawn(move || {
                let mut tally = Tally::default();
                while !stop.load(Ordering::Relaxed) && tally.lost + tally.refused < 10 {
                    let mut peer = match authority_trust.try_connect(address, GO) {
                        Ok(peer) => peer,
                        Err(error) => {
                            tally.refused += 1;
                            tally.complaints.push(format!("no handshake: {error}"));
                            continue;
                        }
                    };
                    tally.connections += 1;
                    for _ in 0..3 {
                        match peer.try_get(GO, "/plain") {
                            Ok(reply) => {
                                tally.answered += 1;
                                answered.fetch_add(1, Ordering::Relaxed);
                                tally.wrong += u64::from(reply.location() != "https://plain.test/");
                                if reply.closes() {
                                    tally.closed_in_order += 1;
                                    break;
                                }
                            }
                            Err(error) => {
                                tally.lost += 1;
                                tally.complaints.push(error);
                                break;
                            }
                        }
                    }
                }
                tally
            })
        });
        Self { clients: clients.collect(), stop, answered }
    }

    #[track_caller]
    fn until_more(&self, requests: u64) {
        let target = self.answered.load(Ordering::Relaxed) + requests;
        eventually(SOON, "the load over HTTPS goes on", || {
            self.answered.load(Ordering::Relaxed) >= target
                || self.clients.iter().all(JoinHandle::is_finished)
        });
    }

    fn stop(self) -> Vec<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().map(|client| client.join().expect("a client does not panic")).collect()
    }
}

#[test]
fn twenty_upgrades_under_load_fail_no_request() {
    let authority = Authority::new();
    Process::inherit_orphans();
    let site = tls::site(&authority).with_program();
    let mut node = site.start();
    let kept = Load::start(&Plan::steady(node.addresses()), &oracle());
    let plan = Plan { requests_per_connection: 1, ..Plan::steady(node.addresses()) };
    let coming = Load::start(&plan, &oracle());
    let secure = SecureLoad::start(&authority, &node, 2);
    for _ in 0..UPGRADES {
        kept.until_more(50);
        coming.until_more(50);
        secure.until_more(10);
        node = upgraded(&site, node);
    }
    kept.until_more(50);
    coming.until_more(50);
    secure.until_more(10);
    let (kept, coming) = (kept.stop(), coming.stop());
    kept.assert_flawless();
    coming.assert_flawless();
    assert!(kept.closed_in_order >= UPGRADES as u64, "those who stay were told to come again: {kept:#?}");
    for tally in secure.stop() {
        tally.assert_flawless();
    }
    let bound_by = |who| node.metric("carom_listening_sockets", &[("bound_by", who)]);
    assert_eq!(bound_by("own"), 0.0, "the first node's sockets are still those that listen");
    assert!(bound_by("inherited") >= 3.0);
    node.stop();
}

#[test]
fn a_signal_upgrades_like_the_command() {
    let site = site();
    let mut node = site.start();
    let load = Load::start(&Plan::steady(node.addresses()), &oracle());
    load.until_more(50);
    node.signal(Signal::USR2);
    let successor = node.successor(&site.ready_file());
    assert_eq!(node.end(SOON).code(), Some(0));
    load.until_more(50);
    load.stop().assert_flawless();
    let descriptors = successor.descriptors();
    let third = upgraded(&site, successor);
    assert!(
        third.descriptors() <= descriptors,
        "descriptors do not pile up: {} after {descriptors}",
        third.descriptors()
    );
    assert!(site.ready_file().exists(), "the ready file is the successor's");
    third.stop();
    assert!(!site.ready_file().exists());
    assert!(!site.state().join("handover.sock").exists());
}

#[test]
fn the_number_of_shards_changes_without_a_lost_connection() {
    let mut site = site().set("listen", "shards", 3);
    let mut node = site.start();
    let addresses = node.addresses().to_vec();
    let plan = Plan { clients: 6, requests_per_connection: 1, ..Plan::steady(&addresses) };
    let load = Load::start(&plan, &oracle());
    for shards in [1, 4, 2] {
        load.until_more(200);
        site = site.set("listen", "shards", shards);
        node = upgraded(&site, node);
        assert_eq!(node.vitals().shards.len(), shards);
        assert_eq!(node.addresses(), addresses);
    }
    load.until_more(200);
    load.stop().assert_flawless();
}

#[test]
fn clicks_of_both_processes_are_in_one_spool_and_its_books_are_right() {
    let site = site();
    let spool = format!("{:?}", site.path().join("clicks"));
    let site = site.set("clicks", "record", true).set("clicks", "directory", spool);
    let mut node = site.start();
    let load = Load::start(&Plan { clients: 2, ..Plan::steady(node.addresses()) }, &oracle());
    for _ in 0..3 {
        load.until_more(100);
        node = upgraded(&site, node);
    }
    load.until_more(100);
    let tally = load.stop();
    tally.assert_flawless();
    node.stop();
    let arguments = ["clicks", "audit", "--recount", "--json", "--config"].map(str::to_owned);
    let configuration = site.write_configuration().display().to_string();
    let audit = lab::process::run(&lab::binaries::carom(), arguments.into_iter().chain([configuration]));
    let report: serde_json::Value =
        serde_json::from_str(&audit.output).unwrap_or_else(|error| panic!("{error}: {audit:?}"));
    assert_eq!(report["right"].as_bool(), Some(true), "{}", audit.output);
    assert_eq!(
        report["to"]["written"].as_u64(),
        Some(tally.answered),
        "every click of every process: {}",
        audit.output
    );
}
