//! Directories of certificates: good and bad ones side by side, renewed and broken while clients connect.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use lab::process::run;
use lab::{Authority, Trust, binaries, eventually};
use rustix::process::Signal;

use crate::fixture::{self, GO, SHOP};
use crate::tls::{Over, site};

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn one_bad_certificate_never_takes_the_others_down_and_is_named_with_its_reason() {
    let authority = Authority::new();
    let site = site(&authority);
    let directory = site.certificates();
    let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
    let good = authority.issue(&["bad.example"]);
    let other = authority.issue(&["bad.example"]);
    let stranger = Authority::new().issue(&["bad.example"]);

    write("mismatch.crt", &good.chain);
    write("mismatch.key", &other.key);
    write("expired.crt", &authority.issue_for(&["bad.example"], DAY * 40, DAY * 30).chain);
    write("expired.key", &good.key);
    write("keyless.crt", &good.chain);
    write("garbage.crt", "-----BEGIN CERTIFICATE-----\nnonsense\n");
    write("garbage.key", &good.key);
    write("empty.crt", "");
    write("empty.key", &good.key);
    write("nameless.crt", &authority.issue(&[]).chain);
    write("nameless.key", &good.key);
    let intermediate = stranger.chain.replace(&stranger.leaf, "");
    write("broken.crt", &format!("{}{intermediate}", good.leaf));
    write("broken.key", &good.key);
    write("huge.crt", &"#".repeat(300_000));
    write("README", "not a certificate");

    let node = site.start();
    let log = node.log();
    for (file, reason) in [
        ("mismatch.crt", "the private key does not belong to the certificate"),
        ("expired.crt", "expired 10 days ago"),
        ("keyless.crt", "no private key"),
        ("garbage.crt", "no certificate"),
        ("empty.crt", "no certificate"),
        ("nameless.crt", "no DNS name"),
        ("broken.crt", "the chain does not hold together"),
        ("huge.crt", "more than 262144 bytes"),
    ] {
        let line = log.lines().find(|line| line.contains(file)).unwrap_or_else(|| panic!("{file}: {log}"));
        assert!(line.contains(reason), "{file} should say {reason:?}: {line}");
    }
    assert!(!log.contains("README"), "{log}");
    let trust = Trust::new(&authority);
    for (host, path) in [(GO, "/plain"), (SHOP, "/mute"), ("any.brand.example", "/any")] {
        assert!(trust.connect(node.secure_address(), host).get(host, path).status < 400);
    }
    assert!(trust.try_connect(node.secure_address(), "bad.example").is_err());
}

#[test]
fn a_node_without_any_usable_certificate_does_not_start_and_says_why() {
    let site = fixture::site().with_https();
    let finished = site.serve_in_vain();
    assert_eq!(finished.code, Some(1));
    assert!(finished.errors.contains("tls.certificates"), "{}", finished.errors);
    fs::write(site.certificates().join("a.crt"), "junk").unwrap();
    let finished = site.serve_in_vain();
    assert!(finished.errors.contains("a.crt"), "{}", finished.errors);
}

#[test]
fn a_renewed_certificate_serves_after_sighup_and_a_broken_one_keeps_the_old() {
    let authority = Authority::new();
    let site = site(&authority);
    let mut node = site.start();
    let trust = Trust::new(&authority);
    let address = node.secure_address();
    let first = trust.connect(address, GO).certificate();

    authority.issue(&[GO]).publish(&site.certificates(), "main");
    node.process().signal(Signal::HUP);
    let second = eventually(lab::SOON, "the new certificate serves", || {
        Some(trust.connect(address, GO).certificate()).filter(|now| *now != first)
    });
    let renewed = trust.try_connect(address, SHOP);
    assert!(renewed.is_err(), "the new one does not cover this host any more");

    fs::write(site.certificates().join("main.crt"), "half a fi").unwrap();
    node.process().signal(Signal::HUP);
    eventually(lab::SOON, "the broken one is named", || {
        let log = node.log();
        if log.contains("main.crt") && log.contains("old_one_serves=true") { Ok(()) } else { Err(log) }
    });
    assert_eq!(trust.connect(address, GO).certificate(), second);

    fs::remove_file(site.certificates().join("main.crt")).unwrap();
    node.process().signal(Signal::HUP);
    eventually(lab::SOON, "what was taken away is gone", || trust.try_connect(address, GO).is_err());
    trust.connect(address, "any.brand.example");
}

#[test]
fn a_change_in_the_directory_is_noticed_without_a_signal() {
    let authority = Authority::new();
    let site = site(&authority).set("tls", "poll_interval_ms", 50);
    let node = site.start();
    let trust = Trust::new(&authority);
    assert!(trust.try_connect(node.secure_address(), "new.example").is_err());
    let folder = site.certificates().join("new.example");
    fs::create_dir(&folder).unwrap();
    let issued = authority.issue(&["new.example"]);
    fs::write(folder.join("privkey.pem"), issued.key).unwrap();
    fs::write(folder.join("fullchain.pem"), issued.chain).unwrap();
    eventually(lab::SOON, "the new name is served", || {
        trust.try_connect(node.secure_address(), "new.example").map(|_| ())
    });
}

