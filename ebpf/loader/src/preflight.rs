//! What stands in the way of native XDP on an interface, each finding with its cause and its fix.

use std::fs;

use crate::attach::AttachError;
use crate::{GuardError, ethtool};

/// Frames above this do not fit one page beside headroom and tailroom; most drivers refuse a program then.
const MTU_MAX: u32 = 3498;

/// Something that makes a driver refuse, or the guard slow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub cause: String,
    /// What to do about it.
    pub fix: String,
}

/// Looks at an interface without changing it.
///
/// # Errors
/// There is no such interface.
pub fn preflight(interface: &str) -> Result<Vec<Finding>, AttachError> {
    if !ethtool::exists(interface) {
        return Err(AttachError::NoInterface(interface.to_owned()));
    }
    let mut findings = Vec::new();
    let mut find = |cause: String, fix: String| findings.push(Finding { cause, fix });
    if let Some(mtu) = ethtool::mtu(interface).ok().filter(|mtu| *mtu > MTU_MAX) {
        find(
            format!("the MTU is {mtu}, and a frame must fit one page"),
            format!("ip link set dev {interface} mtu {MTU_MAX}, or less as the driver asks"),
        );
    }
    if ethtool::large_receive_offload(interface).unwrap_or(false) {
        find("large receive offload is on".to_owned(), format!("ethtool -K {interface} lro off"));
    }
    let driver = ethtool::driver(interface).unwrap_or_default();
    if let Ok(channels) = ethtool::channels(interface) {
        let queues = channels.combined.max(channels.transmit);
        let queues_max = channels.combined_max.max(channels.transmit_max);
        let cpus = std::thread::available_parallelism()
            .map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX));
        // Drivers keep one transmit queue per CPU for XDP; who has them all in use refuses or shares them under a lock.
        if driver == "virtio_net" && queues_max < 2 * cpus {
            find(
                format!(
                    "{queues_max} queue pairs are fewer than twice the {cpus} CPUs, which this driver wants"
                ),
                "give the virtual machine more queues".to_owned(),
            );
        } else if driver == "ena" && queues * 2 > queues_max {
            find(
                format!("{queues} of {queues_max} channels are in use, and this driver wants half of them"),
                format!("ethtool -L {interface} combined {}", (queues_max / 2).max(1)),
            );
        }
    }
    if WITHOUT_NATIVE.contains(&driver.as_str()) {
        find(
            format!("the driver {driver} has no native XDP"),
            "use another card, or allow the generic mode knowing that it is slow".to_owned(),
        );
    }
    Ok(findings)
}

/// Drivers that are met often and have no native XDP.
const WITHOUT_NATIVE: [&str; 6] = ["r8169", "e1000", "e1000e", "tg3", "bridge", "dummy"];

/// Whether this process may load programs.
pub(crate) fn may_load() -> Result<(), GuardError> {
    const CAP_NET_ADMIN: u64 = 1 << 12;
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    const CAP_BPF: u64 = 1 << 39;
    let effective = effective_capabilities().unwrap_or(u64::MAX);
    if effective & (CAP_SYS_ADMIN | CAP_BPF) == 0 {
        return Err(GuardError::Capability("CAP_BPF"));
    }
    if effective & (CAP_SYS_ADMIN | CAP_NET_ADMIN) == 0 {
        return Err(GuardError::Capability("CAP_NET_ADMIN"));
    }
    Ok(())
}

fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        for name in ["", "no/such", "carom-none"] {
            assert_eq!(preflight(name).unwrap_err().to_string(), format!("there is no interface `{name}`"));
        }
    }

    #[test]
    fn the_loopback_interface_has_nothing_that_ethtool_complains_about() {
        let findings = preflight("lo").unwrap();
        assert!(findings.iter().all(|finding| finding.cause.contains("MTU")), "{findings:?}");
    }
}
