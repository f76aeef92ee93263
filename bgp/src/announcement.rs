//! What is announced: a service in one address family, on one rung of its ladder.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// `v4` or `v6`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How much traffic an announcement asks for. The order is the ladder: a higher rung attracts more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// Nothing is announced.
    Withdrawn,
    /// Announced with GRACEFUL_SHUTDOWN (RFC 8326): used only where nobody else announces.
    Graceful,
    /// Announced with a longer path: used where no shorter one is.
    Prepended,
    /// Announced plainly.
    Normal,
}

impl Rung {
    /// From the lowest to the highest.
    pub const ALL: [Self; 4] = [Self::Withdrawn, Self::Graceful, Self::Prepended, Self::Normal];
    /// Those that are a static protocol of BIRD, from the highest to the lowest.
    pub const ANNOUNCED: [Self; 3] = [Self::Normal, Self::Prepended, Self::Graceful];

    /// Its name in protocols, metrics and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Withdrawn => "withdrawn",
            Self::Graceful => "graceful",
            Self::Prepended => "prepended",
            Self::Normal => "normal",
        }
    }

    /// Position on the ladder: 0 is withdrawn, 3 is normal.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// BIRD's preference of its static protocol: the highest enabled rung is the one that is exported.
    pub const fn preference(self) -> u32 {
        match self {
            Self::Withdrawn => 0,
            Self::Graceful => 120,
            Self::Prepended => 180,
            Self::Normal => 200,
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// One announcement: the addresses that a service has in one family, which always move together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Name of the service.
    pub service: String,
    /// Family of all the addresses.
    pub family: Family,
    /// At least one.
    pub vips: Vec<IpAddr>,
}

impl Announcement {
    /// `service/v4`, as people and programs name it.
    pub fn name(&self) -> String {
        format!("{}/{}", self.service, self.family)
    }

    /// The static protocol of BIRD that carries a rung.
    pub fn protocol(&self, rung: Rung) -> String {
        format!("vip_{}_{}_{rung}", self.service, self.family)
    }

    /// The constant that disables the protocol of a rung.
    pub fn constant(&self, rung: Rung) -> String {
        format!("CAROM_{}_{}_{rung}", self.service, self.family).to_ascii_uppercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_rungs_is_that_of_their_preferences() {
        assert!(Rung::ALL.is_sorted_by_key(|rung| rung.preference()));
        assert!(Rung::ALL.is_sorted());
    }

    #[test]
    fn names_are_those_of_the_generated_configuration() {
        let announcement = Announcement {
            service: "web".into(),
            family: Family::V6,
            vips: vec!["2001:db8::1".parse().unwrap()],
        };
        assert_eq!(announcement.name(), "web/v6");
        assert_eq!(announcement.protocol(Rung::Graceful), "vip_web_v6_graceful");
        assert_eq!(announcement.constant(Rung::Normal), "CAROM_WEB_V6_NORMAL");
    }
}
