//! HTTPS with real clients: what is agreed, who is refused, and what a flood of handshakes does to those who are connected.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lab::process::run;
use lab::{Authority, Node, Site, Trust, eventually};

use crate::fixture::{self, GO, SHOP};

/// A site with certificates for the hosts of the fixture.
pub(crate) fn site(authority: &Authority) -> Site {
    let site = fixture::site().with_https();
    authority.issue(&[GO, SHOP]).publish(&site.certificates(), "main");
    authority.issue(&["*.brand.example"]).publish(&site.certificates(), "brand");
    site
}

/// The sum of a metric of the node that carries `labels`.
#[track_caller]
pub(crate) fn count(node: &Node, name: &str, label: (&str, &str)) -> f64 {
    node.metrics().sum(name, &[label])
}

fn failures(node: &Node, reason: &str) -> f64 {
    count(node, "carom_tls_handshake_failures_total", ("reason", reason))
}

/// What curl prints for `host`: the status, the version of HTTP, and where to.
pub(crate) fn curl(
    site: &Site,
    authority: &Authority,
    node: &Node,
    host: &str,
    arguments: &[&str],
) -> String {
    let root = site.path().join("root.pem");
    authority.write_root(&root);
    let port = node.secure_address().port();
    let mut all = vec!["--silent", "--show-error", "--max-time", "40", "--cacert", root.to_str().unwrap()];
    all.extend(arguments);
    let (resolve, url) = (format!("{host}:{port}:127.0.0.1"), format!("https://{host}:{port}/plain"));
    all.extend(["--resolve", &resolve, "--write-out", "%{http_code} %{http_version} %{redirect_url}", &url]);
    let finished = run(Path::new("curl"), all);
    if finished.code == Some(0) { finished.output } else { format!("failed: {}", finished.errors) }
}

#[test]
fn a_click_over_https_is_answered_like_one_over_http() {
    let authority = Authority::new();
    let site = site(&authority);
    let node = site.start();
    for versions in [&["--tlsv1.3"][..], &["--tls-max", "1.2"], &["--http1.1"]] {
        let seen = curl(&site, &authority, &node, GO, versions);
        assert!(seen.starts_with("302 ") && seen.ends_with(" https://plain.test/"), "{versions:?}: {seen}");
    }
    let kinds = "carom_tls_handshakes_total";
    assert_eq!(count(&node, kinds, ("kind", "tls13_full")), 2.0);
    assert_eq!(count(&node, kinds, ("kind", "tls12_full")), 1.0);
    let trust = Trust::new(&authority);
    let mut peer = trust.connect(node.secure_address(), "any.brand.example");
    for _ in 0..3 {
        assert_eq!(peer.get("any.brand.example", "/any").location(), "https://any.brand.test/");
    }
    assert_eq!(node.get(GO, "/plain").location(), "https://plain.test/");
}

#[test]
fn a_key_exchange_withstands_quantum_computers_where_the_client_can() {
    let authority = Authority::new();
    let node = site(&authority).start();
    let mut peer = Trust::new(&authority).connect(node.secure_address(), GO);
    assert_eq!((peer.version().as_str(), peer.key_exchange().as_str()), ("TLSv1_3", "X25519MLKEM768"));
    peer.get(GO, "/plain");
    let mut peer = Trust::old(&authority).connect(node.secure_address(), GO);
    assert_eq!((peer.version().as_str(), peer.key_exchange().as_str()), ("TLSv1_2", "X25519"));
    peer.get(GO, "/plain");
    assert_eq!(node.metrics().sum("carom_tls_handshakes_post_quantum_total", &[]), 1.0);
}

