//! What can be done to a node of the lab, and how it is undone.

use std::fmt;
use std::path::Path;

use lab::topology::Lab;
use rustix::process::Signal;
use snapshot_format::{
    Cache, CacheVisibility, CaseMode, Domain, Link, QueryMode, Site, Status, TrailingSlash, Writer,
    WriterOptions,
};

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Deed {
    /// Kill carom
    KillNode,
    /// Stop carom, so that it hangs
    StopNode,
    /// Kill BIRD
    KillBird,
    /// Kill the sidecar: announcements stay as they are
    KillSidecar,
    /// Drop every packet on the cable, in both directions
    Blackhole,
    /// Publish a whole snapshot whose answers are wrong
    CorruptSnapshot,
    /// Drain by the sidecar
    Drain,
    /// End a drain
    Undrain,
    /// Print what the sidecar knows
    Status,
    /// Undo all of it
    Heal,
}

impl fmt::Display for Deed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use clap::ValueEnum as _;
        let value = self.to_possible_value().expect("no deed is hidden");
        formatter.write_str(value.get_name())
    }
}

/// Does it; the answer is for a person. `snapshot` is the right one.
pub(crate) fn act(lab: &mut Lab, deed: Deed, name: &str, snapshot: &Path) -> String {
    let Some(at) = lab.nodes.iter().position(|node| node.name == name) else {
        return format!("error: no node is called {name}; there are a1, a2, b1 and b2");
    };
    let router = usize::from(name.starts_with('b'));
    let node = &mut lab.nodes[at];
    match deed {
        Deed::KillNode => node.kill_carom(),
        Deed::StopNode if node.carom.is_some() => node.signal_carom(Signal::STOP),
        Deed::StopNode => return format!("error: carom of {name} does not run"),
        Deed::KillBird => node.bird.kill(),
        Deed::KillSidecar => node.kill_sidecar(),
        Deed::Blackhole => node.blackhole(&lab.routers[router]),
        Deed::CorruptSnapshot => {
            let generation = 1_000_000 + node.count_generation();
            let path = node.site.stage();
            return match wrong_snapshot(&path, generation) {
                Ok(()) => {
                    node.publish_file(&path);
                    format!("{name}: {deed}: done")
                }
                Err(error) => format!("error: {error}"),
            };
        }
        Deed::Drain | Deed::Undrain | Deed::Status => {
            let said = node.command(&[&deed.to_string()]);
            let prefix = if said.code == Some(0) { "" } else { "error: " };
            return format!("{prefix}{}{}", said.output, said.errors);
        }
        Deed::Heal => {
            heal(lab, at, router, snapshot);
        }
    }
    format!("{name}: {deed}: done")
}

fn heal(lab: &mut Lab, at: usize, router: usize, snapshot: &Path) {
    let node = &mut lab.nodes[at];
    node.try_heal_cable(&lab.routers[router]);
    // A carom that hangs or serves a wrong generation starts anew, with the right links and no memory of others.
    node.kill_carom();
    node.forget_snapshots();
    node.publish_file(snapshot);
    node.start_carom();
    if !node.bird.runs() {
        node.start_bird(false);
    }
    if node.sidecar.is_none() {
        node.start_sidecar();
    }
    node.command(&["undrain"]);
}

/// A snapshot in which the name of the canaries is an ordinary domain and leads elsewhere.
fn wrong_snapshot(path: &Path, generation: u64) -> Result<(), snapshot_format::WriteError> {
    let temp_dir = path.parent().unwrap_or(Path::new(".")).to_owned();
    let options = WriterOptions { generation, built_at_unix_s: generation, hash_seed: 0, temp_dir };
    let mut writer = Writer::create(path, options)?;
    let domain = writer.add_domain(&Domain {
        id: 0,
        name: b"canary.carom.invalid",
        wildcard: false,
        status: Status::Found,
        case: CaseMode::Sensitive,
        trailing_slash: TrailingSlash::Ignore,
        query: QueryMode::Drop,
        cache: Cache { visibility: CacheVisibility::NoStore, max_age_s: 0 },
        not_found: None,
        root: None,
        site: Site::NONE,
        links: 0,
    })?;
    let link = Link {
        domain,
        code: b"ok",
        destination: b"https://elsewhere.example/",
        status: None,
        query: None,
        disabled: false,
        deleted: false,
        not_before_unix_s: None,
        expires_unix_s: None,
        version: 0,
        policy: None,
    };
    writer.add_link(&link, 0)?;
    writer.finish(None, |_, _| {}).map(|_| ())
}
