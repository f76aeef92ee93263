//! More connections than there is room for: those that are held are served, the others are told or wait, nothing breaks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use lab::load::{Load, Plan, Steady};
use lab::peer::Trouble;
use lab::{Node, Peer, SOON, eventually, here};

use crate::fixture::{self, GO};

fn source(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

/// Opens a connection that the node counts among its own.
#[track_caller]
fn held(address: SocketAddr, from: IpAddr) -> Peer {
    let mut peer = Peer::connect_from(from, address).unwrap();
    assert_eq!(peer.get(GO, "/plain").status, 302);
    peer
}

/// Opens a connection that must be shed.
#[track_caller]
fn shed(peer: std::io::Result<Peer>) {
    let mut peer = peer.unwrap();
    let reply = peer.reply();
    assert_eq!((reply.status, reply.closes(), &*reply.text("retry-after")), (503, true, "1"));
    peer.closed();
}

fn shed_so_far(node: &Node, reason: &str) -> f64 {
    node.metric("carom_connections_shed_total", &[("reason", reason)])
}

#[test]
fn thousands_of_idle_connections_do_not_disturb_those_that_ask() {
    const IDLE: usize = 4_500;
    here::need_descriptors(IDLE as u64 + 1_000);
    let site = fixture::site().set("limits", "connections_per_source_max", 1_048_576).set(
        "http",
        "idle_timeout_ms",
        120_000,
    );
    let node = site.start();
    let addresses = node.addresses().to_vec();
    let mut idle: Vec<Peer> =
        (0..IDLE).map(|index| Peer::connect(addresses[index % addresses.len()])).collect();
    // Every third has asked once; the others have never said a word.
    for peer in idle.iter_mut().step_by(3) {
        assert_eq!(peer.get(GO, "/plain").status, 302);
    }
    eventually(SOON, "the node holds all of them", || match node.connections() {
        open if open >= IDLE as u64 => Ok(()),
        open => Err(open),
    });
    let links =
        vec![("/plain".into(), "https://plain.test/".into()), ("/s308".into(), "https://308.test/".into())];
    let oracle = Arc::new(Steady { host: GO.into(), links });
    let plan = Plan { requests_max: 2_000, ..Plan::steady(&addresses) };
    let tally = Load::start(&plan, &oracle).finish();
    tally.assert_flawless();
    assert_eq!(tally.answered, 8_000);
    // The silent ones wait for their header timeout; those that asked are still there.
    for peer in idle.iter_mut().step_by(3) {
        assert_eq!(peer.get(GO, "/s301").status, 301);
    }
    assert_eq!(node.metric("carom_connections_shed_total", &[]), 0.0);
    drop(idle);
    node.until_connections(0);
}

#[test]
fn a_source_that_holds_too_many_connections_is_shed_and_others_are_not() {
    const MAX: usize = 5;
    let site = fixture::site().set("limits", "connections_per_source_max", MAX).set("listen", "shards", 1);
    let node = site.start();
    let address = node.address();
    let mut held_by_two: Vec<Peer> = (0..MAX).map(|_| held(address, source(2))).collect();
    shed(Peer::connect_from(source(2), address));
    shed(Peer::connect_from(source(2), address));
    assert_eq!(shed_so_far(&node, "source_full"), 2.0);
    let _held_by_three: Vec<Peer> = (0..MAX).map(|_| held(address, source(3))).collect();
    for peer in &mut held_by_two {
        assert_eq!(peer.get(GO, "/s301").status, 301, "what is held is served");
    }
    held_by_two.pop();
    node.until_connections(2 * MAX as u64 - 1);
    held_by_two.push(held(address, source(2)));
    shed(Peer::connect_from(source(2), address));

    // Every address of the loopback's /64 is one source.
    if let Some(&address) = node.addresses().iter().find(|address| address.is_ipv6()) {
        let _held: Vec<Peer> = (0..MAX).map(|_| held(address, address.ip())).collect();
        shed(Peer::try_connect(address));
    }
}

#[test]
fn a_shard_that_is_full_sheds_and_serves_those_it_holds() {
    const MAX: usize = 20;
    let site = fixture::site().set("limits", "connections_per_shard_max", MAX).set("listen", "shards", 1);
    let node = site.start();
    let address = node.address();
    let mut peers: Vec<Peer> = (0..MAX).map(|index| held(address, source(2 + index as u8))).collect();
    for _ in 0..3 {
        shed(Peer::try_connect(address));
    }
    assert_eq!(shed_so_far(&node, "shard_full"), 3.0);
    for peer in &mut peers {
        assert_eq!(peer.get(GO, "/s301").status, 301, "what is held is served");
    }
    peers.truncate(MAX / 2);
    node.until_connections(MAX as u64 / 2);
    assert_eq!(node.get(GO, "/plain").status, 302, "there is room again");
}

#[test]
fn a_node_with_few_descriptors_knows_its_bound_and_tells_clients_instead_of_running_dry() {
    let site = fixture::site().descriptors_max(200).set("http", "idle_timeout_ms", 120_000);
    let node = site.start();
    assert!(node.log().contains("descriptors"), "an operator is told: {}", node.log());
    let mut crowd: Vec<Peer> = (0..300).map(|_| Peer::connect(node.address())).collect();
    let mut statuses = [0, 0];
    for peer in &mut crowd {
        let _ = peer.try_send(lab::peer::get(GO, "/plain"));
        match peer.try_reply().map(|reply| reply.status) {
            Ok(302) => statuses[0] += 1,
            // When very many come at once, not all are worth a farewell.
            Ok(503) | Err(Trouble::Closed(0) | Trouble::Reset) => statuses[1] += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(statuses[0] >= 50 && statuses[1] >= 100, "{statuses:?}");
    assert_eq!(shed_so_far(&node, "shard_full"), f64::from(statuses[1]));
    assert_eq!(shed_so_far(&node, "descriptors_spent"), 0.0);
    drop(crowd);
    node.until_connections(0);
    assert_eq!(node.get(GO, "/plain").status, 302, "there is room again");
}

#[test]
fn a_node_without_descriptors_serves_those_it_holds_and_recovers() {
    const SPARE: usize = 20;
    let site = fixture::site().set("http", "idle_timeout_ms", 120_000);
    let mut node = site.start();
    let mut first = node.connect();
    assert_eq!(first.get(GO, "/s301").status, 301);
    // An operator's prlimit, or another part of the process, takes descriptors that the node had counted on.
    let left = node.descriptors() + SPARE;
    node.process().limit_descriptors(left as u64);
    let mut crowd: Vec<Peer> = (0..SPARE + 60).map(|_| Peer::connect(node.address())).collect();
    crowd.iter_mut().for_each(|peer| peer.send(lab::peer::get(GO, "/plain")));
    let answered =
        |crowd: &mut [Peer]| crowd.iter_mut().map(Peer::has_received).filter(|&answered| answered).count();
    eventually(SOON, "those that there is room for are answered", || answered(&mut crowd) >= SPARE / 2);
    for _ in 0..200 {
        assert_eq!(first.get(GO, "/s301").status, 301, "what is held is served");
    }
    let answered = answered(&mut crowd);
    assert!(answered <= SPARE + 20, "{answered} were answered: descriptors came from nowhere");
    // Those that wait get their turn as others leave.
    while !crowd.is_empty() {
        let before = crowd.len();
        eventually(SOON, "the next ones are answered", || {
            crowd.retain_mut(|peer| !peer.has_received());
            crowd.len() < before
        });
    }
    node.until_connections(1);
    assert!(shed_so_far(&node, "descriptors_spent") > 0.0, "{:?}", node.metrics());
    for &address in node.addresses() {
        assert_eq!(Peer::connect(address).get(GO, "/plain").status, 302, "there is room again");
    }
    assert_eq!(first.get(GO, "/s301").status, 301);
}

#[test]
fn every_shard_takes_its_part_of_the_connections() {
    let site = fixture::site().set("listen", "shards", 2);
    let node = site.start();
    let mut peers: Vec<Peer> = (0..200).map(|_| node.connect()).collect();
    peers.iter_mut().for_each(|peer| assert_eq!(peer.get(GO, "/plain").status, 302));
    let shards = node.vitals().shards;
    assert_eq!(shards.len(), 2);
    // The kernel spreads by a hash: far from even is possible, nothing at all is not.
    assert!(shards.iter().all(|shard| shard.connections >= 20 && shard.requests >= 20), "{shards:?}");
}
