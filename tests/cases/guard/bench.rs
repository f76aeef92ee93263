//! The place where the guard is tried: a node in one network namespace, clients in another, a cable between them.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ebpf_loader::{Guard, GuardOptions, Pins};
use lab::process::{Finished, run};
use lab::{Namespace, Node, SOON, Site, binaries, eventually, here, mount};
use socket2::{Domain, Socket, Type};

use crate::fixture::{GO, site};

/// The service addresses.
pub(super) const NODE: [&str; 2] = ["192.0.2.1", "2001:db8:1::1"];
/// People.
pub(super) const HUMANS: [&str; 2] = ["192.0.2.100", "2001:db8:100::1"];
/// Somebody else in the /24 or /32 of people.
pub(super) const SCANNERS: [&str; 2] = ["192.0.2.66", "2001:db8:66::1"];
/// The interface of the node.
pub(super) const NEAR: &str = "node0";
/// The interface of the clients.
pub(super) const FAR: &str = "client0";
/// How long a client waits for an answer that must come, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a client waits where nobody should answer.
const IMPATIENCE: Duration = Duration::from_secs(1);

/// A node that is served over a cable, and the clients at its other end.
pub(super) struct Bench {
    // In the order in which they must go.
    /// Passes everything at the far end, so that what XDP sends arrives there.
    _passing: Option<Guard>,
    pub(super) site: Site,
    pub(super) node_side: Namespace,
    pub(super) clients: Namespace,
    _pins: mount::Mount,
}

/// What a client got.
pub(super) type Answer = Result<Vec<u16>, ErrorKind>;

