//! A router: BGP with nodes and other routers, and the kernel's table that traffic really follows.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::bird::Bird;
use super::neighbour::{self, Daemon, Frr, Gobgp};
use super::plan::{Bfd, Link, Plan, VIP4, VIP6};
use crate::network::Namespace;

/// One neighbour, over both families.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) name: String,
    pub(super) own: (String, String),
    pub(super) peer: (String, String),
    pub(super) asn: u32,
}

impl Session {
    /// The session with whoever has the other end of `link`; `host` is our end.
    pub(super) fn new(name: &str, link: Link, host: u8, asn: u32) -> Self {
        let ends = |host| (link.ipv4(host).to_string(), link.ipv6(host).to_string());
        Self { name: name.to_owned(), own: ends(host), peer: ends(3 - host), asn }
    }
}

/// What runs on a router.
#[derive(Debug)]
pub enum Running {
    /// BIRD.
    Bird(Bird),
    /// FRR: zebra and bgpd.
    Frr(Frr),
    /// GoBGP, which keeps its routes to itself.
    Gobgp(Gobgp),
}

/// A router; it forwards, shares traffic among equal paths by the ports of flows, and honours graceful shutdown (RFC 8326).
#[derive(Debug)]
pub struct Router {
    /// Its name: `r` and the letter of its site, or `bb`.
    pub name: String,
    /// What runs. Dropped before the namespace.
    pub running: Running,
    /// Where it is.
    pub space: Namespace,
}

impl Router {
    #[track_caller]
    pub(super) fn start(
        name: String,
        asn: u32,
        space: Namespace,
        sessions: &[Session],
        plan: &Plan,
        directory: &Path,
    ) -> Self {
        let running = match plan.daemon {
            Daemon::Bird => {
                let mut bird = Bird::new(&name, directory);
                fs::write(bird.config(), configuration(asn, sessions, plan)).unwrap();
                bird.start(&space, false);
                Running::Bird(bird)
            }
            Daemon::Frr => Running::Frr(Frr::start(&name, asn, &space, sessions, plan, directory)),
            Daemon::Gobgp => Running::Gobgp(Gobgp::start(&name, asn, &space, sessions, directory)),
        };
        Self { name, running, space }
    }

    /// Its BIRD.
    ///
    /// # Panics
    /// If it runs something else.
    #[track_caller]
    pub fn bird(&mut self) -> &mut Bird {
        match &mut self.running {
            Running::Bird(bird) => bird,
            Running::Frr(_) | Running::Gobgp(_) => panic!("{} does not run BIRD", self.name),
        }
    }

    /// Next hops for `vip` that traffic follows; for GoBGP, which forwards nothing, those of its table.
    pub fn gateways(&self, vip: &str) -> Vec<String> {
        if let Running::Gobgp(gobgp) = &self.running {
            return gobgp.next_hops(&self.space, vip);
        }
        neighbour::kernel_gateways(&self.space, vip)
    }

    /// What the router's BGP knows about `vip`, with communities and paths, in the words of its program.
    pub fn told(&self, vip: &str) -> String {
        match &self.running {
            Running::Bird(bird) => bird.ask(&format!("show route for {vip} all")),
            Running::Frr(frr) => frr.told(&self.space, vip),
            Running::Gobgp(gobgp) => gobgp.told(&self.space, vip),
        }
    }
}

/// The lines of a session that nodes and routers share.
pub(super) fn timers(plan: &Plan) -> String {
    let bfd = match plan.bfd {
        Bfd::Off => "",
        Bfd::Hard => " bfd on;",
    };
    let graceful = match plan.graceful_restart_s {
        Some(seconds) => format!(" graceful restart on; graceful restart time {seconds};"),
        None => " graceful restart off;".to_owned(),
    };
    format!(
        "hold time 9; keepalive time 3; connect delay time 1; connect retry time 1; error wait time 1, 2;{bfd}{graceful}"
    )
}

/// BFD on every interface where the plan wants it: 100 ms, three times.
pub(super) const BFD: &str =
    "protocol bfd { interface \"*\" { min rx interval 100 ms; min tx interval 100 ms; multiplier 3; }; }\n";

fn configuration(asn: u32, sessions: &[Session], plan: &Plan) -> String {
    let mut text = format!(
        "log stderr {{ info, warning, error, fatal, bug, auth }};\nrouter id 10.255.0.{};\n\
         protocol device {{ scan time 1; }}\n{BFD}\
         filter from_peer {{ if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept; }}\n\
         protocol kernel k4 {{ ipv4 {{ import none; export where net = {VIP4}/32; }}; merge paths on; }}\n\
         protocol kernel k6 {{ ipv6 {{ import none; export where net = {VIP6}/128; }}; merge paths on; }}\n",
        asn % 250 + 1,
    );
    let timers = timers(plan);
    for Session { name, own, peer, asn: theirs } in sessions {
        for (family, channel, own, peer, vip) in [
            ("v4", "ipv4", &own.0, &peer.0, format!("{VIP4}/32")),
            ("v6", "ipv6", &own.1, &peer.1, format!("{VIP6}/128")),
        ] {
            writeln!(
                text,
                "protocol bgp {name}_{family} {{ local {own} as {asn}; neighbor {peer} as {theirs}; {timers} \
                 {channel} {{ import filter from_peer; export where net = {vip}; next hop self; }}; }}"
            )
            .expect("a string takes everything");
        }
    }
    text
}

/// Where a program of a router keeps its files.
pub(super) fn folder(directory: &Path, name: &str) -> PathBuf {
    let folder = directory.join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}
