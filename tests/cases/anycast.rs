//! What the cases about announcements share: a topology in which everything runs, and the questions that they ask of it.

use std::path::PathBuf;

use lab::links::{plain_domain, plain_link, write_without_canaries};
use lab::topology::{AnycastNode, Click, Lab, Plan, VIP4, VIP6};
use lab::{Domains, Row, SOON, eventually};

/// The domain of every link here.
pub(crate) const HOST: &str = "go.example";

/// Builds and starts everything, and waits until both families lead to every node of each site.
///
/// `configure` may change the sidecar's settings before it starts.
pub(crate) fn start(plan: &Plan, configure: impl Fn(&mut AnycastNode)) -> Option<Lab> {
    let mut lab = Lab::build(plan)?;
    for node in &mut lab.nodes {
        node.publish(&Domains::default(), &[Row::new(HOST, "a", "https://a.test/")]);
        configure(node);
        node.start();
    }
    until_all(&lab);
    Some(lab)
}

/// Waits until the router of every site sends traffic of both families to all nodes of its site.
#[track_caller]
pub(crate) fn until_all(lab: &Lab) {
    for (router, site) in lab.clients.iter().enumerate() {
        let letter = &site.name[1..];
        let of_site = lab.nodes.iter().map(|node| &*node.name).filter(|name| name.starts_with(letter));
        until_paths(lab, router, &of_site.collect::<Vec<_>>());
    }
}

/// One click per family.
pub(crate) fn clicks() -> Vec<Click> {
    let click = |vip: &str| Click {
        vip: vip.parse().unwrap(),
        host: HOST.to_owned(),
        path: "/a".to_owned(),
        location: "https://a.test/".to_owned(),
    };
    vec![click(VIP4), click(VIP6)]
}

/// Waits until a router sends the traffic of both families through exactly these nodes.
#[track_caller]
pub(crate) fn until_paths(lab: &Lab, router: usize, expected: &[&str]) {
    for vip in [VIP4, VIP6] {
        eventually(SOON, &format!("{vip} leads to {expected:?}"), || match lab.paths(router, vip) {
            paths if paths == expected => Ok(()),
            paths => Err(format!("{paths:?}")),
        });
    }
}

/// Waits until what the router's BGP says of both addresses contains a text.
#[track_caller]
pub(crate) fn until_told(lab: &Lab, router: usize, expected: &str) {
    for vip in [VIP4, VIP6] {
        eventually(SOON, &format!("the router tells {expected:?} of {vip}"), || {
            match lab.routers[router].told(vip) {
                told if told.contains(expected) => Ok(()),
                told => Err(told),
            }
        });
    }
}

/// Asserts that nothing is announced less for as long as `act` takes.
pub(crate) fn without_route_events(lab: &Lab, router: usize, act: impl FnOnce()) {
    let watch = lab::topology::RouteWatch::open(&lab.routers[router].space);
    act();
    for vip in [VIP4, VIP6] {
        assert!(watch.events(vip).is_empty(), "{:?}", watch.events(vip));
    }
}

/// Asserts that no route goes or leads elsewhere while `act` runs. A router may install the same route once more, as BIRD
/// does when a session has come back.
pub(crate) fn without_route_changes(lab: &Lab, router: usize, act: impl FnOnce()) {
    let watch = lab::topology::RouteWatch::open(&lab.routers[router].space);
    let before = [VIP4, VIP6].map(|vip| lab.routers[router].gateways(vip));
    act();
    for (vip, before) in [VIP4, VIP6].into_iter().zip(before) {
        for event in watch.events(vip) {
            assert!(!event.gone && event.gateways.len() == before.len(), "{event:?}");
        }
        assert_eq!(lab.routers[router].gateways(vip), before);
    }
}

/// A whole snapshot whose canary leads elsewhere: as a builder with a fault would make it.
pub(crate) fn wrong_snapshot(node: &mut AnycastNode) -> PathBuf {
    let generation = node.count_generation();
    let path = node.site.stage();
    let links = [plain_link(b"ok", b"https://elsewhere.test/")];
    write_without_canaries(&path, generation, &plain_domain("canary.carom.invalid"), links);
    path
}

/// Does a command of the sidecar and shows what it said if it failed.
#[track_caller]
pub(crate) fn command(node: &AnycastNode, arguments: &[&str]) {
    let said = node.command(arguments);
    assert_eq!(said.code, Some(0), "{arguments:?}: {}{}", said.output, said.errors);
}
