//! An anycast node: carom, carom-bgp and BIRD in one namespace, each to be started, killed and started again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::bird::Bird;
use super::neighbour;
use super::plan::{Bfd, Link, Plan, VIP4, VIP6};
use super::router;
use crate::binaries;
use crate::links::{Domains, Row};
use crate::network::Namespace;
use crate::node::Node;
use crate::process::{Finished, Process, run};
use crate::site::Site;
use crate::tool;
use crate::wait::{SOON, eventually};

/// Where a node hangs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uplink {
    pub(super) link: Link,
    pub(super) asn: u32,
    pub(super) router_asn: u32,
    pub(super) number: u8,
}

/// One node. Processes are dropped before the namespace.
#[derive(Debug)]
pub struct AnycastNode {
    /// The letter of its site and a number: `a1`.
    pub name: String,
    /// Its sidecar, if that runs.
    pub sidecar: Option<Process>,
    /// Its carom, if that runs.
    pub carom: Option<Node>,
    /// Its BIRD.
    pub bird: Bird,
    /// Where carom's files are.
    pub site: Site,
    /// Where it is.
    pub space: Namespace,
    uplink: Uplink,
    plan: Plan,
    directory: PathBuf,
    settings: BTreeMap<String, BTreeMap<String, String>>,
    generation: u64,
}

impl AnycastNode {
    pub(super) fn new(name: &str, space: Namespace, uplink: Uplink, plan: &Plan, directory: &Path) -> Self {
        let directory = router::folder(directory, name);
        space.ip(&["address", "add", &format!("{VIP4}/32"), "dev", "lo"]);
        space.ip(&["address", "add", &format!("{VIP6}/128"), "dev", "lo", "nodad"]);
        let admin = format!("\"unix:{}\"", directory.join("admin.sock").display());
        let site = Site::new()
            .set("node", "name", format!("{name:?}"))
            .set("listen", "http", format!("[\"{VIP4}:80\", \"[{VIP6}]:80\"]"))
            .set("listen", "shards", 1)
            .set("http", "server", format!("{name:?}"))
            .set("admin", "listen", admin);
        let bird = Bird::new("bird", &directory);
        Self {
            name: name.to_owned(),
            sidecar: None,
            carom: None,
            bird,
            site,
            space,
            uplink,
            plan: *plan,
            directory,
            settings: BTreeMap::new(),
            generation: 0,
        }
    }

    /// Whether one of its addresses towards the router is this one.
    pub fn has_address(&self, address: &str) -> bool {
        // FRR prefers the address that every interface makes for itself.
        if let Some(local) = address.parse().ok().filter(Ipv6Addr::is_unicast_link_local) {
            let all = self.space.within(|| fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap());
            let hex: String = local.octets().iter().map(|byte| format!("{byte:02x}")).collect();
            return all.lines().any(|line| line.starts_with(&hex));
        }
        self.addresses().iter().any(|own| own == address)
    }

    /// The router's addresses on the cable to this node.
    pub fn router_addresses(&self) -> [String; 2] {
        let Uplink { link, .. } = self.uplink;
        [link.ipv4(1).to_string(), link.ipv6(1).to_string()]
    }

    /// Its own addresses on that cable.
    pub fn addresses(&self) -> [String; 2] {
        let Uplink { link, .. } = self.uplink;
        [link.ipv4(2).to_string(), link.ipv6(2).to_string()]
    }

    /// The autonomous system of its router.
    pub fn router_asn(&self) -> u32 {
        self.uplink.router_asn
    }

    /// Its autonomous system.
    pub fn asn(&self) -> u32 {
        self.uplink.asn
    }

    /// Sets a key of the sidecar's configuration to a TOML value.
    #[expect(clippy::needless_pass_by_value, reason = "texts and numbers are written without an ampersand")]
    pub fn set(&mut self, section: &str, key: &str, value: impl ToString) {
        self.settings.entry(section.to_owned()).or_default().insert(key.to_owned(), value.to_string());
    }

