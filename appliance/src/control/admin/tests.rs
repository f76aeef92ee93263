//! What the admin listener answers, asked over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::*;
use crate::config::settings::AdminAddress;
use crate::control::state::{Phase, SnapshotFacts};

/// An admin listener on a thread of its own, until it is dropped.
struct Running {
    address: String,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(address: &AdminAddress, state: &Arc<NodeState>) -> Self {
        let listener = AdminListener::bind(address).unwrap();
        let address = listener.address();
        let (end, ended) = oneshot::channel::<()>();
        let state = Arc::clone(state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(listener, state, async { drop(ended.await) })).unwrap();
        });
        Self { address, end: Some(end), thread: Some(thread) }
    }

    /// Sends `request` and returns status and body.
    fn ask(&self, request: &str) -> (u16, String) {
        let request = format!("{request} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        match self.address.strip_prefix("unix:") {
            Some(path) => exchange(UnixStream::connect(path).unwrap(), &request),
            None => exchange(TcpStream::connect(&self.address).unwrap(), &request),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.end.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn exchange(mut stream: impl Read + Write, request: &str) -> (u16, String) {
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("cache-control: no-store"), "{head}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn loopback() -> AdminAddress {
    AdminAddress::Tcp("127.0.0.1:0".parse().unwrap())
}

fn starting() -> Arc<NodeState> {
    NodeState::new("edge-1".into(), Instant::now(), Vec::new(), Vec::new())
}

fn serving() -> Arc<NodeState> {
    let state = starting();
    state.swapped(SnapshotFacts {
        generation: 7,
        built_at_unix_s: 1,
        links: 3,
        domains: 2,
        bytes: 4_096,
        content_checksum: 1,
        locked: false,
        served_since: Instant::now(),
    });
    state.enter(Phase::Serving);
    state
}

#[test]
fn readiness_names_every_reason_and_turns_with_the_phase() {
    let state = starting();
    let admin = Running::start(&loopback(), &state);
    let reason = |code: &str, detail: &str| format!(r#"{{"code":"{code}","detail":"{detail}"}}"#);
    let starting = reason("starting", "the node is starting");
    let no_snapshot = reason("no_snapshot", "no snapshot is served");
    let draining = reason("draining", "the node is draining");
    let unready = |reasons: &str| (503, format!(r#"{{"ready":false,"reasons":[{reasons}]}}"#));
    assert_eq!(admin.ask("GET /readyz"), unready(&format!("{starting},{no_snapshot}")));
    state.enter(Phase::Serving);
    assert_eq!(admin.ask("GET /readyz"), unready(&no_snapshot));
    state.enter(Phase::Draining);
    assert_eq!(admin.ask("GET /readyz"), unready(&format!("{draining},{no_snapshot}")));
    assert_eq!(admin.ask("GET /healthz"), (200, r#"{"live":true}"#.into()));
}

#[test]
fn a_serving_node_is_ready_and_says_what_it_serves() {
    let admin = Running::start(&loopback(), &serving());
    assert_eq!(admin.ask("GET /readyz"), (200, r#"{"ready":true,"reasons":[]}"#.into()));
    let (status, body) = admin.ask("GET /vitals");
    let vitals: vitals::Vitals = serde_json::from_str(&body).unwrap();
    assert_eq!((status, vitals.version, vitals.ready), (200, vitals::VERSION, true));
    assert_eq!(vitals.snapshot.unwrap().generation, 7);
    let (status, body) = admin.ask("GET /metrics");
    assert_eq!(status, 200);
    assert!(body.contains("\ncarom_snapshot_generation 7\n"), "{body}");
}

#[test]
fn other_paths_methods_and_bodies_are_refused() {
    let admin = Running::start(&loopback(), &serving());
    let (status, body) = admin.ask("GET /metric");
    assert_eq!((status, body.lines().next()), (404, Some("no /metric")));
    assert_eq!(admin.ask("POST /readyz").0, 405);
    let upload =
        "GET /readyz HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Length: 5000000\r\n\r\n";
    assert_eq!(exchange(TcpStream::connect(&admin.address).unwrap(), upload).0, 413);
}

#[test]
fn silent_connections_do_not_keep_others_out() {
    let admin = Running::start(&loopback(), &serving());
    // One fewer than there may be: they hold their places for the whole test.
    let _silent: Vec<_> = (1..crate::limits::ADMIN_CONNECTIONS_MAX)
        .map(|_| TcpStream::connect(&admin.address).unwrap())
        .collect();
    assert_eq!(admin.ask("GET /healthz").0, 200);
    assert_eq!(admin.ask("GET /healthz").0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_ends_and_frees_its_place() {
    use tokio::io::AsyncReadExt as _;
    let listener = AdminListener::bind(&loopback()).unwrap();
    let address = listener.address();
    let (end, ended) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, serving(), async { drop(ended.await) }));
    let started = tokio::time::Instant::now();
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let read = silent.read(&mut [0; 16]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(started.elapsed() >= crate::limits::ADMIN_IDLE_TIMEOUT);
    drop(end);
    server.await.unwrap().unwrap();
}

#[test]
fn a_unix_socket_is_for_owner_and_group_and_goes_with_its_listener() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let admin = Running::start(&AdminAddress::Unix(path.clone()), &serving());
    assert_eq!(admin.address, format!("unix:{}", path.display()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(admin.ask("GET /readyz").0, 200);
    drop(admin);
    assert!(!path.exists());
}

fn check_refused(path: &Path, complaint: &str) {
    let Err(error) = AdminListener::bind(&AdminAddress::Unix(path.to_owned())) else { panic!("{complaint}") };
    assert_eq!(error.to_string(), complaint.replace("PATH", path.to_str().unwrap()));
}

#[test]
fn a_socket_that_a_dead_process_left_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "std leaves the name behind");
    AdminListener::bind(&AdminAddress::Unix(path)).unwrap();
}

#[test]
fn a_socket_that_somebody_listens_on_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let _other = UnixListener::bind(&path).unwrap();
    check_refused(&path, "another process listens on PATH: end it or choose another admin.listen");
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "keep me").unwrap();
    check_refused(&path, "PATH exists and is no socket: remove it or choose another admin.listen");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "keep me");
}

#[test]
fn a_taken_port_is_named() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let Err(error) = AdminListener::bind(&AdminAddress::Tcp(address)) else { panic!("{address} is taken") };
    let expected =
        format!("cannot listen on admin.listen = \"{address}\": Address already in use (os error 98)");
    assert_eq!(error.to_string(), expected);
}
