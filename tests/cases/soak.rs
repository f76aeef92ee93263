//! A long run leaves nothing behind: memory and descriptors are where they were.

use std::sync::Arc;

use lab::load::{Load, Plan, Steady};
use lab::{Node, SOON, eventually};

use crate::fixture::{self, GO};

/// Memory may grow by so much between two equal runs: buffers of connections that happened to be open at once.
const GROWTH_BYTES_MAX: u64 = 4 << 20;

/// 100,000 requests: half of them on long connections, half on 5,000 connections of ten requests.
fn run(node: &Node) {
    let links = ["301", "302", "303", "307", "308"];
    let links = links.map(|status| (format!("/s{status}?a=b"), format!("https://{status}.test/"))).to_vec();
    let oracle = Arc::new(Steady { host: GO.into(), links });
    let long = Plan { requests_max: 25_000, clients: 2, ..Plan::steady(node.addresses()) };
    let short = Plan { requests_per_connection: 10, ..long.clone() };
    let loads = [Load::start(&long, &oracle), Load::start(&short, &oracle)];
    for tally in loads.map(Load::finish) {
        tally.assert_flawless();
        assert_eq!(tally.answered, 50_000);
    }
}

#[test]
fn memory_and_descriptors_are_flat_over_two_hundred_thousand_requests() {
    let site = fixture::site();
    let node = site.start();
    // The first run brings everything to its working size.
    run(&node);
    node.until_connections(0);
    let (memory, descriptors) = (node.resident_bytes(), node.descriptors());
    run(&node);
    node.until_connections(0);
    eventually(SOON, "descriptors are where they were", || {
        let now = node.descriptors();
        if now <= descriptors { Ok(()) } else { Err(format!("{now}, not {descriptors}")) }
    });
    let grown = node.resident_bytes().saturating_sub(memory);
    assert!(grown <= GROWTH_BYTES_MAX, "grew by {grown} bytes, from {memory}");
    assert_eq!(node.metric("carom_requests_total", &[("outcome", "redirected")]), 200_000.0);
}