impl Bench {
    /// `None`, and said so, where the machine cannot.
    pub(super) fn new() -> Option<Self> {
        let site = site();
        let pins = site.path().join("bpf");
        fs::create_dir(&pins).unwrap();
        let made = here::is_root().then(|| (mount::bpf(&pins), Namespace::new(), Namespace::new()));
        let Some((Some(mounted), Some(node_side), Some(clients))) = made else {
            here::not_run("no root, no BPF file system, or no network namespaces");
            return None;
        };
        node_side.connect(NEAR, &clients, FAR);
        // The addresses that frames of the loader carry.
        node_side.ip(&["link", "set", NEAR, "address", "02:00:00:00:00:01"]);
        clients.ip(&["link", "set", FAR, "address", "02:00:00:00:00:02"]);
        for (address, length) in NODE.iter().zip([24, 64]) {
            node_side.address(NEAR, &format!("{address}/{length}"));
        }
        let bench = Self { site, node_side, clients, _passing: None, _pins: mounted };
        [HUMANS, SCANNERS].as_flattened().iter().for_each(|address| bench.client(address));
        // Who does not name an address of its own is a human.
        let scanner = format!("{}/64", SCANNERS[1]);
        bench.clients.ip(&["address", "change", &scanner, "dev", FAR, "preferred_lft", "0"]);
        // Who answers whom does not matter to neighbours, and what is no address of theirs has a way back, too.
        for (side, interface) in [(&bench.node_side, NEAR), (&bench.clients, FAR)] {
            side.ip(&["-6", "route", "add", "2001:db8::/32", "dev", interface]);
        }
        let admin = format!("\"unix:{}\"", bench.site.path().join("admin.sock").display());
        let pins = format!("{:?}", bench.pins());
        Some(
            bench
                .set("listen", "http", r#"["192.0.2.1:80", "[2001:db8:1::1]:80"]"#)
                .set("listen", "shards", 1)
                .set("admin", "listen", admin)
                .set("guard", "mode", r#""enforce""#)
                .set("guard", "interfaces", r#"["node0"]"#)
                .set("guard", "pins", pins)
                // Cases that are not about the lease should not meet its end on a machine that is busy.
                .set("guard", "lease_ms", 600_000)
                .set("scanners", "threshold", 20),
        )
    }

    /// With a key of the configuration set.
    pub(super) fn set(self, section: &'static str, key: &'static str, value: impl ToString) -> Self {
        Self { site: self.site.set(section, key, value), ..self }
    }

    /// With SYN cookies that arrive and are honoured.
    pub(super) fn with_challenges(mut self) -> Self {
        self.node_side.sysctl("ipv4/tcp_syncookies", "2");
        for (side, interface) in [(&self.node_side, NEAR), (&self.clients, FAR)] {
            side.whole_checksums(interface);
        }
        let options = GuardOptions { pins: Pins::at(self.site.path().join("bpf/far")), object: None };
        // A guard without a policy lets everything pass.
        let passing = self.clients.within(|| {
            let mut guard = Guard::load(&options).unwrap();
            guard.attach(FAR, false).unwrap();
            guard
        });
        self._passing = Some(passing);
        self
    }

    /// Where the node's guard is pinned.
    pub(super) fn pins(&self) -> PathBuf {
        self.site.path().join("bpf/carom")
    }

    /// Gives the clients one more address.
    pub(super) fn client(&self, address: &str) {
        self.clients.address(FAR, &format!("{address}/{}", if address.contains(':') { 64 } else { 24 }));
    }

    /// Starts a node.
    #[track_caller]
    pub(super) fn start(&self) -> Node {
        self.node_side.within(|| self.site.start())
    }

    /// Runs `carom serve` where it is expected to end by itself, and returns what it said.
    pub(super) fn serve_in_vain(&self) -> String {
        let Finished { code, output: _, errors } = self.node_side.within(|| self.site.serve_in_vain());
        assert_ne!(code, Some(0), "{errors}");
        errors
    }

    /// Runs `carom guard` on the node.
    pub(super) fn guard(&self, arguments: &[&str]) -> Finished {
        let pins = self.pins();
        let pins = ["guard".as_ref(), "--pins".as_ref(), pins.as_os_str()];
        let arguments = pins.into_iter().chain(arguments.iter().map(AsRef::as_ref));
        self.node_side.within(|| run(&binaries::carom(), arguments))
    }

    /// Runs `carom guard`, which must succeed, and returns what it said.
    #[track_caller]
    pub(super) fn told(&self, arguments: &[&str]) -> String {
        let Finished { code, output, errors } = self.guard(arguments);
        assert_eq!(code, Some(0), "carom guard {arguments:?}: {output}{errors}");
        output
    }

    /// Runs `carom guard --json`, which must succeed, and reads what it said.
    #[track_caller]
    pub(super) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let arguments: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
        let told = self.told(&arguments);
        serde_json::from_str(&told).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {told}"))
    }

    /// The status that `client` gets for each of `paths` on one connection, or why none came.
    pub(super) fn ask(&self, client: &str, node: &str, paths: &[&str]) -> Answer {
        self.within_patience(PATIENCE, client, node, paths)
    }

    /// The same of a client that gives up soon.
    pub(super) fn knock(&self, client: &str, node: &str, paths: &[&str]) -> Answer {
        self.within_patience(IMPATIENCE, client, node, paths)
    }

    fn within_patience(&self, patience: Duration, client: &str, node: &str, paths: &[&str]) -> Answer {
        let (from, to) = (end(client, 0), end(node, 80));
        self.clients.within(|| ask(from, to, patience, paths)).map_err(|error| error.kind())
    }

    /// A redirect on a connection of its own, or what came soon instead.
    pub(super) fn asked(&self, client: &str, node: &str) -> Result<(), String> {
        match self.knock(client, node, &["plain"]) {
            Ok(statuses) if statuses == [302] => Ok(()),
            other => Err(format!("{client}: {other:?}")),
        }
    }

    /// Who is served over both families gets a redirect.
    #[track_caller]
    pub(super) fn serves(&self, clients: [&str; 2]) {
        for (client, to) in clients.into_iter().zip(NODE) {
            assert_eq!(self.ask(client, to, &["plain"]), Ok(vec![302]), "{client}");
        }
    }

    /// Who is dropped over both families hears nothing.
    #[track_caller]
    pub(super) fn drops(&self, clients: [&str; 2]) {
        for (client, to) in clients.into_iter().zip(NODE) {
            let answer = self.knock(client, to, &["plain"]);
            assert!(is_silence(&answer), "{client}: {answer:?}");
        }
    }

    /// Packets with this reason so far, of all protocols or of one.
    pub(super) fn counted(&self, reason: &str) -> u64 {
        self.packets(reason, "packets")
    }

    /// Packets that a monitoring stage would have treated for this reason.
    pub(super) fn monitored(&self, reason: &str) -> u64 {
        self.packets(reason, "monitored")
    }

    fn packets(&self, reason: &str, column: &str) -> u64 {
        let status = self.json(&["status"]);
        let packets = status["packets"].as_array().expect("packets are a list");
        packets.iter().find(|row| row["reason"] == reason).map_or(0, |row| row[column].as_u64().unwrap())
    }

    /// Sends the frames to the node and waits until the guard has counted as many for `reason`.
    #[track_caller]
    pub(super) fn judged(&self, what: &str, reason: &str, frames: &[Vec<u8>]) {
        let before = self.counted(reason);
        self.clients.inject(FAR, frames);
        let expected = before + frames.len() as u64;
        eventually(SOON, &format!("{what} is counted as {reason}"), || match self.counted(reason) {
            counted if counted >= expected => Ok(()),
            counted => Err(format!("{before}, then {counted}\n{}", self.told(&["status"]))),
        });
    }

    /// Writes a file of the site and returns its path.
    pub(super) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.site.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

/// A text of TOML that is a list of one path.
pub(super) fn list_of(path: &Path) -> String {
    format!("[{path:?}]")
}

pub(super) fn end(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().unwrap(), port)
}

/// Asks for each path in turn on one connection.
fn ask(from: SocketAddr, to: SocketAddr, patience: Duration, paths: &[&str]) -> std::io::Result<Vec<u16>> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&from.into())?;
    socket.connect_timeout(&to.into(), patience)?;
    socket.set_read_timeout(Some(patience))?;
    let mut stream = TcpStream::from(socket);
    let mut statuses = Vec::new();
    for path in paths {
        // In one piece: a request in parts would wait for delayed acknowledgements.
        stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: {GO}\r\n\r\n").as_bytes())?;
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

pub(super) fn is_silence(answer: &Answer) -> bool {
    matches!(answer, Err(ErrorKind::TimedOut | ErrorKind::WouldBlock))
}
