//! A node that serves: the real binary, with the addresses it got.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use vitals::Vitals;

use crate::admin::{Admin, Answered};
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::process::Process;
use crate::reply::Reply;
use crate::wait::{SOON, eventually};

/// A running `carom serve`; killed when dropped.
#[derive(Debug)]
pub struct Node {
    process: Process,
    http: Vec<SocketAddr>,
    https: Vec<SocketAddr>,
    admin: Admin,
}

impl Node {
    /// Waits until `process` has written its ready file.
    #[track_caller]
    pub fn ready(mut process: Process, ready_file: &Path) -> Self {
        let text = eventually(SOON, "the node writes its ready file", || {
            if let Some(status) = process.ended() {
                panic!("the node ended while it started: {status}\n{}", process.errors());
            }
            fs::read_to_string(ready_file)
        });
        let ready: serde_json::Value = serde_json::from_str(&text).expect("the ready file is JSON");
        assert_eq!(ready["pid"], process.id(), "the ready file names the process");
        let addresses = |key: &str| {
            let list = ready[key].as_array().expect("addresses are a list");
            list.iter().map(|address| address.as_str().unwrap().parse().unwrap()).collect()
        };
        let (http, https) = (addresses("http"), addresses("https"));
        let admin = Admin::at(ready["admin"].as_str().expect("admin is a text"));
        Self { process, http, https, admin }
    }

    /// The node that follows this one after an upgrade, when it is ready.
    #[track_caller]
    pub fn successor(&self, ready_file: &Path) -> Self {
        let id = eventually(SOON, "the successor writes its ready file", || {
            let text = fs::read_to_string(ready_file).ok()?;
            let ready: serde_json::Value = serde_json::from_str(&text).expect("the ready file is JSON");
            let id = ready["pid"].as_u64().expect("a process has a number") as u32;
            (id != self.id()).then_some(id)
        });
        Self::ready(self.process.successor(id), ready_file)
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.errors()
    }

    /// Every traffic address: IPv4 first, then IPv6 where there is one.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.http
    }

    /// The traffic address of IPv4.
    pub fn address(&self) -> SocketAddr {
        self.http[0]
    }

    /// The first address of HTTPS.
    pub fn secure_address(&self) -> SocketAddr {
        self.https[0]
    }

    /// A new connection.
    #[track_caller]
    pub fn connect(&self) -> Peer {
        Peer::connect(self.address())
    }

    /// The reply to a GET on a connection of its own.
    #[track_caller]
    pub fn get(&self, host: &str, path: &str) -> Reply {
        self.connect().get(host, path)
    }

    /// The reply to these bytes on a connection of its own.
    #[track_caller]
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Reply {
        self.connect().ask(request)
    }

    /// Checks the reply to these bytes over every address, each time on a connection of its own.
    pub fn ask_everywhere(&self, request: impl AsRef<[u8]>, check: impl Fn(&Reply)) {
        for &address in self.addresses() {
            check(&Peer::connect(address).ask(request.as_ref()));
        }
    }

    /// Its admin listener.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Its metrics now.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let Answered { status, body } = self.admin.get("/metrics");
        assert_eq!(status, 200, "{body}");
        Metrics::parse(&body).unwrap_or_else(|error| panic!("/metrics: {error}\n{body}"))
    }

    /// The sum of a metric over all samples that carry `labels`.
    #[track_caller]
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metrics().sum(name, labels)
    }

    /// Waits until a metric has at least this value.
    #[track_caller]
    pub fn until_metric(&self, name: &str, labels: &[(&str, &str)], at_least: f64) {
        let what = format!("{name} {labels:?} reaches {at_least}");
        eventually(SOON, &what, || {
            let value = self.metric(name, labels);
            if value >= at_least { Ok(()) } else { Err(value) }
        });
    }

    /// What it states about its health.
    #[track_caller]
    pub fn vitals(&self) -> Vitals {
        let Answered { status, body } = self.admin.get("/vitals");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("/vitals: {error}\n{body}"))
    }

    /// The generation it serves.
    #[track_caller]
    pub fn generation(&self) -> u64 {
        self.vitals().snapshot.expect("a snapshot is served").generation
    }

    /// Waits until it serves this generation.
    #[track_caller]
    pub fn until_generation(&self, generation: u64) {
        eventually(SOON, &format!("generation {generation} is served"), || match self.generation() {
            served if served == generation => Ok(()),
            served => Err(served),
        });
    }

    /// How many connections it holds, by its own account.
    #[track_caller]
    pub fn connections(&self) -> u64 {
        self.vitals().shards.iter().map(|shard| shard.connections).sum()
    }

    /// Waits until it holds at most so many connections.
    #[track_caller]
    pub fn until_connections(&self, at_most: u64) {
        eventually(SOON, &format!("at most {at_most} connections are open"), || match self.connections() {
            open if open <= at_most => Ok(()),
            open => Err(open),
        });
    }

    /// Asks it to look at the snapshot's name.
    pub fn reload(&self) {
        self.process.signal(Signal::HUP);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(&mut self, within: Duration) -> ExitStatus {
        self.process.end(within)
    }

    /// Drains it and checks that it ends well.
    #[track_caller]
    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.end(SOON);
        assert!(status.success(), "the node ended with {status}");
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap().count()
    }

    /// Resident memory in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says VmRSS");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib * 1024
    }
}
