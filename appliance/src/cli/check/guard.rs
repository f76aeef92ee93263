//! What the guard needs of this machine: the object, capabilities, a BPF file system, sysctls, drivers, files.

use std::path::{Path, PathBuf};

use ebpf_loader::abi::Mode;
use ebpf_loader::{Object, preflight};
use rustix::fs::statfs;
use rustix::thread::{CapabilitySet, capabilities};

use super::{Finding, error, warning};
use crate::config::Settings;
use crate::guard::files::Networks;
use crate::guard::gate::{interpreted, jit, left_behind, syncookies};
use crate::guard::{Plan, PlanError};
use crate::limits::BAD_LINES_LOGGED_MAX;

const BPFFS_MAGIC: i64 = 0xcafe_4a11;

/// What stands in the way on an interface: causes, each with its fix.
type CausesAndFixes = Vec<(String, String)>;

/// Facts that are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// Why there is no program.
    pub object_error: Option<String>,
    /// Capabilities that this process lacks; the node may be started with others.
    pub capabilities_missing: Vec<&'static str>,
    /// The nearest existing ancestor of the pins is on a BPF file system; `None`: it cannot be asked.
    pub on_bpffs: Option<bool>,
    /// net.ipv4.tcp_syncookies.
    pub syncookies: Option<u64>,
    /// net.core.bpf_jit_enable.
    pub jit: Option<u64>,
    /// What stands in the way on each interface, cause and fix; or why it cannot be looked at.
    pub interfaces: Vec<(String, Result<CausesAndFixes, String>)>,
    /// Lines of files that are no networks, or why the files cannot be used.
    pub bad_lines: Result<Vec<String>, String>,
    /// Interfaces that the guard of an earlier run is attached to.
    pub left_behind: Vec<String>,
}

impl Ground {
    /// Looks at this machine; changes nothing.
    pub fn look(settings: &Settings) -> Self {
        let held = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
        let needed = [
            ("CAP_NET_ADMIN", CapabilitySet::NET_ADMIN),
            ("CAP_BPF", CapabilitySet::BPF),
            ("CAP_PERFMON", CapabilitySet::PERFMON),
        ];
        let lacks = |capability| !held.intersects(CapabilitySet::SYS_ADMIN.union(capability));
        let guard = &settings.guard;
        let look = |interface: &String| {
            let found = preflight(interface).map_err(|error| error.to_string());
            let pairs = found.map(|findings| findings.into_iter().map(|it| (it.cause, it.fix)).collect());
            (interface.clone(), pairs)
        };
        let name = |networks: Networks| networks.bad_lines.iter().map(ToString::to_string).collect();
        Self {
            object_error: Object::find(None).err().map(|error| error.to_string()),
            capabilities_missing: needed
                .iter()
                .filter(|(_, bit)| lacks(*bit))
                .map(|(name, _)| *name)
                .collect(),
            on_bpffs: on_bpffs(&guard.pins),
            syncookies: syncookies(),
            jit: jit(),
            interfaces: guard.interfaces.iter().map(look).collect(),
            bad_lines: Networks::read(guard, &settings.scanners).map(name).map_err(|error| error.to_string()),
            left_behind: left_behind(&guard.pins),
        }
    }
}

#[allow(clippy::unnecessary_cast, reason = "the width of the field differs between architectures")]
fn on_bpffs(pins: &Path) -> Option<bool> {
    let existing: PathBuf = pins.ancestors().find(|path| path.is_dir())?.to_owned();
    Some(statfs(&existing).ok()?.f_type as i64 == BPFFS_MAGIC)
}

