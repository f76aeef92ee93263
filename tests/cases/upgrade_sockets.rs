//! Whose sockets a node listens on: a service manager's, those of the process before, those that a new configuration no longer
//! wants; and what the service manager hears.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use lab::load::{Load, Plan};
use lab::{Node, Peer, SOON, eventually};

use crate::fixture::GO;
use crate::upgrade::{oracle, site, upgraded};

#[test]
fn sockets_of_the_service_manager_are_used_and_handed_on() {
    let given = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = given.local_addr().unwrap();
    // The service manager's socket is there before any process is: who comes early waits in its queue.
    let mut early = Peer::connect(address);
    let site = site().set("listen", "http", format!("[\"{address}\"]")).set("listen", "shards", 2);
    // As systemd does: descriptor 3, and variables that name this very process.
    let script = r#"LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http; export LISTEN_PID LISTEN_FDS LISTEN_FDNAMES; exec "$0" "$@" 3<&0 0</dev/null"#;
    let configuration = site.write_configuration();
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(site.program()).arg("serve").arg("--config").arg(&configuration);
    command
        .arg("--ready-file")
        .arg(site.ready_file())
        .stdin(Stdio::from(OwnedFd::from(given.try_clone().unwrap())));
    let process = lab::process::Process::start_as_is(&mut command, "carom", site.path());
    let node = Node::ready(process, &site.ready_file());
    assert_eq!(early.get(GO, "/plain").status, 302);
    assert_eq!(node.metric("carom_listening_sockets", &[("bound_by", "inherited")]), 1.0);
    assert_eq!(node.metric("carom_listening_sockets", &[("bound_by", "own")]), 0.0);
    drop(given);
    let plan = Plan { requests_per_connection: 1, ..Plan::steady(node.addresses()) };
    let load = Load::start(&plan, &oracle());
    load.until_more(100);
    let node = upgraded(&site, node);
    load.until_more(100);
    load.stop().assert_flawless();
    assert_eq!(node.metric("carom_listening_sockets", &[("bound_by", "inherited")]), 1.0);
    node.stop();
}

#[test]
fn the_service_manager_hears_who_the_main_process_is() {
    let site = site();
    let path = site.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    let hear = || {
        let mut text = [0; 512];
        let bytes = manager.recv(&mut text).expect("the node tells the manager");
        String::from_utf8_lossy(&text[..bytes]).into_owned()
    };
    let site = site.environment("NOTIFY_SOCKET", path.to_str().unwrap());
    let node = site.start();
    let ready = |node: &Node| format!("MAINPID={}\nREADY=1\n", node.id());
    assert_eq!(hear(), ready(&node));
    let node = upgraded(&site, node);
    assert_eq!(hear(), ready(&node), "and the old process does not say that the service ends");
    node.stop();
    assert_eq!(hear(), "STOPPING=1\n");
}

#[test]
fn an_address_that_the_new_configuration_drops_is_drained_by_the_old_process() {
    let site = site();
    let node = site.start();
    let [kept, dropped] = node.addresses()[..] else { return };
    let mut early = Peer::connect(dropped);
    assert_eq!(early.get(GO, "/plain").status, 302);
    let site = site.set("listen", "http", format!("[\"{kept}\"]"));
    let plan = Plan { requests_per_connection: 1, ..Plan::steady(&[kept]) };
    let load = Load::start(&plan, &oracle());
    load.until_more(50);
    let node = upgraded(&site, node);
    load.until_more(50);
    load.stop().assert_flawless();
    eventually(SOON, "nobody listens on the address that was dropped", || {
        Peer::try_connect(dropped).is_err()
    });
    assert_eq!(node.addresses(), [kept]);
}

#[test]
fn an_admin_socket_in_the_file_system_stays_where_it_is() {
    let site = site();
    let path = site.path().join("admin.sock");
    let site = site.set("admin", "listen", format!("\"unix:{}\"", path.display()));
    let mut node = site.start();
    for _ in 0..2 {
        node = upgraded(&site, node);
        assert!(path.exists());
        assert_eq!(node.vitals().pid, node.id());
    }
    node.stop();
    assert!(!path.exists());
}
