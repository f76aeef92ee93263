//! Allow and deny lists that are read again while traffic flows: a swap costs no connection, a bad file costs no list.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use ebpf_loader::{List, ListKind, Lists, Pins, Tables};
use lab::{Node, SOON, eventually};

use super::bench::{Bench, HUMANS, SCANNERS, list_of};

/// Networks that are denied, by what the node states.
#[track_caller]
fn until_denied(node: &Node, networks: u64) {
    eventually(SOON, &format!("{networks} networks are denied"), || {
        let kernel = node.vitals().guard.unwrap().kernel.unwrap();
        let failure = kernel.lists_failure.unwrap_or_default();
        if kernel.networks_denied == networks {
            Ok(())
        } else {
            Err(format!("{} {failure}", kernel.networks_denied))
        }
    });
}

#[test]
fn a_thousand_swaps_of_the_lists_under_traffic_lose_no_connection() {
    let Some(bench) = Bench::new() else { return };
    let bench = bench.without_limits();
    let _node = bench.start();
    let list = |text: &str| Lists::merge(&[List::parse(ListKind::Deny, 1, text).0]);
    let lists =
        [list("192.0.2.66\n2001:db8:66::/48\n"), list("192.0.2.66\n198.51.100.0/24\n2001:db8:66::/48\n")];
    let mut tables = Tables::open(&Pins::at(bench.pins())).unwrap();
    let load = bench.load(50);
    load.until_more(20);
    for round in 0..1_000 {
        tables.replace_lists(&lists[round % 2]).unwrap();
    }
    load.until_more(20);
    load.stop().assert_flawless();
    bench.drops(SCANNERS);
}

#[test]
fn lists_are_read_again_under_traffic_and_a_bad_line_is_named_by_its_number() {
    let Some(bench) = Bench::new() else { return };
    let deny = bench.file("deny", "");
    let bench = bench.without_limits().set("guard", "deny_files", list_of(&deny));
    let node = bench.start();
    bench.serves(SCANNERS);
    let load = bench.load(50);
    for round in 0..5 {
        fs::write(&deny, "# scanners\n192.0.2.66\n300.1.2.3\n2001:db8:66::/48\n10.0.0.1/8\n").unwrap();
        node.reload();
        until_denied(&node, 2);
        bench.drops(SCANNERS);
        let told = node.log();
        for part in
            [format!("{}:3: `300.1.2.3` is no address", deny.display()), format!("{}:5:", deny.display())]
        {
            assert!(told.contains(&part), "round {round}: {part}: {told}");
        }
        fs::write(&deny, "\n").unwrap();
        node.reload();
        until_denied(&node, 0);
        bench.serves(SCANNERS);
    }
    load.stop().assert_flawless();
}

#[test]
fn a_file_that_is_garbage_or_gone_leaves_the_old_lists_in_force() {
    let Some(bench) = Bench::new() else { return };
    let deny = bench.file("deny", "192.0.2.66\n2001:db8:66::/48\n");
    let bench = bench.set("guard", "deny_files", list_of(&deny));
    let node = bench.start();
    let kernel = || node.vitals().guard.unwrap().kernel.unwrap();
    fs::remove_file(&deny).unwrap();
    node.reload();
    eventually(SOON, "the missing file is stated", || {
        kernel().lists_failure.filter(|failure| failure.contains("deny"))
    });
    bench.drops(SCANNERS);
    // A directory in its place, then more bytes than any list has.
    fs::create_dir(&deny).unwrap();
    node.reload();
    eventually(SOON, "a directory is no list", || {
        kernel().lists_failure.filter(|failure| failure.contains("directory"))
    });
    fs::remove_dir(&deny).unwrap();
    fs::write(&deny, vec![b'x'; 17 << 20]).unwrap();
    node.reload();
    eventually(SOON, "a file is too long", || {
        kernel().lists_failure.filter(|failure| failure.contains("bytes"))
    });
    bench.drops(SCANNERS);
    assert!(node.vitals().ready, "lists that cannot be read are no illness of the node");
    // Bytes that are no text make their own lines bad, and no other.
    fs::write(&deny, b"\xff\xfe\x00\n192.0.2.66\n2001:db8:66::/48\n\x80\n").unwrap();
    node.reload();
    eventually(SOON, "the lists are read again", || kernel().lists_failure.is_none());
    assert_eq!((kernel().bad_lines, kernel().networks_denied), (2, 2));
    bench.drops(SCANNERS);
    bench.serves(HUMANS);
}

#[test]
fn a_hundred_thousand_networks_are_read_again_while_the_node_serves() {
    let Some(bench) = Bench::new() else { return };
    let deny = bench.file("deny", "");
    let bench = bench.set("guard", "deny_files", list_of(&deny));
    let node = bench.start();
    let mut text = String::from("192.0.2.66\n2001:db8:66::/48\n");
    for number in 1..100_000_u32 {
        let [_, a, b, c] = number.to_be_bytes();
        writeln!(text, "10.{a}.{b}.{c} # {number}").unwrap();
    }
    fs::write(&deny, text).unwrap();
    let began = Instant::now();
    node.reload();
    until_denied(&node, 100_001);
    let took = began.elapsed();
    // On a machine with nothing else to do it is under a second; how busy this one is decides nothing.
    println!("100,000 networks in force {took:?} after the signal");
    assert!(took < Duration::from_secs(30));
    bench.drops(SCANNERS);
    bench.serves(HUMANS);
}