    /// Changes the configuration of carom.
    pub fn configure(&mut self, change: impl FnOnce(Site) -> Site) {
        self.site = change(std::mem::take(&mut self.site));
    }

    /// Publishes a snapshot of these rows in the next generation; a carom that runs takes it.
    #[track_caller]
    pub fn publish(&mut self, domains: &Domains, rows: &[Row]) {
        self.generation += 1;
        let built = tool::build(self.site.path(), self.generation, domains, rows);
        self.publish_file(&built);
    }

    /// Publishes a file.
    pub fn publish_file(&self, file: &Path) {
        self.site.publish(file);
        if let Some(carom) = &self.carom {
            carom.reload();
        }
    }

    /// The generation of the last [`AnycastNode::publish`].
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Counts a generation that somebody else published.
    pub fn count_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// Starts carom and waits until it serves.
    #[track_caller]
    pub fn start_carom(&mut self) {
        let _ = fs::remove_file(self.directory.join("admin.sock"));
        let site = &self.site;
        self.carom = Some(self.space.within(|| site.start()));
    }

    /// Replaces carom by a successor that takes over its sockets, and waits until the old one has ended. Needs
    /// [`Process::inherit_orphans`] before, and a site with a program of its own.
    #[track_caller]
    pub fn upgrade_carom(&mut self) {
        let mut old = self.carom.take().expect("carom runs");
        let site = &self.site;
        let said = self.space.within(|| site.upgrade());
        assert_eq!(said.code, Some(0), "{}{}", said.output, said.errors);
        self.carom = Some(old.successor(&self.site.ready_file()));
        let ended = old.process().end(SOON);
        assert_eq!(ended.code(), Some(0), "{}", old.log());
    }

    /// Kills carom, as a crash does.
    pub fn kill_carom(&mut self) {
        self.carom = None;
    }

    /// Starts BIRD with the static protocols of the sidecar, all as the state file says.
    #[track_caller]
    pub fn start_bird(&mut self, recovering: bool) {
        self.write_sidecar_configuration();
        if !self.state_file().exists() {
            let state = self.bird_config("state");
            fs::write(self.state_file(), state).unwrap();
        }
        let services = self.bird_config("services");
        fs::write(self.directory.join("services.conf"), services).unwrap();
        let includes = format!(
            "include \"{}\";\ninclude \"{}\";\n",
            self.state_file().display(),
            self.directory.join("services.conf").display()
        );
        self.start_bird_with(&includes, recovering);
    }

    /// Starts BIRD with other static protocols: for what is measured beside the sidecar.
    #[track_caller]
    pub fn start_bird_with(&mut self, protocols: &str, recovering: bool) {
        fs::write(self.bird.config(), self.bird_configuration(protocols)).unwrap();
        self.bird.start(&self.space, recovering);
    }

    fn bird_configuration(&self, protocols: &str) -> String {
        let Uplink { link, asn, router_asn, number } = self.uplink;
        let timers = router::timers(&self.plan);
        let mut text = format!(
            "log stderr all;\nrouter id 10.254.0.{number};\nwatchdog warning 500 ms;\n{protocols}\
             protocol device {{ scan time 10; }}\n"
        );
        if self.plan.bfd != Bfd::Off {
            text += router::BFD;
        }
        for (family, channel, own, peer, vip) in [
            ("v4", "ipv4", link.ipv4(2).to_string(), link.ipv4(1).to_string(), format!("{VIP4}/32")),
            ("v6", "ipv6", link.ipv6(2).to_string(), link.ipv6(1).to_string(), format!("{VIP6}/128")),
        ] {
            writeln!(
                text,
                "protocol bgp uplink_{family} {{ local {own} as {asn}; neighbor {peer} as {router_asn}; {timers} {channel} \
                 {{ import where net = {vip}; export where source = RTS_STATIC && net = {vip}; next hop self; }}; }}"
            )
            .expect("a string takes everything");
        }
        text
    }

