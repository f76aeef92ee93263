//! SYN cookies of the guard with real clients, and what a flood does to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;

use ebpf_loader::frames::{self, flags};
use lab::process::Finished;
use lab::{SOON, eventually};

use super::bench::{Bench, FAR, HUMANS, NODE, SCANNERS, end};
use crate::fixture::GO;

/// Six connections at a time, as browsers open them, each kept for several requests. Arguments: own address, node, host.
const BROWSER: &str = r#"
import http.client, sys, threading
own, node, host = sys.argv[1:]
statuses = []
def tab():
    wire = http.client.HTTPConnection(node, 80, timeout=30, source_address=(own, 0))
    for _ in range(5):
        wire.request("GET", "/plain", headers={"Host": host, "User-Agent": "Mozilla/5.0", "Accept": "*/*"})
        reply = wire.getresponse()
        reply.read()
        statuses.append((reply.status, reply.getheader("Location")))
    wire.close()
tabs = [threading.Thread(target=tab) for _ in range(6)]
[tab.start() for tab in tabs]
[tab.join() for tab in tabs]
assert statuses == [(302, "https://plain.test/")] * 30, statuses
"#;

impl Bench {
    /// Runs a program beside the clients.
    fn beside(&self, program: &str, arguments: &[&str]) -> Finished {
        let output = self.clients.within(|| Command::new(program).args(arguments).output());
        let output = output.unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Finished { code: output.status.code(), output: text(output.stdout), errors: text(output.stderr) }
    }

    /// curl, one connection for each request; the statuses that it saw.
    fn curl(&self, own: &str, node: &str, requests: usize) -> Vec<String> {
        let to = match node.parse::<IpAddr>().unwrap() {
            IpAddr::V4(node) => format!("http://{node}/plain"),
            IpAddr::V6(node) => format!("http://[{node}]/plain"),
        };
        let host = format!("Host: {GO}");
        let mut statuses = Vec::new();
        for _ in 0..requests {
            let arguments = ["-sS", "-m", "30", "-o", "/dev/null", "-w", "%{http_code}", "--interface", own];
            let arguments: Vec<_> = arguments.into_iter().chain(["-H", &host, &to]).collect();
            let Finished { output, errors, .. } = self.beside("curl", &arguments);
            statuses.push(output + &errors);
        }
        statuses
    }

    #[track_caller]
    fn browses(&self, own: &str, node: &str) {
        let Finished { code, errors, .. } = self.beside("python3", &["-c", BROWSER, own, node, GO]);
        assert_eq!(code, Some(0), "{own}: {errors}");
    }
}

#[test]
fn curl_and_a_browser_pass_the_challenge_over_both_families() {
    let Some(bench) = Bench::new() else { return };
    // With a single listener of each family, and with a group of them.
    let bench = bench.set("listen", "shards", 2).with_challenges();
    let _node = bench.start();
    for human in HUMANS {
        bench.told(&["ban", human, "--challenge", "--for", "1h"]);
    }
    for (human, to) in HUMANS.into_iter().zip(NODE) {
        assert_eq!(bench.curl(human, to, 5), ["302"; 5], "{human}");
        bench.browses(human, to);
        // Many connections, one after the other.
        for _ in 0..20 {
            assert_eq!(bench.ask(human, to, &["plain", "plain"]), Ok(vec![302, 302]), "{human}");
        }
    }
    // 31 connections of each; of those one per second may pass without a challenge.
    let challenged = bench.counted("challenged_ban");
    assert!(challenged >= 30, "{challenged} challenges\n{}", bench.told(&["status"]));
    // Who is not suspected is not challenged.
    bench.serves(SCANNERS);
    assert_eq!(
        bench.told(&["explain", "192.0.2.66:40000", "192.0.2.1:80"]).split(", ").nth(1),
        Some("reason accepted: nothing speaks against the packet\n")
    );
}

#[test]
fn a_source_above_the_soft_limit_proves_its_address_and_is_served() {
    let Some(bench) = Bench::new() else { return };
    let bench = bench.set("guard", "source_soft_per_s", 3).with_challenges();
    let _node = bench.start();
    for (human, to) in HUMANS.into_iter().zip(NODE) {
        for _ in 0..60 {
            assert_eq!(bench.ask(human, to, &["plain"]), Ok(vec![302]), "{human}");
        }
    }
    let challenged = bench.counted("challenged_source");
    assert!(challenged >= 20, "{challenged} challenges\n{}", bench.told(&["status"]));
}

/// SYNs from addresses that nobody has, of both families in turn.
fn flood(count: u32) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let scattered = number.wrapping_mul(2_654_435_761);
            let source: IpAddr = if number % 2 == 0 {
                Ipv4Addr::from_bits(0xc612_0000 | scattered >> 15).into()
            } else {
                Ipv6Addr::from_bits(0x2001_0db8_00f0 << 80 | u128::from(scattered) << 48 | 1).into()
            };
            let to = end(NODE[number as usize % 2], 80);
            let from = SocketAddr::new(source, 1_024 + (scattered % 60_000) as u16);
            frames::tcp(from, to, flags::SYN, &frames::SYN_OPTIONS, &[])
        })
        .collect()
}

#[test]
fn a_client_keeps_its_redirects_during_a_flood_of_syns_from_random_sources() {
    let Some(bench) = Bench::new() else { return };
    let bench = bench.set("guard", "node_soft_per_s", 500).set("listen", "shards", 2).with_challenges();
    let node = bench.start();
    let mut volley = bench.clients.volley(FAR, &flood(4_000), 400, 0.02);
    eventually(SOON, "everybody is challenged", || bench.counted("challenged_node") > 2_000);
    for _ in 0..60 {
        bench.serves(HUMANS);
    }
    for (human, to) in HUMANS.into_iter().zip(NODE) {
        assert_eq!(bench.curl(human, to, 3), ["302"; 3], "{human}");
    }
    assert!(volley.goes_on(), "the flood was too short to tell anything");
    drop(volley);
    for protocol in ["tcp4", "tcp6"] {
        let labels = [("reason", "challenged_node"), ("protocol", protocol)];
        node.until_metric("carom_guard_packets_total", &labels, 1_000.0);
    }
}
