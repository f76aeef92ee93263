//! Upgrades that go wrong: whatever happens to the new process, the old one serves on; whatever happens to the old one, the
//! new one does.

use std::time::Duration;

use lab::load::{Load, Plan, Tally};
use lab::process::Process;
use lab::{Authority, Node, Peer, SOON, Site, eventually};
use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::GO;
use crate::tls;
use crate::upgrade::{oracle, site, upgraded};

const FAILED: &str = "carom_upgrades_failed_total";

/// What the last line of the log says that contains `words`: the value of `key=`.
fn said(node: &Node, words: &str, key: &str) -> Option<String> {
    let log = node.log();
    let line = log.lines().rfind(|line| line.contains(words))?;
    let (_, value) = line.split_once(&format!("{key}="))?;
    Some(value.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Fails an upgrade, which must say `reason`, while clients ask.
#[track_caller]
fn fails(site: &Site, node: &Node, reason: &str) {
    let before = node.metric(FAILED, &[]);
    let load = Load::start(&Plan::steady(node.addresses()), &oracle());
    load.until_more(50);
    let upgrade = site.upgrade();
    load.until_more(50);
    load.stop().assert_flawless();
    assert_eq!(upgrade.code, Some(1), "{upgrade:?}");
    let said = upgrade.output;
    assert!(said.contains("the old process serves on") && said.contains(reason), "{said}\n{}", node.log());
    assert_eq!(node.metric(FAILED, &[]), before + 1.0);
    assert!(node.vitals().ready);
}

#[test]
fn a_program_that_does_not_start_leaves_the_old_one_serving() {
    let site = site();
    let node = site.start();
    site.replace_program("echo broken >&2; exit 3");
    fails(&site, &node, "exit status: 3");
    site.replace_program("exec /nonexistent/carom");
    fails(&site, &node, "exit status: 127");
    std::fs::remove_file(site.program()).unwrap();
    fails(&site, &node, "cannot start");
    std::fs::write(site.program(), "").unwrap();
    site.restore_program();
    upgraded(&site, node).stop();
}

#[test]
fn a_successor_that_cannot_serve_says_why_and_changes_nothing() {
    let authority = Authority::new();
    Process::inherit_orphans();
    let site = tls::site(&authority).with_program();
    let node = site.start();
    let nowhere = site.path().join("nowhere").join("access.log");
    let site = site.set("access_log", "path", format!("{nowhere:?}")).set("access_log", "sample_every", 1);
    fails(&site, &node, "access_log.path");
    // Snapshots are looked at again: the old process has its hands free.
    let here = site.path().join("access.log");
    let site = site.set("access_log", "path", format!("{here:?}"));
    let before = node.vitals().swaps;
    std::fs::remove_file(site.snapshot()).unwrap();
    node.reload();
    eventually(SOON, "the old process looks for snapshots again", || {
        node.vitals().swaps.failed > before.failed
    });
    // A successor serves a copy like any other start.
    upgraded(&site, node).stop();
}

#[test]
fn without_the_flag_a_second_node_is_refused_and_with_it_a_first_one_starts() {
    let site = site();
    let node = site.start();
    let http: Vec<String> = node.addresses().iter().map(|address| format!("\"{address}\"")).collect();
    let site = site.set("listen", "http", format!("[{}]", http.join(", ")));
    let refused = site.serve_in_vain();
    assert_eq!(refused.code, Some(1));
    assert!(refused.errors.contains("another process listens there"), "{}", refused.errors);
    assert_eq!(node.get(GO, "/plain").status, 302);
    node.stop();
    site.replace_program(r#"exec "$CAROM" "$@" --take-over"#);
    let node = site.start();
    assert_eq!(node.get(GO, "/plain").status, 302);
    assert!(node.log().contains("this one starts by itself"), "{}", node.log());
}

/// Waits until a successor has got the descriptors, and stops it there. Nothing if it was quicker.
fn stopped_successor(site: &Site, node: &Node) -> Option<Pid> {
    let handed = node.log().matches(HERE).count();
    node.signal(Signal::USR2);
    eventually(SOON, "a successor has the listeners", || node.log().matches(HERE).count() > handed);
    let id: i32 = said(node, ASKED, "successor").expect("the log names it").parse().expect("by its number");
    let pid = Pid::from_raw(id).expect("no process has the number 0");
    kill_process(pid, Signal::STOP).expect("it runs");
    let ready = std::fs::read_to_string(site.ready_file()).unwrap_or_default();
    let serves = ready.contains(&format!("\"pid\":{id},"))
        || said(node, "the successor serves", "successor").is_some_and(|said| said == id.to_string());
    if serves {
        kill_process(pid, Signal::CONT).expect("it runs");
        return None;
    }
    Some(pid)
}

/// No connection was refused and no answer wrong; what a killed process had accepted is lost, at most one request per client.
#[track_caller]
fn assert_served(tally: &Tally, clients: u64) {
    assert_eq!((tally.wrong, tally.refused), (0, 0), "{tally:#?}");
    assert!(tally.lost + tally.lost_before_first <= clients, "{tally:#?}");
}

/// Successors are slowed down by that many certificates, so that there is a middle to be killed in.
fn slow_site(authority: &Authority) -> Site {
    Process::inherit_orphans();
    let site = tls::site(authority).with_program();
    for index in 0..400 {
        authority
            .issue(&[&format!("slow-{index}.example")])
            .publish(&site.certificates(), &format!("slow-{index}"));
    }
    site
}

/// What the old process says first, and the successor then.
const ASKED: &str = "a successor wants to take over";
const HERE: &str = "the listeners of the node that serves are here too";

#[test]
fn a_successor_that_is_killed_in_the_middle_leaves_the_old_process_serving() {
    let authority = Authority::new();
    let site = slow_site(&authority);
    let mut node = site.start();
    for attempt in 0.. {
        assert!(attempt < 20, "no successor was ever slow enough to be killed");
        let load = Load::start(&Plan::steady(node.addresses()), &oracle());
        load.until_more(50);
        let Some(successor) = stopped_successor(&site, &node) else {
            load.stop().assert_flawless();
            let next = node.successor(&site.ready_file());
            node.end(SOON);
            node = next;
            continue;
        };
        kill_process(successor, Signal::KILL).unwrap();
        eventually(SOON, "the old process says that it serves on", || node.metric(FAILED, &[]) >= 1.0);
        load.until_more(200);
        assert_served(&load.stop(), 4);
        break;
    }
    assert!(node.log().contains("this process serves on"));
    upgraded(&site, node).stop();
}

#[test]
fn an_old_process_that_is_killed_in_the_middle_leaves_the_successor_serving() {
    let authority = Authority::new();
    let site = slow_site(&authority);
    let mut node = site.start();
    for attempt in 0.. {
        assert!(attempt < 20, "no successor was ever slow enough to be stopped");
        let Some(successor) = stopped_successor(&site, &node) else {
            let next = node.successor(&site.ready_file());
            node.end(SOON);
            node = next;
            continue;
        };
        node.signal(Signal::KILL);
        node.end(SOON);
        // Nobody accepts, and nobody is refused: the sockets are the successor's too.
        let mut waiting: Vec<Peer> = node.addresses().iter().map(|&address| Peer::connect(address)).collect();
        kill_process(successor, Signal::CONT).unwrap();
        for peer in &mut waiting {
            assert_eq!(peer.get(GO, "/plain").status, 302);
        }
        let next = node.successor(&site.ready_file());
        assert!(next.log().contains("this process serves alone"), "{}", next.log());
        assert!(next.vitals().ready);
        upgraded(&site, next).stop();
        return;
    }
}

#[test]
fn a_node_that_is_told_to_end_while_its_successor_starts_ends_and_so_does_that_one() {
    let authority = Authority::new();
    let site = slow_site(&authority);
    let mut node = site.start();
    let Some(successor) = stopped_successor(&site, &node) else {
        return node.successor(&site.ready_file()).stop();
    };
    node.signal(Signal::TERM);
    kill_process(successor, Signal::CONT).unwrap();
    assert_eq!(node.end(Duration::from_secs(40)).code(), Some(0));
    eventually(SOON, "nobody serves any more", || Peer::try_connect(node.address()).is_err());
}
