//! Opens the gate of an interface, because somebody said so.

use std::fs;
use std::io;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use ebpf_loader::Pins;

use crate::guard::gate::left_behind;

pub(super) fn run(pins: &Pins, interface: &str, json: bool) -> anyhow::Result<ExitCode> {
    let attached = left_behind(pins.root());
    if !attached.iter().any(|name| name == interface) {
        let there =
            if attached.is_empty() { "none is".into() } else { format!("attached: {}", attached.join(", ")) };
        bail!("the guard is not attached to {interface:?} below {}; {there}", pins.root().display());
    }
    // The pin is all that holds the link: without it the kernel detaches the program.
    let pin = pins.root().join(format!("link-{interface}"));
    fs::remove_file(&pin)
        .or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })
        .with_context(|| format!("cannot remove {}", pin.display()))?;
    if json {
        return super::super::print(&format!(
            "{}\n",
            serde_json::json!({ "interface": interface, "attached": false })
        ));
    }
    super::super::print(&format!(
        "the gate of {interface} is open: nothing is judged there until the next start of a node\n"
    ))
}
