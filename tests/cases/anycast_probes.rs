//! How canaries reach a node: over TLS, and from a namespace of their own through the guard.

use std::fs;

use lab::topology::{AnycastNode, Plan, Shape, VIP4, VIP6};
use lab::{Authority, SOON, eventually, mount};

use crate::anycast::{HOST, start, until_all, until_paths};

#[test]
fn canaries_are_asked_for_over_tls_and_a_node_that_loses_its_certificates_is_left() {
    let authority = Authority::new();
    let configure = |node: &mut AnycastNode| {
        node.configure(|site| {
            let site =
                site.with_https().set("listen", "https", format!("[\"{VIP4}:443\", \"[{VIP6}]:443\"]"));
            authority.issue(&[HOST]).publish(&site.certificates(), "main");
            site
        });
        node.set("service", "https_ports", "[443]");
        node.set("service", "https_name", format!("{HOST:?}"));
    };
    let Some(mut lab) = start(&Plan::of(Shape::Pair), configure) else { return };
    let node = lab.node("a1");
    eventually(SOON, "canaries are right over both, in both families", || {
        let status = node.status();
        let asked = |scheme: &str| {
            let checks = status["checks"].as_array().unwrap();
            let named = |check: &&serde_json::Value| check["name"].as_str().unwrap().contains(scheme);
            checks.iter().filter(named).filter(|check| check["standing"] == "good").count()
        };
        if (asked("http://"), asked("https://")) == (2, 2) { Ok(()) } else { Err(format!("{status:#}")) }
    });
    // They are nobody's clicks, whatever certificate they came under.
    let carom = node.carom.as_ref().unwrap();
    assert_eq!(carom.metric("carom_requests_total", &[("outcome", "misdirected")]), 0.0);
    assert_eq!(carom.metric("carom_requests_total", &[("outcome", "redirected")]), 0.0);
    // Port 80 goes on answering: only whoever asks over TLS sees that clients there are not served.
    let certificates = node.site.certificates();
    fs::remove_dir_all(&certificates).unwrap();
    fs::create_dir(&certificates).unwrap();
    authority.issue(&["other.example"]).publish(&certificates, "main");
    node.carom.as_ref().unwrap().reload();
    until_paths(&lab, 0, &["a2"]);
    let status = lab.node("a1").status();
    let evidence = status["announcements"][0]["evidence"].to_string();
    assert!(evidence.contains("https://") && evidence.contains("TLS"), "{evidence}");
    authority.issue(&[HOST]).publish(&certificates, "main");
    lab.node("a1").carom.as_ref().unwrap().reload();
    until_all(&lab);
}

#[test]
fn canaries_from_the_probe_namespace_meet_the_guard_and_a_guard_that_drops_them_takes_the_node_out() {
    let pins = tempfile::tempdir().unwrap();
    let Some(_bpf) = mount::bpf(pins.path()) else {
        return lab::here::not_run("no BPF file system can be mounted");
    };
    let deny = pins.path().with_extension("deny");
    fs::write(&deny, "\n").unwrap();
    let configure = |node: &mut AnycastNode| {
        let (name, peers) = (node.name.clone(), format!("{:?}", node.router_addresses()));
        // A name that the sweep of a later run knows as this run's.
        let namespace = format!("carom-{}-90000{}", std::process::id(), &name[1..]);
        node.set("probe", "namespace", format!("{namespace:?}"));
        node.write_sidecar_configuration();
        let made = node.command(&["probe-namespace"]);
        assert_eq!(made.code, Some(0), "{}", made.errors);
        let (pins, deny) = (format!("{:?}", pins.path().join(&name)), format!("[{:?}]", deny));
        let is_first = name == "a1";
        node.configure(|site| {
            let site = site
                .set("guard", "mode", "\"enforce\"")
                .set("guard", "interfaces", "[\"net0\", \"carom-probe\"]")
                .set("guard", "allow_generic", "true")
                .set("guard", "vips", format!("[\"{VIP4}\", \"{VIP6}\"]"))
                .set("guard", "routing_peers", peers)
                .set("guard", "pins", pins);
            if is_first { site.set("guard", "deny_files", deny) } else { site }
        });
    };
    let Some(mut lab) = start(&Plan::of(Shape::Pair), configure) else { return };
    // Only packets from the cable of the probes are dropped: the node itself and its clients notice nothing.
    fs::write(&deny, "169.254.203.0/30\nfdca:705e::/126\n").unwrap();
    lab.node("a1").carom.as_ref().unwrap().reload();
    until_paths(&lab, 0, &["a2"]);
    fs::write(&deny, "\n").unwrap();
    lab.node("a1").carom.as_ref().unwrap().reload();
    until_all(&lab);
    for node in &lab.nodes {
        let gone = node.command(&["probe-namespace", "--remove"]);
        assert_eq!(gone.code, Some(0), "{}", gone.errors);
    }
    eventually(SOON, "the namespaces are gone", || {
        let own = format!("carom-{}-90000", std::process::id());
        let mut left = fs::read_dir("/run/netns").unwrap().flatten();
        !left.any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name == format!("{own}1") || name == format!("{own}2")
        })
    });
    let _ = fs::remove_file(&deny);
}