#[test]
fn a_client_without_a_version_that_is_allowed_is_refused_and_counted() {
    let authority = Authority::new();
    let node = site(&authority).set("tls", "min_version", r#""1.3""#).start();
    let error = Trust::old(&authority).try_connect(node.secure_address(), GO).unwrap_err();
    assert!(error.contains("ProtocolVersion"), "{error}");
    eventually(lab::SOON, "the refusal is counted", || failures(&node, "version") == 1.0);
    Trust::new(&authority).connect(node.secure_address(), GO).get(GO, "/plain");
}

#[test]
fn an_unknown_name_is_refused_unless_there_is_a_default_certificate() {
    let authority = Authority::new();
    let strict = site(&authority);
    let node = strict.start();
    let error = Trust::new(&authority).try_connect(node.secure_address(), "nobody.example").unwrap_err();
    assert!(error.contains("AccessDenied"), "{error}");
    eventually(lab::SOON, "the refusal is counted", || failures(&node, "unknown_name") == 1.0);
    drop(node);
    let node = strict.set("tls", "default_certificate", r#""main""#).start();
    let error = Trust::new(&authority).try_connect(node.secure_address(), "nobody.example").unwrap_err();
    assert!(error.contains("only valid for"), "the client got the default certificate: {error}");
}

#[test]
fn a_host_that_the_certificate_does_not_cover_gets_421_and_the_connection_lives() {
    let authority = Authority::new();
    let node = site(&authority).start();
    let mut peer = Trust::new(&authority).connect(node.secure_address(), GO);
    let reply = peer.get("any.brand.example", "/any");
    assert_eq!((reply.status, reply.body.as_slice()), (421, &b"this connection is for other hosts\n"[..]));
    assert_eq!(peer.get(SHOP, "/").status, 308, "the certificate covers this one as well");
    assert_eq!(peer.get(GO, "/plain").location(), "https://plain.test/");
    assert_eq!(count(&node, "carom_requests_total", ("outcome", "misdirected")), 1.0);
}

#[test]
fn plain_http_on_the_https_port_gets_a_clear_400_and_junk_is_closed_and_counted() {
    let authority = Authority::new();
    let node = site(&authority).start();
    let reply = lab::Peer::connect(node.secure_address()).get(GO, "/plain");
    assert_eq!(reply.status, 400);
    assert!(String::from_utf8_lossy(&reply.body).contains("https://"), "{reply:?}");
    assert_eq!(failures(&node, "plain_http"), 1.0);

    for junk in [&b"\x00\x01\x02\x03"[..], b"SSH-2.0-x\r\n", b"\x05\x01\x00", &[0xff; 600]] {
        let mut peer = lab::Peer::connect(node.secure_address());
        peer.send(junk);
        peer.rest();
    }
    let junk_seen = || failures(&node, "not_tls") + failures(&node, "plain_http");
    eventually(lab::SOON, "junk is counted", || junk_seen() == 5.0);
    // A record of the right kind whose content is none.
    let mut peer = lab::Peer::connect(node.secure_address());
    peer.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00");
    peer.rest();
    eventually(lab::SOON, "it is counted", || failures(&node, "protocol") == 1.0);
}

#[test]
fn a_handshake_that_is_not_completed_in_time_is_cut_off_and_counted() {
    let authority = Authority::new();
    let node = site(&authority).set("tls", "handshake_timeout_ms", 300).start();
    let mut silent = lab::Peer::connect(node.secure_address());
    let mut slow = lab::Peer::connect(node.secure_address());
    slow.send(b"\x16\x03\x01\x02\x00\x01");
    silent.rest();
    slow.rest();
    assert_eq!(failures(&node, "timeout"), 2.0);
    assert_eq!(count(&node, "carom_connections_closed_total", ("reason", "handshake")), 2.0);
}

#[test]
fn a_handshake_in_the_smallest_pieces_is_completed() {
    let authority = Authority::new();
    let site = site(&authority);
    let node = site.start();
    let root = site.path().join("root.pem");
    authority.write_root(&root);
    // One byte per segment, in both directions of a proxy that knows nothing of TLS.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (proxy, target) = (listener.local_addr().unwrap(), node.secure_address());
    let forwarding = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(target).unwrap();
        server.set_nodelay(true).unwrap();
        let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let back = thread::spawn(move || std::io::copy(&mut from_server, &mut to_client));
        let mut byte = [0];
        while matches!(client.read(&mut byte), Ok(1)) && server.write_all(&byte).is_ok() {}
        let _ = server.shutdown(std::net::Shutdown::Write);
        let _ = back.join().unwrap();
    });
    let mut peer = Trust::new(&authority).connect(proxy, GO);
    assert_eq!(peer.get(GO, "/plain").location(), "https://plain.test/");
    drop(peer);
    forwarding.join().unwrap();
}

#[test]
fn openssl_agrees_to_a_connection_without_a_flaw() {
    let authority = Authority::new();
    let site = site(&authority);
    let node = site.start();
    let root = site.path().join("root.pem");
    authority.write_root(&root);
    let address = node.secure_address().to_string();
    for version in ["-tls1_2", "-tls1_3"] {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &address, "-servername", GO, "-CAfile"])
            .arg(&root)
            .args([version, "-alpn", "http/1.1", "-verify_return_error", "-brief"])
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains("Verification: OK"), "{version}: {said}");
    }
}

#[test]
fn a_flood_of_handshakes_does_not_keep_the_connected_from_their_answers() {
    let authority = Authority::new();
    let node = site(&authority).set("listen", "shards", 1).start();
    let trust = Trust::new(&authority);
    let mut connected = trust.connect(node.secure_address(), GO);
    connected.get(GO, "/plain");
    let hello = client_hello();
    let over = AtomicBool::new(false);
    let address = node.secure_address();
    let neighbour = "127.0.0.2".parse().unwrap();
    thread::scope(|scope| {
        let _over = Over(&over);
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // Each costs the node a signature and a key exchange, and the flood nothing.
                    let burst: Vec<_> = (0..100)
                        .filter_map(|_| {
                            let mut stream = TcpStream::connect(address).ok()?;
                            stream.write_all(&hello).ok()?;
                            Some(stream)
                        })
                        .collect();
                    drop(burst);
                }
            });
        }
        for _ in 0..100 {
            assert_eq!(connected.get(GO, "/plain").location(), "https://plain.test/");
            // The flood may take all the connections that its own address may have.
            let mut fresh = lab::Peer::connect_from(neighbour, node.address()).unwrap();
            assert_eq!(fresh.get(GO, "/plain").location(), "https://plain.test/");
        }
    });
    eventually(lab::SOON, "what the flood left is cleaned up", || {
        let open = node.metrics().sum("carom_connections_open", &[]);
        if open <= 2.0 { Ok(()) } else { Err(format!("{open} connections")) }
    });
    assert!(failures(&node, "truncated") > 0.0);
    assert_eq!(failures(&node, "node"), 0.0);
}

/// Ends a load, also when its case fails.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The first flight of a client.
fn client_hello() -> Vec<u8> {
    let trust = Trust::new(&Authority::new());
    let mut connection = trust.handshake(GO);
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}
