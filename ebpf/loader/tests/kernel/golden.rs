//! The loaded program is held to the golden packets, with real sockets and real cookies where they need them.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use ebpf_loader::abi::{Mode, Reason};
use ebpf_loader::{Explanation, Guard, Limit, Modes, Question, Settings, now_ns};
use ebpf_logic::twin::fixtures::{self, Fixture};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::attaching::{in_namespace, ip};
use crate::differential::fill;
use crate::lab;

/// The port of the flow that a socket owns in the fixtures.
const OWNED_PORT: u16 = 41_000;

/// What the names of settings mean; none where nothing is applied.
fn settled(fixture: &Fixture) -> Option<Settings> {
    let unlimited = Settings { source: Limit::default(), network: Limit::default(), ..lab::settings() };
    let narrow = Limit { challenge_per_s: Some(20), drop_per_s: Some(100) };
    let soft = Limit { challenge_per_s: Some(0), drop_per_s: None };
    let hard = Limit { challenge_per_s: Some(0), drop_per_s: Some(0) };
    Some(match fixture.settings.as_str() {
        "enforce" | "nobody" => unlimited,
        "monitor" => Settings { modes: Modes::all(Mode::Monitor), ..unlimited },
        "off" => Settings { modes: Modes::all(Mode::Off), ..unlimited },
        "flooded" => Settings { node: soft, stray_check_per_s: Some(0), ..unlimited },
        "drowned" => Settings { node: hard, ..unlimited },
        "busy source" => Settings { source: narrow, ..unlimited },
        "busy network" => Settings { network: narrow, ..unlimited },
        "blind" => return None,
        other => panic!("{}: nobody knows the settings `{other}`", fixture.place),
    })
}

#[test]
fn the_loaded_program_judges_every_golden_packet_as_it_is_written() {
    let Some((mut guard, _bpffs)) = lab::guard("golden packets") else { return };
    in_namespace(move || {
        for address in ["192.0.2.80/32", "192.0.2.1/32", "2001:db8::80/128", "2001:db8:1::1/128"] {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            ip(&format!("address add {address} dev lo{nodad}"));
        }
        ip("link set lo up");
        let _sockets = [owned("192.0.2.1", "192.0.2.80"), owned("2001:db8:1::1", "2001:db8::80")];
        let (blind, others): (Vec<_>, Vec<_>) =
            fixtures::all().into_iter().partition(|fixture| fixture.settings == "blind");
        for fixture in &blind {
            check(&guard, fixture, now_ns());
        }
        // Far enough apart for nothing that one leaves behind to matter to the next.
        let mut now = now_ns();
        fill(guard.tables_mut());
        for fixture in &others {
            now += 1_000_000_000_000;
            let Some(settings) = settled(fixture) else { continue };
            guard.tables_mut().apply(&settings).unwrap();
            let lease =
                if fixture.settings == "nobody" { Duration::ZERO } else { Duration::from_secs(1 << 30) };
            guard.tables_mut().beat(lease).unwrap();
            check(&guard, fixture, now);
        }
        println!("{} golden packets", blind.len() + others.len());
    });
}

/// A connection that a socket owns, and its listener.
fn owned(from: &str, to: &str) -> (TcpListener, rustix::fd::OwnedFd) {
    let address = |text: &str, port| SocketAddr::new(text.parse::<IpAddr>().unwrap(), port);
    let listener = TcpListener::bind(address(to, 80)).unwrap();
    let family = if from.contains(':') { AddressFamily::INET6 } else { AddressFamily::INET };
    let client = socket(family, SocketType::STREAM, None).unwrap();
    bind(&client, &address(from, OWNED_PORT)).unwrap();
    connect(&client, &address(to, 80)).unwrap();
    (listener, client)
}

fn check(guard: &Guard, fixture: &Fixture, now: u64) {
    let Fixture { place, what, .. } = fixture;
    let mut frame = fixture.frame.clone();
    let ask = |frame: &[u8]| {
        guard.explain(&Question { frame, now_ns: Some(now), charges: true, candidate: false }).unwrap()
    };
    if fixture.needs.as_deref() == Some("cookie") {
        acknowledge(&mut frame, &ask);
    }
    for _ in 0..fixture.before {
        ask(&frame);
    }
    let got = ask(&frame);
    assert_eq!(got.reason, fixture.reason, "{place}: {what}");
    assert_eq!(got.action, fixture.action, "{place}: {what}");
    assert_eq!(got.monitored, fixture.monitored, "{place}: {what}");
    assert_eq!(got.rule, fixture.rule, "{place}: {what}");
    assert!(fixture.is_answered_by(got.answer.as_deref()), "{place}: {what}: {:02x?}", got.answer);
    // Probes are not counted; the same packet as a real one is, unless what came before has changed with it.
    let state_matters =
        fixture.before > 0 || fixture.reason == Reason::Trickle || fixture.settings == "nobody";
    if !state_matters && fixture.needs.is_none() {
        let count =
            |guard: &Guard| guard.tables().counters().unwrap().decided(fixture.reason, fixture.protocol);
        let before = count(guard);
        guard.time(&frame, 1).unwrap();
        assert_eq!(count(guard), before + 1, "{place}: {what}: another counter moved");
    }
}

/// Makes the segment acknowledge the cookie that its SYN is answered with.
fn acknowledge(frame: &mut [u8], ask: &impl Fn(&[u8]) -> Explanation) {
    let at = if frame[12..14] == [0x08, 0x00] { 34 } else { 54 };
    let mut syn = frame.to_vec();
    syn[at + 13] = 0x02;
    // The number of a SYN is one less than that of the segment behind it.
    let sequence = u32::from_be_bytes(*syn[at + 4..].first_chunk().unwrap()).wrapping_sub(1);
    syn[at + 4..at + 8].copy_from_slice(&sequence.to_be_bytes());
    let answer = [ask(&syn), ask(&syn)].into_iter().find_map(|explanation| explanation.answer);
    let answer = answer.expect("the second SYN of a second is challenged");
    let cookie = u32::from_be_bytes(*answer[at + 4..].first_chunk().unwrap());
    frame[at + 8..at + 12].copy_from_slice(&cookie.wrapping_add(1).to_be_bytes());
}
