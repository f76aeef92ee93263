//! What an operator sets, in units of people, and its translation into the kernel's policy.

use std::net::IpAddr;

use ebpf_abi::maps::VIPS_ENTRIES;
use ebpf_abi::{
    ADMIN_PORTS_MAX, EVENTS_PER_S_MAX, Mode, PORTS_PER_VIP_MAX, PROTECTED_MAX, Policy, Protected,
    ROLE_MANAGEMENT, ROLE_ROUTING, STAGES, Stage, Vip,
};
use ebpf_logic::rate::level_of_rate;
use thiserror::Error;

use crate::Cidr;

/// The mode of each stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes([Mode; STAGES]);

impl Modes {
    /// The same mode for all stages.
    pub fn all(mode: Mode) -> Self {
        Self([mode; STAGES])
    }

    /// The same, but for one stage.
    #[must_use]
    pub fn with(mut self, stage: Stage, mode: Mode) -> Self {
        self.0[stage as usize] = mode;
        self
    }

    /// The mode of a stage.
    pub fn of(&self, stage: Stage) -> Mode {
        self.0[stage as usize]
    }
}

/// Two limits in new connections per second; none is never reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Above this rate, clients have to prove their address.
    pub challenge_per_s: Option<u32>,
    /// Above this rate, new connections are dropped.
    pub drop_per_s: Option<u32>,
}

/// A service address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipSettings {
    /// The address.
    pub address: IpAddr,
    /// Served TCP ports, at most eight.
    pub tcp_ports: Vec<u16>,
    /// Served UDP ports, at most eight.
    pub udp_ports: Vec<u16>,
}

/// Everything that an operator decides about the guard but lists and bans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How seriously each stage is meant.
    pub modes: Modes,
    /// Service addresses and what they serve.
    pub vips: Vec<VipSettings>,
    /// Sources that are never dropped.
    pub management: Vec<Cidr>,
    /// Peers whose BGP and BFD are never dropped.
    pub routing_peers: Vec<Cidr>,
    /// TCP ports that are never dropped, at most four.
    pub admin_ports: Vec<u16>,
    /// Limits per source: IPv4 /32, IPv6 /64.
    pub source: Limit,
    /// Limits per network: IPv4 /24, IPv6 /48.
    pub network: Limit,
    /// Limits of the whole node; each CPU gets an equal share.
    pub node: Limit,
    /// TCP segments per second and node above which each must belong to a connection; none is never reached.
    pub stray_check_per_s: Option<u32>,
    /// Sampled events per second and CPU.
    pub events_per_s: u32,
    /// MSS that a challenge offers over IPv4, bytes.
    pub mss_v4: u16,
    /// MSS that a challenge offers over IPv6, bytes.
    pub mss_v6: u16,
}

impl Default for Settings {
    /// Everything counts, nothing drops, nothing is served.
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            modes: Modes::all(Mode::Monitor),
            vips: Vec::new(),
            management: Vec::new(),
            routing_peers: Vec::new(),
            admin_ports: Vec::new(),
            source: Limit::default(),
            network: Limit::default(),
            node: Limit::default(),
            stray_check_per_s: None,
            events_per_s: policy.events_per_s,
            mss_v4: policy.mss_v4,
            mss_v6: policy.mss_v6,
        }
    }
}

