//! What a topology consists of, before anything runs.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use tempfile::TempDir;

use super::neighbour::{self, Daemon};
use super::node::{AnycastNode, Uplink};
use super::router::{Router, Session};
use super::{Client, Lab};
use crate::network::Namespace;

/// The anycast address of IPv4 (RFC 5737).
pub const VIP4: &str = "192.0.2.1";

/// The anycast address of IPv6 (RFC 3849).
pub const VIP6: &str = "2001:db8::1";

/// Which topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One node, one router, one client.
    Single,
    /// Two nodes behind one router that shares traffic among them, one client.
    Pair,
    /// Two datacenters of two nodes, a router and a client each, and a backbone router between them.
    TwoSites,
}

/// What sessions do about a path that falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bfd {
    /// Nothing: the hold time decides.
    Off,
    /// A session whose BFD goes down is taken down (100 ms, three times).
    Hard,
}

/// A topology and how its sessions behave.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Which one.
    pub shape: Shape,
    /// Liveness of paths.
    pub bfd: Bfd,
    /// Whether routers keep routes of a BIRD that restarts, for so many seconds; `None`: they do not.
    pub graceful_restart_s: Option<u32>,
    /// What the routers of sites run.
    pub daemon: Daemon,
}

impl Plan {
    /// BIRD everywhere, with BFD.
    pub const fn of(shape: Shape) -> Self {
        Self { shape, bfd: Bfd::Hard, graceful_restart_s: None, daemon: Daemon::Bird }
    }

    /// Programs that it needs, as paths.
    pub(super) fn programs(&self) -> Vec<&'static str> {
        let mut programs = vec!["/usr/sbin/bird", "/usr/sbin/ip", "/usr/sbin/tc"];
        programs.extend(self.daemon.programs());
        programs
    }

    pub(super) fn build(&self, first: Namespace, directory: TempDir) -> Lab {
        let mut builder =
            Builder { plan: *self, directory: directory.path(), links: 0, spare: Some(first), nodes: 0 };
        let (sites, nodes_per_site): (&[char], u32) = match self.shape {
            Shape::Single => (&['a'], 1),
            Shape::Pair => (&['a'], 2),
            Shape::TwoSites => (&['a', 'b'], 2),
        };
        let mut lab = Lab {
            nodes: Vec::new(),
            routers: Vec::new(),
            clients: Vec::new(),
            directory: TempDir::new().unwrap(),
        };
        let mut drafts: Vec<Draft> = Vec::new();
        for (site, &letter) in (0_u32..).zip(sites) {
            let mut router = builder.draft(format!("r{letter}"), 65_001 + site);
            for number in 1..=nodes_per_site {
                lab.nodes.push(builder.node(&mut router, &format!("{letter}{number}")));
            }
            let link = builder.link();
            let space = builder.space();
            let name = format!("c{letter}");
            router.space.connect(&name, &space, "net0");
            link.address(&router.space, &name, 1);
            link.address(&space, "net0", 2);
            link.default_route(&space);
            router.client_link = Some(link);
            lab.clients.push(Client { name, space });
            drafts.push(router);
        }
        if drafts.len() > 1 {
            let backbone = builder.backbone(&mut drafts);
            drafts.push(backbone);
        }
        let bird_only = Plan { daemon: Daemon::Bird, ..*self };
        for draft in drafts {
            let plan = if draft.is_backbone { bird_only } else { *self };
            lab.routers.push(Router::start(
                draft.name,
                draft.asn,
                draft.space,
                &draft.sessions,
                &plan,
                directory.path(),
            ));
        }
        lab.directory = directory;
        lab
    }
}

/// One cable and its addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link(u8);

impl Link {
    pub(super) fn ipv4(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.0, host)
    }

    pub(super) fn ipv6(self, host: u8) -> Ipv6Addr {
        Ipv6Addr::new(0xfd99, self.0.into(), 0, 0, 0, 0, 0, host.into())
    }

    fn address(self, space: &Namespace, interface: &str, host: u8) {
        space.address(interface, &format!("{}/24", self.ipv4(host)));
        space.address(interface, &format!("{}/64", self.ipv6(host)));
    }

    fn default_route(self, space: &Namespace) {
        space.ip(&["route", "add", "default", "via", &self.ipv4(1).to_string()]);
        space.ip(&["-6", "route", "add", "default", "via", &self.ipv6(1).to_string()]);
    }
}

/// A router before it runs.
struct Draft {
    name: String,
    asn: u32,
    space: Namespace,
    sessions: Vec<Session>,
    client_link: Option<Link>,
    is_backbone: bool,
}

struct Builder<'d> {
    plan: Plan,
    directory: &'d Path,
    links: u8,
    spare: Option<Namespace>,
    nodes: u32,
}

impl Builder<'_> {
    fn space(&mut self) -> Namespace {
        self.spare.take().or_else(Namespace::new).expect("the first namespace was allowed")
    }

    fn link(&mut self) -> Link {
        self.links += 1;
        Link(self.links)
    }

    fn draft(&mut self, name: String, asn: u32) -> Draft {
        let space = self.space();
        neighbour::forward(&space);
        Draft { name, asn, space, sessions: Vec::new(), client_link: None, is_backbone: false }
    }

    fn node(&mut self, router: &mut Draft, name: &str) -> AnycastNode {
        let (link, space) = (self.link(), self.space());
        // Addresses of IPv6 outlive a cable that is pulled, so that its session can come back.
        neighbour::set(&space, "net.ipv6.conf.all.keep_addr_on_down", "1");
        router.space.connect(name, &space, "net0");
        link.address(&router.space, name, 1);
        link.address(&space, "net0", 2);
        link.default_route(&space);
        self.nodes += 1;
        let asn = 65_100 + self.nodes;
        router.sessions.push(Session::new(name, link, 1, asn));
        let uplink = Uplink { link, asn, router_asn: router.asn, number: self.nodes as u8 };
        AnycastNode::new(name, space, uplink, &self.plan, self.directory)
    }

    /// The router between the sites, with a way back to the clients of each.
    fn backbone(&mut self, sites: &mut [Draft]) -> Draft {
        let mut backbone = self.draft("bb".to_owned(), 65_000);
        backbone.is_backbone = true;
        for site in sites {
            let link = self.link();
            backbone.space.connect(&site.name, &site.space, "up0");
            link.address(&backbone.space, &site.name, 1);
            link.address(&site.space, "up0", 2);
            link.default_route(&site.space);
            if let Some(clients) = site.client_link {
                let (net4, via4) = (format!("{}/24", clients.ipv4(0)), link.ipv4(2).to_string());
                backbone.space.ip(&["route", "add", &net4, "via", &via4]);
                let (net6, via6) = (format!("{}/64", clients.ipv6(0)), link.ipv6(2).to_string());
                backbone.space.ip(&["-6", "route", "add", &net6, "via", &via6]);
            }
            backbone.sessions.push(Session::new(&site.name, link, 1, site.asn));
            site.sessions.push(Session::new("bb", link, 2, backbone.asn));
        }
        backbone
    }
}