#[test]
fn a_client_gets_ecdsa_where_it_can_and_rsa_where_it_must_with_a_warning() {
    let authority = Authority::new();
    let site = site(&authority);
    let rsa = authority.issue_rsa(&[GO]);
    rsa.publish(&site.certificates(), "rsa");
    let node = site.start();
    let root = site.path().join("root.pem");
    authority.write_root(&root);
    let address = node.secure_address().to_string();
    for (suites, expected) in [("ECDHE-RSA-AES128-GCM-SHA256", "RSA"), ("ALL", "ECDSA")] {
        let output = std::process::Command::new("openssl")
            .args([
                "s_client",
                "-connect",
                &address,
                "-servername",
                GO,
                "-tls1_2",
                "-cipher",
                suites,
                "-CAfile",
            ])
            .arg(&root)
            .arg("-brief")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(&format!("Signature type: {expected}")), "{suites}: {said}");
    }
    let log = node.log();
    assert!(log.contains("certificates serve that are not as they should be"), "{log}");
    assert!(log.contains("RSA costs three times") && log.contains("certificates=1"), "{log}");
}

#[test]
fn many_certificates_are_reloaded_under_load_without_a_failed_handshake() {
    const NAMES: usize = 400;
    let authority = Authority::new();
    let site = site(&authority);
    let names: Vec<String> = (0..NAMES).map(|number| format!("n{number}.many.example")).collect();
    for name in &names {
        authority.issue(&[name]).publish(&site.certificates(), name);
    }
    let mut node = site.start();
    let address = node.secure_address();
    let (over, shaken) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let _over = Over(&over);
        for thread in 0..2 {
            let (over, shaken, names, authority) = (&over, &shaken, &names, &authority);
            scope.spawn(move || {
                let mut number = thread;
                while !over.load(Ordering::Relaxed) {
                    // A new client each time: nothing is resumed.
                    let name = &names[number % NAMES];
                    let peer = Trust::new(authority).try_connect(address, name);
                    if let Err(error) = peer {
                        over.store(true, Ordering::Relaxed);
                        panic!("a handshake failed for {name}: {error}");
                    }
                    shaken.fetch_add(1, Ordering::Relaxed);
                    number += 7;
                }
            });
        }
        for round in 1..=3 {
            for name in names.iter().skip(round).step_by(3) {
                authority.issue(&[name]).publish(&site.certificates(), name);
            }
            let before = shaken.load(Ordering::Relaxed);
            node.process().signal(Signal::HUP);
            let lines = || node.log().lines().filter(|line| line.contains("certificates serve")).count();
            eventually(lab::SOON, "the new ones serve", || lines() > round);
            eventually(lab::SOON, "the load goes on", || shaken.load(Ordering::Relaxed) > before + 20);
        }
    });
}

#[test]
fn certs_and_vitals_name_what_expires_first_and_what_cannot_be_used() {
    let authority = Authority::new();
    let site = site(&authority);
    let short = authority.issue_for(&["soon.example"], DAY, DAY * 6 + DAY / 2);
    short.publish(&site.certificates(), "soon");
    fs::write(site.certificates().join("bad.crt"), "junk").unwrap();
    let configuration = site.write_configuration();
    let certs = |arguments: &[&str]| {
        let all = ["certs", "--config", configuration.to_str().unwrap()];
        run(&binaries::carom(), all.iter().chain(arguments))
    };
    let finished = certs(&[]);
    assert_eq!(finished.code, Some(1));
    let soon = finished.output.lines().find(|line| line.contains("soon.example")).unwrap();
    assert!(soon.trim_start().starts_with("5 ") && soon.contains("renew it"), "{soon}");
    assert!(finished.output.contains("bad.crt: it has no private key"), "{}", finished.output);
    let listing: serde_json::Value = serde_json::from_str(&certs(&["--json"]).output).unwrap();
    assert_eq!(listing["certificates"][0]["label"], "soon");
    assert_eq!(listing["certificates"].as_array().unwrap().len(), 3);

    let node = site.start();
    let vitals = node.vitals().tls.unwrap();
    assert_eq!((vitals.certificates, vitals.unusable, vitals.expiring), (3, 1, 1));
    assert_eq!((vitals.soonest_name.as_deref(), vitals.soonest_days), (Some("soon.example"), Some(5)));
    let metrics = node.metrics();
    let days = metrics.sum("carom_tls_certificate_expiry_days", &[("name", "soon.example")]);
    assert!((5.0..6.0).contains(&days), "{days}");
    assert_eq!(metrics.sum("carom_tls_names_expiring", &[]), 1.0);
    assert!(node.log().contains("about to expire"), "{}", node.log());
}