/// Why settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// A list is longer than the kernel's.
    #[error("{count} {what} are more than the {max} that fit")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many were given.
        count: usize,
        /// How many fit.
        max: usize,
    },
    /// The addresses cannot be arranged in the table that the kernel reads; no salt helps, which no honest set has ever met.
    #[error("no arrangement of {0} VIPs was found; remove or renumber one")]
    NoPlace(usize),
    /// Port zero.
    #[error("port 0 among the {0}")]
    PortZero(&'static str),
    /// An address twice.
    #[error("the VIP {0} is listed twice")]
    VipTwice(IpAddr),
    /// The limits of one scope are in the wrong order.
    #[error("the {0} limit challenges above {1} but drops above {2} connections per second")]
    LimitOrder(&'static str, u32, u32),
    /// A number outside its bounds.
    #[error("{what} is {value}, which is not between {min} and {max}")]
    OutOfBounds {
        /// The setting.
        what: &'static str,
        /// What was given.
        value: u64,
        /// The least that works.
        min: u64,
        /// The most that works.
        max: u64,
    },
}

impl Settings {
    /// The kernel's policy for a machine with `cpus` receiving processors.
    ///
    /// # Errors
    /// The first setting that is out of bounds.
    pub fn policy(&self, seed: [u64; 2], cpus: u32) -> Result<Policy, SettingsError> {
        let Self {
            modes,
            vips: _,
            management,
            routing_peers,
            admin_ports,
            source,
            network,
            node,
            stray_check_per_s,
            events_per_s,
            mss_v4,
            mss_v6,
        } = self;
        let (source_soft_level, source_hard_level) = levels("source", *source, 1)?;
        let (network_soft_level, network_hard_level) = levels("network", *network, 1)?;
        let (cpu_soft_level, cpu_hard_level) = levels("node", *node, cpus)?;
        in_bounds("events_per_s", *events_per_s, 0, EVENTS_PER_S_MAX)?;
        in_bounds("mss_v4", u32::from(*mss_v4), 536, 8960)?;
        in_bounds("mss_v6", u32::from(*mss_v6), 1220, 8940)?;
        let mut policy = Policy {
            seed,
            modes: modes.0.map(|mode| mode as u8),
            source_soft_level,
            source_hard_level,
            network_soft_level,
            network_hard_level,
            cpu_soft_level,
            cpu_hard_level,
            stray_soft_level: level(*stray_check_per_s, cpus),
            events_per_s: *events_per_s,
            mss_v4: *mss_v4,
            mss_v6: *mss_v6,
            admin_ports: ports::<ADMIN_PORTS_MAX>("admin ports", admin_ports)?,
            ..Policy::default()
        };
        let protected: Vec<_> = (management.iter().map(|cidr| (cidr, ROLE_MANAGEMENT)))
            .chain(routing_peers.iter().map(|cidr| (cidr, ROLE_ROUTING)))
            .map(|(cidr, roles)| Protected { prefix: cidr.prefix(), roles })
            .collect();
        fits("management prefixes and routing peers", protected.len(), PROTECTED_MAX)?;
        policy.protected[..protected.len()].copy_from_slice(&protected);
        policy.protected_count = protected.len() as u32;
        Ok(policy)
    }

    /// The kernel's entries for the service addresses.
    ///
    /// # Errors
    /// Too many addresses or ports, an address twice, or port zero.
    pub fn vips(&self) -> Result<Vec<(IpAddr, Vip)>, SettingsError> {
        fits("VIPs", self.vips.len(), VIPS_ENTRIES)?;
        let mut entries: Vec<(IpAddr, Vip)> = Vec::with_capacity(self.vips.len());
        for VipSettings { address, tcp_ports, udp_ports } in &self.vips {
            let address = address.to_canonical();
            if entries.iter().any(|(other, _)| *other == address) {
                return Err(SettingsError::VipTwice(address));
            }
            let tcp_ports = ports::<PORTS_PER_VIP_MAX>("TCP ports of a VIP", tcp_ports)?;
            let udp_ports = ports::<PORTS_PER_VIP_MAX>("UDP ports of a VIP", udp_ports)?;
            entries.push((address, Vip { tcp_ports, udp_ports }));
        }
        Ok(entries)
    }
}

fn levels(what: &'static str, limit: Limit, cpus: u32) -> Result<(u32, u32), SettingsError> {
    if let (Some(soft), Some(hard)) = (limit.challenge_per_s, limit.drop_per_s)
        && soft > hard
    {
        return Err(SettingsError::LimitOrder(what, soft, hard));
    }
    Ok((level(limit.challenge_per_s, cpus), level(limit.drop_per_s, cpus)))
}

fn level(per_s: Option<u32>, cpus: u32) -> u32 {
    per_s.map_or(u32::MAX, |per_s| level_of_rate(per_s.div_ceil(cpus.max(1))))
}

fn ports<const MAX: usize>(what: &'static str, ports: &[u16]) -> Result<[u16; MAX], SettingsError> {
    fits(what, ports.len(), MAX)?;
    if ports.contains(&0) {
        return Err(SettingsError::PortZero(what));
    }
    let mut filled = [0; MAX];
    filled[..ports.len()].copy_from_slice(ports);
    Ok(filled)
}

fn fits(what: &'static str, count: usize, max: usize) -> Result<(), SettingsError> {
    if count > max { Err(SettingsError::TooMany { what, count, max }) } else { Ok(()) }
}

fn in_bounds(what: &'static str, value: u32, min: u32, max: u32) -> Result<(), SettingsError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let [value, min, max] = [value, min, max].map(u64::from);
    Err(SettingsError::OutOfBounds { what, value, min, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_limit_is_shared_out_among_the_cpus() {
        let node = Limit { challenge_per_s: Some(1000), drop_per_s: None };
        let policy = Settings { node, ..Settings::default() }.policy([0; 2], 4).unwrap();
        assert_eq!(policy.cpu_soft_level, level_of_rate(250));
        assert_eq!(policy.cpu_hard_level, u32::MAX);
    }

    #[test]
    fn settings_that_do_not_fit_are_refused_with_their_name() {
        let vip = VipSettings { address: [192, 0, 2, 1].into(), tcp_ports: vec![80; 9], udp_ports: vec![] };
        let settings = Settings { vips: vec![vip.clone()], ..Settings::default() };
        assert_eq!(
            settings.vips().unwrap_err().to_string(),
            "9 TCP ports of a VIP are more than the 8 that fit"
        );
        let vip = VipSettings { tcp_ports: vec![0], ..vip };
        let settings = Settings { vips: vec![vip], ..Settings::default() };
        assert_eq!(settings.vips().unwrap_err().to_string(), "port 0 among the TCP ports of a VIP");
        let source = Limit { challenge_per_s: Some(5), drop_per_s: Some(4) };
        let error = Settings { source, ..Settings::default() }.policy([0; 2], 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the source limit challenges above 5 but drops above 4 connections per second"
        );
        let error = Settings { mss_v4: 100, ..Settings::default() }.policy([0; 2], 1).unwrap_err();
        assert_eq!(error.to_string(), "mss_v4 is 100, which is not between 536 and 8960");
    }
}