    /// Waits until both sessions with the router are up.
    #[track_caller]
    pub fn until_sessions_are_up(&self) {
        eventually(SOON, &format!("the sessions of {} are up", self.name), || {
            let told = self.bird.ask("show protocols \"uplink_*\"");
            if told.matches("Established").count() == 2 { Ok(()) } else { Err(told) }
        });
    }

    /// Starts the sidecar and waits until it says that it is ready.
    #[track_caller]
    pub fn start_sidecar(&mut self) {
        self.start_sidecar_with(&[], &[]);
    }

    /// The same with more arguments and variables.
    #[track_caller]
    pub fn start_sidecar_with(&mut self, arguments: &[&str], variables: &[(&str, &str)]) {
        let config = self.write_sidecar_configuration();
        let ready = self.directory.join("sidecar-ready.json");
        let _ = fs::remove_file(&ready);
        let mut command = Command::new(binaries::carom_bgp());
        command.arg("serve").arg("--config").arg(config).arg("--ready-file").arg(&ready);
        command.args(arguments).envs(variables.iter().copied());
        let (space, directory) = (&self.space, self.directory.clone());
        let mut process = space.within(move || Process::start(&mut command, "carom-bgp", &directory));
        eventually(SOON, &format!("the sidecar of {} is ready", self.name), || {
            if let Some(status) = process.ended() {
                panic!("the sidecar ended while it started: {status}\n{}", process.errors());
            }
            ready.exists()
        });
        self.sidecar = Some(process);
    }

    /// Starts the watcher of the sidecar's heartbeat; it ends when what is returned is dropped.
    pub fn start_lease(&self) -> Process {
        let mut command = Command::new(binaries::carom_bgp());
        command.arg("lease").arg("--config").arg(self.sidecar_config());
        self.space.within(|| Process::start(&mut command, "lease", &self.directory))
    }

    /// Kills the sidecar, as a crash does.
    pub fn kill_sidecar(&mut self) {
        self.sidecar = None;
    }

    /// Everything, in the order of a boot: carom, BIRD, sidecar.
    #[track_caller]
    pub fn start(&mut self) {
        self.start_carom();
        self.start_bird(false);
        self.until_sessions_are_up();
        self.start_sidecar();
    }

    /// Runs a command of carom-bgp against this node's sidecar.
    pub fn command(&self, arguments: &[&str]) -> Finished {
        let config = self.sidecar_config();
        let config = config.to_string_lossy();
        let all: Vec<&str> = arguments.iter().copied().chain(["--config", &config]).collect();
        self.space.within(|| run(&binaries::carom_bgp(), &all))
    }

    /// What `carom-bgp status --json` says.
    #[track_caller]
    pub fn status(&self) -> serde_json::Value {
        let said = self.command(&["status", "--json"]);
        assert_eq!(said.code, Some(0), "{}", said.errors);
        serde_json::from_str(&said.output).unwrap_or_else(|error| panic!("{error}: {}", said.output))
    }

    /// Sends carom a signal.
    #[track_caller]
    pub fn signal_carom(&self, signal: Signal) {
        self.carom.as_ref().expect("carom runs").signal(signal);
    }

    /// Drops every packet on the cable to the router, in both directions, without anybody being told.
    pub fn blackhole(&self, router: &super::Router) {
        for (space, interface) in [(&self.space, "net0"), (&router.space, &*self.name)] {
            // There is no netem here: a bucket too small for any packet drops them all.
            tc(
                space,
                &[
                    "qdisc", "add", "dev", interface, "root", "tbf", "rate", "8bit", "burst", "10", "limit",
                    "10",
                ],
            );
        }
    }

    /// Mends what [`AnycastNode::blackhole`] did.
    pub fn heal_cable(&self, router: &super::Router) {
        for (space, interface) in [(&self.space, "net0"), (&router.space, &*self.name)] {
            tc(space, &["qdisc", "del", "dev", interface, "root"]);
        }
    }

