//! Named topologies of anycast nodes, routers and clients, each in a network namespace of its own, with real BGP between them.
//!
//! The same code serves the cases, `cargo xtask demo --lab` and `cargo xtask bench failover`. Addresses: link *k* is
//! 10.99.*k*.0/24 and fd99:*k*::/64; its upper end (a router) has host 1, its lower end host 2.

use std::path::Path;

use tempfile::TempDir;

use crate::here;
use crate::network::Namespace;

pub mod bird;
pub mod clicks;
pub mod neighbour;
pub mod node;
pub mod openings;
pub mod plan;
pub mod router;
pub mod sweep;
pub mod watch;

pub use bird::Bird;
pub use clicks::{Click, Clicks, Tally};
pub use neighbour::Daemon;
pub use node::AnycastNode;
pub use openings::Openings;
pub use plan::{Bfd, Plan, Shape, VIP4, VIP6};
pub use router::Router;
pub use watch::{RouteEvent, RouteWatch};

/// Where clicks come from.
#[derive(Debug)]
pub struct Client {
    /// Its name: `c` and the letter of its site.
    pub name: String,
    /// Where it is.
    pub space: Namespace,
}

/// A topology that runs; gone, with every process and namespace, when dropped.
#[derive(Debug)]
pub struct Lab {
    /// The nodes, in the order of the plan. Dropped before the namespaces that they live in.
    pub nodes: Vec<AnycastNode>,
    /// The routers: one per site, then the backbone.
    pub routers: Vec<Router>,
    /// One client per site.
    pub clients: Vec<Client>,
    directory: TempDir,
}

impl Lab {
    /// Builds namespaces and cables, and starts the routers. Nodes have no process yet.
    ///
    /// Nothing if this machine does not allow it; that is then noted as not run.
    #[track_caller]
    pub fn build(plan: &Plan) -> Option<Self> {
        if !here::is_root() {
            here::not_run("needs root, for network namespaces");
            return None;
        }
        if let Some(program) = plan.programs().into_iter().find(|program| !Path::new(program).is_file()) {
            here::not_run(&format!("there is no {program}: cargo xtask setup installs it"));
            return None;
        }
        sweep::sweep();
        let Some(first) = Namespace::new() else {
            here::not_run("network namespaces are not allowed");
            return None;
        };
        Some(
            plan.build(
                first,
                tempfile::Builder::new().prefix("carom-lab-").tempdir_in(here::scratch()).unwrap(),
            ),
        )
    }

    /// Where configurations, sockets and logs are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The node of this name.
    #[track_caller]
    pub fn node(&mut self, name: &str) -> &mut AnycastNode {
        self.find(name).unwrap_or_else(|| panic!("no node is called {name}"))
    }

    /// The node of this name, if there is one.
    pub fn find(&mut self, name: &str) -> Option<&mut AnycastNode> {
        self.nodes.iter_mut().find(|node| node.name == name)
    }

    /// The names of nodes through which `router` sends traffic for `vip`, sorted.
    pub fn paths(&self, router: usize, vip: &str) -> Vec<String> {
        let gateways = self.routers[router].gateways(vip);
        let mut names: Vec<String> = self
            .nodes
            .iter()
            .filter(|node| gateways.iter().any(|gateway| node.has_address(gateway)))
            .map(|node| node.name.clone())
            .collect();
        names.sort();
        names
    }
}
