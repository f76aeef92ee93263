//! What the operator decided, as the kernel reads it.

use crate::Prefix;

/// Prefixes that are never dropped.
pub const PROTECTED_MAX: usize = 16;
/// TCP ports that are never dropped.
pub const ADMIN_PORTS_MAX: usize = 4;
/// Upper bound of sampled events per second and CPU.
pub const EVENTS_PER_S_MAX: u32 = 10_000;
/// Stages that have a mode.
pub const STAGES: usize = 8;

/// A stage that can drop; each has its own mode. The order is the order of judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stage {
    /// Packets that make no sense, fragments, impossible sources.
    Parse = 0,
    /// Ports and protocols that the VIP does not serve.
    Port = 1,
    /// The deny list.
    Deny = 2,
    /// Bans with an expiry.
    Ban = 3,
    /// Hard limits of new connections per source, network and node.
    Rate = 4,
    /// SYN cookies above the soft limits.
    Challenge = 5,
    /// Segments that belong to no connection, during a flood of them.
    Stray = 6,
    /// Answers from the NIC; no stage of this version.
    Answer = 7,
}

impl Stage {
    /// All stages, in the order of judgement.
    pub const ALL: [Self; STAGES] = [
        Self::Parse,
        Self::Port,
        Self::Deny,
        Self::Ban,
        Self::Rate,
        Self::Challenge,
        Self::Stray,
        Self::Answer,
    ];

    /// The name in configuration, metrics and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Port => "port",
            Self::Deny => "deny",
            Self::Ban => "ban",
            Self::Rate => "rate",
            Self::Challenge => "challenge",
            Self::Stray => "stray",
            Self::Answer => "answer",
        }
    }

    /// Stages that stop dropping when user space is gone: what they know goes stale, or needs somebody who watches.
    #[inline(always)]
    pub const fn needs_heartbeat(self) -> bool {
        match self {
            Self::Ban | Self::Rate | Self::Challenge | Self::Stray | Self::Answer => true,
            Self::Parse | Self::Port | Self::Deny => false,
        }
    }
}

/// How seriously a stage is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mode {
    /// The stage does not run.
    Off = 0,
    /// The stage only counts what it would have done.
    #[default]
    Monitor = 1,
    /// The stage drops.
    Enforce = 2,
}

/// Addresses that are never dropped in this role.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    /// Which addresses.
    pub prefix: Prefix,
    /// [`ROLE_MANAGEMENT`], [`ROLE_ROUTING`] or both.
    pub roles: u64,
}

/// Everything from the prefix passes.
pub const ROLE_MANAGEMENT: u64 = 1;
/// BGP and BFD from the prefix pass.
pub const ROLE_ROUTING: u64 = 2;

/// All settings of the kernel side that fit in one value. Levels are the unit of `ebpf_logic::rate`: 64 per connection,
/// halved every second.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Secret that keys the rate sketch; random at every start.
    pub seed: [u64; 2],
    /// [`Mode`] of each [`Stage`], as numbers.
    pub modes: [u8; STAGES],
    /// Level of one source (IPv4 /32, IPv6 /64) above which it is challenged.
    pub source_soft_level: u32,
    /// Level of one source above which it is dropped.
    pub source_hard_level: u32,
    /// Level of one network (IPv4 /24, IPv6 /48) above which it is challenged.
    pub network_soft_level: u32,
    /// Level of one network above which it is dropped.
    pub network_hard_level: u32,
    /// Level of new connections on one CPU above which everybody is challenged and the sketch rests.
    pub cpu_soft_level: u32,
    /// Level of new connections on one CPU above which they are dropped.
    pub cpu_hard_level: u32,
    /// Level of other TCP segments on one CPU above which each must belong to a connection.
    pub stray_soft_level: u32,
    /// Sampled events per second and CPU.
    pub events_per_s: u32,
    /// MSS that a challenge offers over IPv4, bytes.
    pub mss_v4: u16,
    /// MSS that a challenge offers over IPv6, bytes.
    pub mss_v6: u16,
    /// Used entries of `protected`.
    pub protected_count: u32,
    /// Whether any ban is of a wide prefix: 0 or 1.
    pub network_bans: u32,
    /// Whether the lists of the families hold anything: bit 0 IPv4, bit 1 IPv6.
    pub lists_used: u32,
    /// TCP ports that are never dropped; unused ones are zero.
    pub admin_ports: [u16; ADMIN_PORTS_MAX],
    /// Keys the table of service addresses; chosen so that every address has a place.
    pub vips_salt: u64,
    /// Which of the two list tables is valid: 0 or 1.
    pub lists_slot: u32,
    /// Which of the two tables of service addresses is valid: 0 or 1.
    pub vips_slot: u32,
    /// Prefixes that are never dropped.
    pub protected: [Protected; PROTECTED_MAX],
}

impl Policy {
    /// The mode of a stage; an unknown number only counts.
    #[inline(always)]
    pub const fn mode(&self, stage: Stage) -> Mode {
        match self.modes[stage as usize & (STAGES - 1)] {
            0 => Mode::Off,
            2 => Mode::Enforce,
            _ => Mode::Monitor,
        }
    }
}

impl Default for Policy {
    /// Everything counts, nothing drops, and no limit is ever reached.
    fn default() -> Self {
        Self {
            seed: [0; 2],
            modes: [Mode::Monitor as u8; STAGES],
            source_soft_level: u32::MAX,
            source_hard_level: u32::MAX,
            network_soft_level: u32::MAX,
            network_hard_level: u32::MAX,
            cpu_soft_level: u32::MAX,
            cpu_hard_level: u32::MAX,
            stray_soft_level: u32::MAX,
            events_per_s: 100,
            mss_v4: 1460,
            mss_v6: 1440,
            protected_count: 0,
            network_bans: 0,
            lists_used: 0,
            admin_ports: [0; ADMIN_PORTS_MAX],
            vips_salt: 0,
            lists_slot: 0,
            vips_slot: 0,
            protected: [Protected::default(); PROTECTED_MAX],
        }
    }
}
