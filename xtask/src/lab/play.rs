//! Two datacenters on this machine: nodes, routers and clients in namespaces, clicks that go on, and a live view of both.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use lab::topology::{Click, Clicks, Lab, Plan, Shape, Tally, VIP4, VIP6};
use lab::wait::{SOON, eventually};

use super::Deed;
use super::act::act;
use super::desk::Desk;

/// Clicks per second of each client.
const CLICKS_PER_S: u32 = 20;

/// Between two lines of the live view.
const VIEW: Duration = Duration::from_secs(1);

/// How often somebody who asks is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Everything that runs.
pub(crate) struct Stage {
    lab: Lab,
    clicks: Vec<Clicks>,
    snapshot: std::path::PathBuf,
}

impl Stage {
    /// Starts all of it; nothing if this machine does not allow it.
    pub(crate) fn open(binaries: &Path, snapshot: &Path, links: &[Click]) -> Result<Option<Self>> {
        lab::binaries::look_in(binaries);
        ensure!(!links.is_empty(), "there are no links to click");
        let Some(mut lab) = Lab::build(&Plan::of(Shape::TwoSites)) else { return Ok(None) };
        for node in &mut lab.nodes {
            println!("starting {}: carom, BIRD, carom-bgp", node.name);
            node.publish_file(snapshot);
            node.start();
        }
        let stage = Self {
            clicks: lab
                .clients
                .iter()
                .map(|client| Clicks::start(&client.space, links, CLICKS_PER_S))
                .collect(),
            lab,
            snapshot: snapshot.to_owned(),
        };
        for (router, site) in ["a", "b"].iter().enumerate() {
            let nodes = [format!("{site}1"), format!("{site}2")];
            stage.until_paths(router, &nodes);
        }
        Ok(Some(stage))
    }

    fn until_paths(&self, router: usize, nodes: &[String]) {
        for vip in [VIP4, VIP6] {
            eventually(SOON, &format!("{vip} leads to {nodes:?}"), || match self.lab.paths(router, vip) {
                paths if paths == nodes => Ok(()),
                paths => Err(format!(" (it leads to {paths:?})")),
            });
        }
    }

    /// How to click and how to break things.
    pub(crate) fn explain(&self, click: &Click) {
        println!(
            "\nTwo datacenters run in namespaces of this machine: a1 and a2 behind router ra, b1 and b2 behind rb, bb between them."
        );
        println!("Click from either side; the Server field says who answered:");
        for client in &self.lab.clients {
            println!(
                "  ip netns exec {} curl -si -H 'Host: {}' http://{VIP4}{}     # client {}; also http://[{VIP6}]{}",
                client.space.name(),
                click.host,
                click.path,
                client.name,
                click.path
            );
        }
        println!("Break and mend things from another terminal, and watch:");
        for line in
            ["kill-node a1", "blackhole b2", "corrupt-snapshot a2", "drain b1", "status a1", "heal a1"]
        {
            println!("  cargo xtask lab {line}");
        }
        println!();
    }

    /// Shows what happens and does what is asked until `ended` says so.
    pub(crate) fn watch(&mut self, desk: &Desk, mut ended: impl FnMut() -> bool) {
        let mut before: Vec<Tally> = self.clicks.iter().map(Clicks::so_far).collect();
        let mut due = Instant::now() + VIEW;
        while !ended() {
            while let Some((asker, deed, node)) = desk.next() {
                println!("> {deed} {node}");
                asker.answer(&act(&mut self.lab, deed, &node, &self.snapshot));
            }
            if Instant::now() >= due {
                due += VIEW;
                let now: Vec<Tally> = self.clicks.iter().map(Clicks::so_far).collect();
                self.show(&before, &now);
                before = now;
            }
            std::thread::sleep(LOOK);
        }
    }

    fn show(&self, before: &[Tally], now: &[Tally]) {
        let mut columns = Vec::new();
        for (site, client) in self.lab.clients.iter().enumerate() {
            let answered: Vec<String> = now[site]
                .answered
                .iter()
                .map(|(node, count)| (node, count - before[site].answered.get(node).unwrap_or(&0)))
                .filter(|(_, count)| *count > 0)
                .map(|(node, count)| format!("{node} {count}"))
                .collect();
            let failed = now[site].failed.len() - before[site].failed.len();
            let all = now[site].failed.len();
            let paths = |vip| self.lab.paths(site, vip).join("+");
            columns.push(format!(
                "{}: routes v4 {:<6} v6 {:<6} answers {:<14} failed {failed} (of all {all})",
                client.name,
                paths(VIP4),
                paths(VIP6),
                answered.join(" ")
            ));
        }
        println!("{}", columns.join("  |  "));
    }

    /// The bounded self-check: a node dies and is left, comes back, is drained without a lost click.
    pub(crate) fn check(&mut self) -> Result<()> {
        let act = |stage: &mut Self, deed: Deed| -> Result<()> {
            let said = act(&mut stage.lab, deed, "a1", &stage.snapshot);
            println!("$ cargo xtask lab {deed} a1\n{}", said.trim_end());
            if said.starts_with("error:") { bail!("{said}") } else { Ok(()) }
        };
        let (alone, both) = (["a2".to_owned()], ["a1".to_owned(), "a2".to_owned()]);
        act(self, Deed::KillNode)?;
        self.until_paths(0, &alone);
        act(self, Deed::Heal)?;
        self.until_paths(0, &both);
        let failed = |stage: &Self| stage.clicks[0].so_far().failed_but_cut().len();
        let before = failed(self);
        act(self, Deed::Drain)?;
        self.until_paths(0, &alone);
        act(self, Deed::Undrain)?;
        self.until_paths(0, &both);
        let lost = failed(self) - before;
        ensure!(lost == 0, "{lost} new connections were lost by a planned drain");
        let other = self.clicks[1].so_far();
        ensure!(other.failed.is_empty(), "clients of site b lost clicks: {:?}", other.failed);
        println!("the routes followed, and the planned drain cost no new connection");
        Ok(())
    }
}

/// Clicks of both families on the first links of the example.
pub(crate) fn links(csv: &Path) -> Result<Vec<Click>> {
    let mut reader = csv::Reader::from_path(csv).with_context(|| csv.display().to_string())?;
    let mut clicks = Vec::new();
    for row in reader.records().take(16) {
        let row = row.with_context(|| csv.display().to_string())?;
        let (Some(host), Some(code), Some(location)) = (row.get(0), row.get(1), row.get(2)) else { continue };
        if !location.starts_with("http") {
            continue;
        }
        for vip in [VIP4, VIP6] {
            clicks.push(Click {
                vip: vip.parse().context("an address")?,
                host: host.to_owned(),
                path: format!("/{code}"),
                location: location.to_owned(),
            });
        }
    }
    Ok(clicks)
}

/// Whether somebody looks.
pub(crate) fn is_watched() -> bool {
    std::io::stdout().is_terminal()
}
