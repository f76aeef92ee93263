//! The guard with native XDP on a real (virtual) cable: who is dropped at the interface, and who is served beside it.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::{Namespace, Node, SOON, Site, eventually, here, mount};
use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::fixture::{GO, site};

/// A node that is served over a cable, and the clients at its other end.
struct Lab {
    // In the order in which they must go.
    _pins: mount::Mount,
    site: Site,
    node_side: Namespace,
    clients: Namespace,
}

const NODE: [&str; 2] = ["192.0.2.1", "2001:db8:1::1"];
const HUMANS: [&str; 2] = ["192.0.2.100", "2001:db8:100::1"];
const SCANNERS: [&str; 2] = ["192.0.2.66", "2001:db8:66::1"];
/// How long a client waits for somebody who does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

impl Lab {
    /// `None`, and said so, where the machine cannot.
    fn new() -> Option<Self> {
        let site = site();
        let pins = site.path().join("bpf");
        fs::create_dir(&pins).unwrap();
        let made = here::is_root().then(|| (mount::bpf(&pins), Namespace::new(), Namespace::new()));
        let Some((Some(mounted), Some(node_side), Some(clients))) = made else {
            here::not_run("no root, no BPF file system, or no network namespaces");
            return None;
        };
        node_side.connect("node0", &clients, "client0");
        for (address, length) in NODE.iter().zip([24, 64]) {
            node_side.address("node0", &format!("{address}/{length}"));
        }
        for address in [HUMANS, SCANNERS].as_flattened() {
            clients.address("client0", &format!("{address}/{}", if address.contains(':') { 64 } else { 24 }));
        }
        for (side, interface) in [(&node_side, "node0"), (&clients, "client0")] {
            side.ip(&["-6", "route", "add", "2001:db8::/32", "dev", interface]);
        }
        let admin = format!("\"unix:{}\"", site.path().join("admin.sock").display());
        let site = site
            .set("listen", "http", r#"["192.0.2.1:80", "[2001:db8:1::1]:80"]"#)
            .set("listen", "shards", 1)
            .set("admin", "listen", admin)
            .set("guard", "mode", r#""enforce""#)
            .set("guard", "interfaces", r#"["node0"]"#)
            .set("guard", "pins", format!("{:?}", pins.join("carom")))
            .set("guard", "lease_ms", 600_000)
            .set("scanners", "threshold", 20);
        Some(Self { site, node_side, clients, _pins: mounted })
    }

    fn start(&self) -> Node {
        self.node_side.within(|| self.site.start())
    }

    /// The status that `client` gets for each of `paths` on one connection, or why none came.
    fn ask(&self, client: &str, node: &str, paths: &[&str]) -> Result<Vec<u16>, ErrorKind> {
        let (from, to) = (end(client, 0), end(node, 80));
        self.clients.within(|| ask(from, to, paths)).map_err(|error| error.kind())
    }
}

fn end(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().unwrap(), port)
}

fn ask(from: SocketAddr, to: SocketAddr, paths: &[&str]) -> std::io::Result<Vec<u16>> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&from.into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = std::net::TcpStream::from(socket);
    let mut statuses = Vec::new();
    for path in paths {
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: {GO}\r\n\r\n")?;
        let mut head = Vec::new();
        let mut chunk = [0; 2_048];
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut chunk)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                bytes => head.extend(&chunk[..bytes]),
            }
        }
        // What stands behind the head is a line of at most a few bytes, which came with it.
        let status = std::str::from_utf8(&head[9..12]).unwrap().parse().unwrap();
        statuses.push(status);
    }
    Ok(statuses)
}

fn is_silence(answer: &Result<Vec<u16>, ErrorKind>) -> bool {
    matches!(answer, Err(ErrorKind::TimedOut | ErrorKind::WouldBlock))
}

#[test]
fn a_scanner_is_dropped_at_the_interface_and_the_human_beside_it_is_served() {
    let Some(lab) = Lab::new() else { return };
    let node = lab.start();
    let attached = node.vitals().guard.unwrap().kernel.unwrap().attached;
    assert_eq!((attached[0].interface.as_str(), attached[0].path.as_str()), ("node0", "native"));
    for ((human, scanner), to) in HUMANS.iter().zip(SCANNERS).zip(NODE) {
        assert_eq!(lab.ask(human, to, &["plain"]), Ok(vec![302]));
        eventually(SOON, "the scanner is banned", || {
            let answer = lab.ask(scanner, to, &["guess"; 30]);
            if is_silence(&answer) { Ok(()) } else { Err(format!("{answer:?}")) }
        });
        assert_eq!(lab.ask(human, to, &["plain", "guess", "plain"]), Ok(vec![302, 404, 302]));
    }
    for protocol in ["tcp4", "tcp6"] {
        node.until_metric("carom_guard_packets_total", &[("reason", "banned"), ("protocol", protocol)], 1.0);
    }
    node.until_metric("carom_scanners_total", &[("measure", "ban")], 2.0);
}

#[test]
fn a_killed_node_leaves_the_gate_shut_and_the_next_one_adopts_it() {
    let Some(lab) = Lab::new() else { return };
    let (human, scanner, to) = (HUMANS[0], SCANNERS[0], NODE[0]);
    let mut node = lab.start();
    eventually(SOON, "the scanner is banned", || is_silence(&lab.ask(scanner, to, &["guess"; 30])));
    node.signal(Signal::KILL);
    node.end(SOON);
    // Nobody listens: the kernel refuses whom the guard lets through.
    assert_eq!(lab.ask(human, to, &["plain"]), Err(ErrorKind::ConnectionRefused));
    assert!(is_silence(&lab.ask(scanner, to, &["plain"])), "the gate is open");
    drop(node);
    let node = lab.start();
    let kernel = node.vitals().guard.unwrap().kernel.unwrap();
    assert_eq!((kernel.attached[0].path.as_str(), kernel.bans), ("adopted", 1));
    assert_eq!(lab.ask(human, to, &["plain"]), Ok(vec![302]));
    assert!(is_silence(&lab.ask(scanner, to, &["plain"])), "the ban is lost");
}

#[test]
fn a_node_without_its_interface_refuses_to_start_and_names_the_way_without_xdp() {
    let Some(lab) = Lab::new() else { return };
    let Lab { site, node_side, clients: _clients, _pins } = lab;
    let site = site.set("guard", "interfaces", r#"["node9"]"#);
    let finished = node_side.within(|| site.serve_in_vain());
    let told = finished.errors;
    for part in ["node9", "there is no interface", "mode = \"off\""] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
