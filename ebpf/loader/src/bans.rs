//! Bans: written by anybody who may, expired by the kernel, swept by whoever looks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use aya::maps::MapError;
use ebpf_abi::{Ban, BanKey, BanKind, maps};
use thiserror::Error;

use crate::cidr::to_abi;
use crate::plain::Plain;
use crate::tables::{remove, table};
use crate::{Cidr, GuardError, Tables, now_ns};

/// A ban that has not expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BanEntry {
    /// Who.
    pub source: Cidr,
    /// How hard.
    pub kind: BanKind,
    /// For how long still.
    pub remaining: Duration,
    /// Why, in the numbers of whoever banned.
    pub cause: u32,
}

impl BanEntry {
    /// Whether it is the ban of a whole network: IPv4 /24, IPv6 /48.
    pub(crate) fn is_network(&self) -> bool {
        matches!(self.source.length(), 24 | 48)
    }
}

/// Why a ban cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BanError {
    /// Bans are looked up by prefixes of fixed lengths.
    #[error(
        "{0} cannot be banned: IPv4 is banned by /32 or /24, IPv6 by /128, /64 or /48 (a /128 means its /64); put other networks on the deny list"
    )]
    Length(Cidr),
    /// An address that no network has been given.
    #[error("{0} cannot be banned: nobody has been given that part of IPv6; put it on the deny list")]
    Unassigned(Cidr),
    /// The table is full of bans that have not expired.
    #[error("all {0} bans are in use")]
    Full(usize),
}

impl Tables {
    /// Bans a source for `duration`, replacing a ban that it has.
    ///
    /// # Errors
    /// The network has a length that is not banned, or the table is full even after a sweep.
    pub fn ban(
        &mut self,
        source: Cidr,
        kind: BanKind,
        duration: Duration,
        cause: u32,
    ) -> Result<(), GuardError> {
        let key = key(source)?;
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let ban = Ban { expires_at_ns: now_ns().saturating_add(duration_ns), kind: kind.number(), cause };
        if key.is_network() {
            self.amend_policy(|policy| policy.network_bans = 1)?;
        }
        let full = |error: &MapError| matches!(error, MapError::SyscallError(error) if error.io_error.raw_os_error() == Some(libc::E2BIG));
        match self.bans.insert(key.packed(), Plain(ban), 0) {
            Err(error) if full(&error) => {
                if self.sweep()? == 0 {
                    return Err(BanError::Full(maps::BANS_ENTRIES).into());
                }
                self.bans.insert(key.packed(), Plain(ban), 0).map_err(table(maps::BANS))
            }
            written => written.map_err(table(maps::BANS)),
        }
    }

    /// Lifts a ban; whether there was one.
    ///
    /// # Errors
    /// The network has a length that is not banned, or the table cannot be written.
    pub fn unban(&mut self, source: Cidr) -> Result<bool, GuardError> {
        let key = key(source)?.packed();
        let there = self.bans.get(&key, 0).is_ok_and(|Plain(ban)| ban.expires_at_ns > now_ns());
        remove(self.bans.remove(&key)).map_err(table(maps::BANS))?;
        Ok(there)
    }

    /// All bans that have not expired, in no order.
    ///
    /// # Errors
    /// The table cannot be read.
    pub fn bans(&self) -> Result<Vec<BanEntry>, GuardError> {
        let now_ns = now_ns();
        let mut entries = Vec::new();
        for entry in self.bans.iter() {
            let (word, Plain(ban)) = entry.map_err(table(maps::BANS))?;
            if ban.expires_at_ns > now_ns {
                let remaining = Duration::from_nanos(ban.expires_at_ns - now_ns);
                let kind = BanKind::from_number(ban.kind);
                entries.push(BanEntry {
                    source: source(BanKey::unpacked(word)),
                    kind,
                    remaining,
                    cause: ban.cause,
                });
            }
        }
        Ok(entries)
    }

    /// Removes expired bans and returns how many; the kernel ignores them anyway, this only makes room.
    ///
    /// # Errors
    /// The table cannot be read or written.
    pub fn sweep(&mut self) -> Result<usize, GuardError> {
        let now_ns = now_ns();
        let expired: Vec<_> = self
            .bans
            .iter()
            .filter_map(Result::ok)
            .filter(|(_, Plain(ban))| ban.expires_at_ns <= now_ns)
            .map(|(key, _)| key)
            .collect();
        for key in &expired {
            remove(self.bans.remove(key)).map_err(table(maps::BANS))?;
        }
        Ok(expired.len())
    }
}

/// The key of a network that can be banned.
///
/// # Errors
/// The network has a length that is not banned, or nobody has been given it.
pub fn key(source: Cidr) -> Result<BanKey, BanError> {
    let address = to_abi(source.address());
    let key = match (source.address().is_ipv4(), source.length()) {
        (true, 32) | (false, 128 | 64) => BanKey::source(address),
        (true, 24) | (false, 48) => BanKey::network(address),
        _ => return Err(BanError::Length(source)),
    };
    if key.is_packable() { Ok(key) } else { Err(BanError::Unassigned(source)) }
}

/// The network of a key.
pub(crate) fn source(key: BanKey) -> Cidr {
    let v4 = || IpAddr::V4(Ipv4Addr::from_bits(key.bits as u32));
    let v6 = || IpAddr::V6(Ipv6Addr::from_bits(u128::from(key.bits) << 64));
    match key.length {
        128 => Cidr::new(v4(), 32),
        120 => Cidr::new(v4(), 24),
        48 => Cidr::new(v6(), 48),
        _ => Cidr::new(v6(), 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_comes_back_as_the_network_that_was_banned() {
        for (given, kept) in [
            ("192.0.2.1", "192.0.2.1/32"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("2001:db8:1:2::3", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
            ("2001:db8:1::/48", "2001:db8:1::/48"),
        ] {
            assert_eq!(source(key(given.parse().unwrap()).unwrap()).to_string(), kept);
        }
        assert!(key("4000::1".parse().unwrap()).unwrap_err().to_string().contains("deny list"));
        assert!(key("10.0.0.0/8".parse().unwrap()).unwrap_err().to_string().contains("deny list"));
    }
}