    /// The same where nothing may be wrong with the cable.
    pub fn try_heal_cable(&self, router: &super::Router) {
        for (space, interface) in [(&self.space, "net0"), (&router.space, &*self.name)] {
            neighbour::said(space, Command::new("tc").args(["qdisc", "del", "dev", interface, "root"]));
        }
    }

    /// Removes carom's own copies, so that it begins with what lies under the name.
    pub fn forget_snapshots(&self) {
        let state = self.site.state();
        fs::remove_dir_all(&state).and_then(|()| fs::create_dir(&state)).unwrap();
    }

    /// The file of constants that BIRD includes.
    pub fn state_file(&self) -> PathBuf {
        let set = self.settings.get("bird").and_then(|keys| keys.get("state_file"));
        set.map_or_else(|| self.directory.join("bird-state.conf"), |path| path.trim_matches('"').into())
    }

    /// Where the sidecar keeps its audit log.
    pub fn sidecar_state(&self) -> PathBuf {
        self.directory.join("sidecar")
    }

    /// Its directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn sidecar_config(&self) -> PathBuf {
        self.directory.join("carom-bgp.toml")
    }

    /// Writes the sidecar's configuration.
    pub fn write_sidecar_configuration(&self) -> PathBuf {
        let path = |name: &str| format!("{:?}", self.directory.join(name));
        fs::create_dir_all(self.sidecar_state()).unwrap();
        let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut set = |section: &str, key: &str, value: String| {
            sections.entry(section.to_owned()).or_default().insert(key.to_owned(), value);
        };
        set("node", "name", format!("{:?}", self.name));
        set("node", "state_dir", path("sidecar"));
        set("control", "socket", path("control.sock"));
        set("metrics", "listen", "\"127.0.0.1:9181\"".to_owned());
        set("bird", "socket", format!("{:?}", self.bird.socket()));
        set("bird", "state_file", path("bird-state.conf"));
        set("bird", "local_as", self.uplink.asn.to_string());
        set("bird", "peers", r#"["uplink_v4", "uplink_v6"]"#.to_owned());
        set("vitals", "admin", format!("\"unix:{}\"", self.directory.join("admin.sock").display()));
        // The first announcement need not wait; cases about slow start set this themselves.
        set("damper", "prepended_ms", "0".to_owned());
        for (section, keys) in self.settings.iter().filter(|(section, _)| *section != "service") {
            for (key, value) in keys {
                set(section, key, value.clone());
            }
        }
        let mut text = "version = 1\n".to_owned();
        for (section, keys) in sections {
            write_section(&mut text, &format!("[{section}]"), &keys);
        }
        let mut service = BTreeMap::from([
            ("name".to_owned(), "\"web\"".to_owned()),
            ("vips".to_owned(), format!("[\"{VIP4}\", \"{VIP6}\"]")),
            ("ports".to_owned(), "[80]".to_owned()),
        ]);
        service.extend(self.settings.get("service").cloned().unwrap_or_default());
        write_section(&mut text, "[[service]]", &service);
        let file = self.sidecar_config();
        fs::write(&file, text).unwrap();
        file
    }

    #[track_caller]
    fn bird_config(&self, part: &str) -> String {
        let said = self.command(&["bird-config", "--part", part]);
        assert_eq!(said.code, Some(0), "bird-config --part {part}: {}", said.errors);
        said.output
    }
}

fn write_section(text: &mut String, heading: &str, keys: &BTreeMap<String, String>) {
    writeln!(text, "\n{heading}").expect("a string takes everything");
    for (key, value) in keys {
        writeln!(text, "{key} = {value}").expect("a string takes everything");
    }
}

fn tc(space: &Namespace, arguments: &[&str]) {
    let told = neighbour::said(space, Command::new("tc").args(arguments));
    assert!(told.trim().is_empty(), "tc {}: {told}", arguments.join(" "));
}
