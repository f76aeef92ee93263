//! The namespace that probes start in: a cable from a namespace of its own to an interface here, which the guard is attached to as to any
//! other, so that a canary meets the guard before it meets the node.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use clap::Args;

use super::print;
use crate::config;

#[derive(Debug, Args)]
pub(super) struct ProbeNamespaceArgs {
    #[command(flatten)]
    config: super::ConfigFile,
    /// Name of the interface on this side.
    #[arg(long, value_name = "NAME", default_value = "carom-probe")]
    interface: String,
    /// Remove it.
    #[arg(long)]
    remove: bool,
}

/// Addresses of the cable: link-local ones (RFC 3927) and unique local ones (RFC 4193), which no router forwards.
const HERE: [&str; 2] = ["169.254.203.1/30", "fdca:705e::1/126"];
const THERE: [&str; 2] = ["169.254.203.2/30", "fdca:705e::2/126"];

pub(super) fn run(args: &ProbeNamespaceArgs) -> anyhow::Result<ExitCode> {
    let ProbeNamespaceArgs { config, interface, remove } = args;
    let settings = config::load(&config.path)?;
    let Some(namespace) = settings.probe.namespace else {
        bail!("{}: probe.namespace is empty; write the name that it shall have", config.path.display());
    };
    // What is left of an earlier one goes first, so that the command may be repeated.
    let _ = ip(&["netns", "del", &namespace]);
    let _ = ip(&["link", "del", interface]);
    if *remove {
        return print(&format!("{namespace} and {interface} are gone\n"));
    }
    make(&namespace, interface).inspect_err(|_| {
        let _ = ip(&["netns", "del", &namespace]);
    })?;
    print(&format!(
        "{namespace} is there, behind {interface}. Add \"{interface}\" to guard.interfaces of carom, so that probes meet the guard.\n"
    ))
}

fn make(namespace: &str, interface: &str) -> anyhow::Result<()> {
    ip(&["netns", "add", namespace])?;
    ip(&["link", "add", interface, "type", "veth", "peer", "name", "probe", "netns", namespace])?;
    for address in HERE {
        ip(&[&["address", "add", address, "dev", interface], nodad(address)].concat())?;
    }
    ip(&["link", "set", interface, "up"])?;
    let inside = |words: &[&str]| ip(&[&["-n", namespace], words].concat());
    inside(&["link", "set", "lo", "up"])?;
    for address in THERE {
        inside(&[&["address", "add", address, "dev", "probe"], nodad(address)].concat())?;
    }
    inside(&["link", "set", "probe", "up"])?;
    inside(&["route", "add", "default", "via", HERE[0].trim_end_matches("/30")])?;
    inside(&["-6", "route", "add", "default", "via", HERE[1].trim_end_matches("/126")])
}

/// Without waiting whether somebody else has it: nobody else is on this cable.
fn nodad(address: &str) -> &'static [&'static str] {
    if address.contains(':') { &["nodad"] } else { &[] }
}

fn ip(words: &[&str]) -> anyhow::Result<()> {
    let output = Command::new("ip").args(words).output().context("cannot run ip(8); install iproute2")?;
    if !output.status.success() {
        bail!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
