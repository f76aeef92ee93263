//! Gives up what a node does not need once it stands. Threads inherit: it must happen before they are started.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};

/// What a node may go on to need: bans, lists, self-tests and interfaces that come back; ports below 1024; a snapshot locked in
/// memory; and files of others (snapshots, lists, certificates, logs that are opened again), which root reads and writes only
/// by a capability. Without it root would still own everything that matters, so that giving it up protects nothing.
const NEEDED: CapabilitySet = CapabilitySet::NET_ADMIN
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::IPC_LOCK);

/// Drops every capability of this thread, and of those it starts, that is not needed. What is not held is not asked for.
///
/// # Errors
///
/// What the kernel says.
pub fn drop_unneeded() -> io::Result<()> {
    let held = capabilities(None)?;
    set_capabilities(None, kept(held))?;
    set_no_new_privs(true)?;
    Ok(())
}

fn kept(held: CapabilitySets) -> CapabilitySets {
    let CapabilitySets { effective, permitted, inheritable } = held;
    CapabilitySets {
        effective: effective & NEEDED,
        permitted: permitted & NEEDED,
        // What systemd gives by AmbientCapabilities= is inheritable, and a successor of this process needs it too.
        inheritable: inheritable & NEEDED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_was_held_and_is_needed() {
        let all = CapabilitySets {
            effective: CapabilitySet::all(),
            permitted: CapabilitySet::all(),
            inheritable: CapabilitySet::all(),
        };
        let root = kept(all);
        assert_eq!((root.effective, root.permitted), (NEEDED, NEEDED));
        assert!(!root.effective.contains(CapabilitySet::SYS_ADMIN));
        assert_eq!(root.inheritable, NEEDED, "a successor needs the same");
        let nothing = CapabilitySets {
            effective: CapabilitySet::empty(),
            permitted: CapabilitySet::empty(),
            inheritable: CapabilitySet::empty(),
        };
        assert!(kept(nothing).permitted.is_empty() && kept(nothing).inheritable.is_empty());
    }
}