/// What the guard lacks.
pub fn judge(settings: &Settings, ground: &Ground) -> Vec<Finding> {
    let guard = &settings.guard;
    let without = "or mode = \"off\" below [guard] to run without XDP";
    let Ground {
        object_error,
        capabilities_missing,
        on_bpffs,
        syncookies,
        jit,
        interfaces,
        bad_lines,
        left_behind,
    } = ground;
    let mut findings = Vec::new();
    if guard.mode == Mode::Off {
        findings.extend(left_behind.iter().map(|interface| {
            let problem =
                format!("the mode is off, but the guard of an earlier run is still attached to {interface}");
            warning("guard.mode", problem, format!("`carom guard detach --interface {interface}`"))
        }));
        return findings;
    }
    match Plan::make(guard, &settings.listen.all(), &settings.admin, *syncookies) {
        Err(problem) => {
            let place = match problem {
                PlanError::NoInterfaces => "guard.interfaces",
                PlanError::Wildcard(_) | PlanError::NotServed(_) => "guard.vips",
                PlanError::Settings(_) => "guard",
            };
            findings.push(error(place, problem.to_string(), "correct the section [guard]"));
        }
        Ok(Plan { challenges_rest: Some(_), .. }) => {
            let value = syncookies.map_or("unreadable".into(), |value| value.to_string());
            findings.push(warning(
                "guard.challenge_mode",
                format!("net.ipv4.tcp_syncookies is {value}, so challenges only count"),
                "`sysctl -w net.ipv4.tcp_syncookies=2`, and a file in /etc/sysctl.d",
            ));
        }
        Ok(_) => {}
    }
    if let Some(problem) = object_error {
        findings.push(error("guard.mode", problem.clone(), format!("build it, {without}")));
    }
    if !capabilities_missing.is_empty() {
        let names = capabilities_missing.join(" ");
        let fix = format!("AmbientCapabilities={names} in the unit, or check as the user that runs the node");
        findings.push(error("guard.mode", format!("this user lacks {names}"), fix));
    }
    if *on_bpffs == Some(false) {
        let mount = guard.pins.parent().unwrap_or(&guard.pins).display();
        let problem = format!("{} is not on a BPF file system", guard.pins.display());
        findings.push(error("guard.pins", problem, format!("`mount -t bpf bpffs {mount}`")));
    }
    if let Some((problem, fix)) = interpreted(*jit) {
        findings.push(warning("guard", problem, fix));
    }
    for (interface, found) in interfaces {
        match found {
            Err(problem) => {
                findings.push(error("guard.interfaces", problem.clone(), "`ip link` shows the names"));
            }
            Ok(causes) => findings.extend(causes.iter().map(|(cause, fix)| {
                warning("guard.interfaces", format!("{interface}: {cause}"), fix.clone())
            })),
        }
    }
    match bad_lines {
        Err(problem) => findings.push(error("guard", problem.clone(), "correct the file or the key")),
        Ok(lines) => {
            let more = lines.len().saturating_sub(BAD_LINES_LOGGED_MAX);
            findings.extend(lines.iter().take(BAD_LINES_LOGGED_MAX).map(|line| {
                warning(
                    "guard",
                    format!("a line of a list is left out: {line}"),
                    "write one network per line",
                )
            }));
            if more > 0 {
                findings.push(warning(
                    "guard",
                    format!("and {more} more lines"),
                    "correct those above first",
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Ground {
        Ground {
            object_error: None,
            capabilities_missing: Vec::new(),
            on_bpffs: Some(true),
            syncookies: Some(2),
            jit: Some(1),
            interfaces: vec![("eth0".into(), Ok(Vec::new()))],
            bad_lines: Ok(Vec::new()),
            left_behind: Vec::new(),
        }
    }

    fn told(guard: &str, ground: &Ground) -> Vec<String> {
        let text = format!("version = 1\n[listen]\nhttp = [\"192.0.2.1:80\"]\n[guard]\n{guard}\n");
        let settings = crate::config::parse(Path::new("carom.toml"), &text, "edge-1").unwrap();
        judge(&settings, ground)
            .into_iter()
            .map(|it| format!("{}: {}; {}", it.place, it.problem, it.fix))
            .collect()
    }

    #[test]
    fn good_ground_is_told_nothing() {
        assert_eq!(told("interfaces = [\"eth0\"]", &good()), [""; 0]);
    }

    #[test]
    fn each_thing_that_the_guard_lacks_is_named_with_its_fix() {
        let cases = [
            (Ground { syncookies: Some(1), ..good() }, "tcp_syncookies is 1"),
            (Ground { object_error: Some("no object".into()), ..good() }, "mode = \"off\""),
            (Ground { capabilities_missing: vec!["CAP_BPF"], ..good() }, "AmbientCapabilities=CAP_BPF"),
            (Ground { on_bpffs: Some(false), ..good() }, "`mount -t bpf bpffs /sys/fs/bpf`"),
            (Ground { jit: Some(0), ..good() }, "bpf_jit_enable=1"),
            (
                Ground {
                    interfaces: vec![("eth0".into(), Ok(vec![("LRO is on".into(), "turn it off".into())]))],
                    ..good()
                },
                "eth0: LRO is on; turn it off",
            ),
            (Ground { interfaces: vec![("eth9".into(), Err("no eth9".into()))], ..good() }, "no eth9"),
            (Ground { bad_lines: Ok(vec!["/etc/deny:7: x".into()]), ..good() }, "/etc/deny:7: x"),
        ];
        for (ground, part) in cases {
            let told = told("interfaces = [\"eth0\"]", &ground);
            assert!(told.len() == 1 && told[0].contains(part), "{told:?}");
        }
        assert!(told("", &good())[0].contains("guard.interfaces is empty"));
    }

    #[test]
    fn without_the_guard_only_a_gate_that_was_left_shut_is_told() {
        let nothing =
            Ground { object_error: Some("none".into()), syncookies: None, on_bpffs: Some(false), ..good() };
        assert_eq!(told("mode = \"off\"", &nothing), [""; 0]);
        let left = Ground { left_behind: vec!["eth0".into()], ..good() };
        assert!(told("mode = \"off\"", &left)[0].contains("carom guard detach --interface eth0"));
    }
}
