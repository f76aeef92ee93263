//! Session tickets: resumed on every node with the same secret, across reloads, and not beyond their time.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use lab::{Authority, Node, Site, Trust, eventually};
use rustix::process::Signal;

use crate::fixture::GO;
use crate::tls::site;

fn with_secret(site: Site, secret: &str) -> Site {
    let path = site.path().join("tickets.secret");
    fs::write(&path, secret).unwrap();
    let value = format!("{path:?}");
    site.set("tls", "ticket_secret", value)
}

const FLEET: &str = "a secret of the fleet with more than thirty-two bytes\n";

/// Connects, asks once so that tickets arrive, and says whether the session was resumed.
#[track_caller]
fn resumes(trust: &Trust, node: &Node) -> bool {
    let mut peer = trust.connect(node.secure_address(), GO);
    let resumed = peer.is_resumed();
    assert_eq!(peer.get(GO, "/plain").location(), "https://plain.test/");
    resumed
}

#[test]
fn a_session_is_resumed_on_every_node_that_has_the_secret() {
    let authority = Authority::new();
    let one = with_secret(site(&authority), FLEET);
    // Another certificate for the same names, as nodes may have while one is renewed.
    let other = with_secret(site(&authority), FLEET.trim_end());
    let stranger = with_secret(site(&authority), "another secret, which also has thirty-two bytes");
    let (one, other, stranger) = (one.start(), other.start(), stranger.start());
    for trust in [Trust::new(&authority), Trust::old(&authority)] {
        assert!(!resumes(&trust, &one));
        assert!(resumes(&trust, &other));
        assert!(resumes(&trust, &one));
        assert!(!resumes(&trust, &stranger));
    }
    for kind in ["tls13_resumed", "tls12_resumed"] {
        assert_eq!(crate::tls::count(&other, "carom_tls_handshakes_total", ("kind", kind)), 1.0);
    }
}

#[test]
fn openssl_resumes_on_another_node_with_the_secret() {
    let authority = Authority::new();
    let (one, other) = (with_secret(site(&authority), FLEET), with_secret(site(&authority), FLEET));
    let session = one.path().join("session.pem");
    let (one, other) = (one.start(), other.start());
    let shake = |node: &Node, option: &str, session: &Path| {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &node.secure_address().to_string(), "-servername", GO])
            .args(["-tls1_2", option])
            .arg(session)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = shake(&one, "-sess_out", &session);
    assert!(said.contains("\nNew, TLSv1.2"), "{said}");
    let said = shake(&other, "-sess_in", &session);
    assert!(said.contains("\nReused, TLSv1.2"), "{said}");
}

#[test]
fn a_session_survives_the_reload_of_certificates_and_a_new_secret() {
    let authority = Authority::new();
    let site = with_secret(site(&authority), FLEET);
    let mut node = site.start();
    let trust = Trust::new(&authority);
    assert!(!resumes(&trust, &node));
    authority.issue(&[GO]).publish(&site.certificates(), "main");
    node.process().signal(Signal::HUP);
    eventually(lab::SOON, "the new certificate serves", || {
        node.log().matches("certificates serve").count() == 2
    });
    assert!(resumes(&trust, &node));

    let site = with_secret(site, "a secret that replaces the old one of the fleet");
    node.process().signal(Signal::HUP);
    eventually(lab::SOON, "the new secret is taken", || node.log().contains("was replaced"));
    assert!(resumes(&trust, &node), "the old key opens until its epoch is over");

    fs::write(site.path().join("tickets.secret"), "short").unwrap();
    node.process().signal(Signal::HUP);
    eventually(lab::SOON, "a bad secret is named", || node.log().contains("stays as it was"));
    assert!(resumes(&trust, &node));
}

#[test]
fn a_session_is_not_resumed_when_the_next_epoch_is_over() {
    let authority = Authority::new();
    let site = with_secret(site(&authority), FLEET).set("tls", "ticket_epoch_s", 1);
    let node = site.start();
    // Each attempt begins with a ticket of its own, because every reply brings a new one.
    eventually(lab::SOON, "an old ticket opens nothing", || {
        let trust = Trust::new(&authority);
        resumes(&trust, &node);
        let sealed = std::time::Instant::now();
        eventually(lab::SOON, "two epochs pass", || sealed.elapsed().as_millis() > 3_100);
        !resumes(&trust, &node)
    });
    let fresh = Trust::new(&authority);
    eventually(lab::SOON, "a young ticket does", || {
        resumes(&fresh, &node);
        resumes(&fresh, &node)
    });
}

#[test]
fn a_node_without_a_secret_says_so_and_one_with_a_bad_secret_does_not_start() {
    let authority = Authority::new();
    let alone = site(&authority);
    let node = alone.start();
    assert!(node.log().contains("tls.ticket_secret"), "{}", node.log());
    let trust = Trust::new(&authority);
    resumes(&trust, &node);
    assert!(resumes(&trust, &node));
    let finished = with_secret(site(&authority), "short").serve_in_vain();
    assert_eq!(finished.code, Some(1));
    assert!(finished.errors.contains("32 or more"), "{}", finished.errors);
}
