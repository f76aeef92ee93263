//! The guard without XDP: the same settings, lists, bans and decisions, in this process and for nobody's packets.

use std::time::Duration;

use ebpf_abi::{Action, Ban, BanKind, Reason};
use ebpf_logic::judge;
use ebpf_logic::twin::{Frame, MemoryTables};

use crate::bans::{key, source};
use crate::cidr::to_abi;
use crate::{BanEntry, BanError, Cidr, Explanation, Lists, Question, Settings, SettingsError, now_ns};

/// What a machine without XDP has: it checks settings, keeps bans and explains packets, and drops nothing.
#[derive(Debug, Default)]
pub struct Twin {
    tables: MemoryTables,
}

impl Twin {
    /// A twin without settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the settings valid.
    ///
    /// # Errors
    /// A setting is out of bounds; nothing has changed then.
    pub fn apply(&mut self, settings: &Settings) -> Result<(), SettingsError> {
        let vips = settings.vips()?;
        let mut policy = settings.policy([0; 2], 1)?;
        policy.lists_used = 3;
        policy.network_bans = 1;
        self.tables.policy = Some(policy);
        self.tables.vips = vips.into_iter().map(|(address, vip)| (to_abi(address), vip)).collect();
        Ok(())
    }

    /// Replaces both lists.
    pub fn replace_lists(&mut self, lists: &Lists) {
        self.tables.lists = lists.entries().map(|(cidr, bits)| (cidr.prefix(), bits)).collect();
    }

    /// Says that somebody supervises for `lease` more.
    pub fn beat(&mut self, lease: Duration) {
        self.tables.alive_until_ns = now_ns().saturating_add(nanoseconds(lease));
    }

    /// Bans a source.
    ///
    /// # Errors
    /// The network has a length that is not banned.
    pub fn ban(
        &mut self,
        source: Cidr,
        kind: BanKind,
        duration: Duration,
        cause: u32,
    ) -> Result<(), BanError> {
        let expires_at_ns = now_ns().saturating_add(nanoseconds(duration));
        self.tables.bans.insert(key(source)?, Ban { expires_at_ns, kind: kind.number(), cause });
        Ok(())
    }

    /// Lifts a ban; whether there was one.
    ///
    /// # Errors
    /// The network has a length that is not banned.
    pub fn unban(&mut self, source: Cidr) -> Result<bool, BanError> {
        Ok(self.tables.bans.remove(&key(source)?).is_some_and(|ban| ban.expires_at_ns > now_ns()))
    }

    /// All bans that have not expired; the others are forgotten.
    pub fn bans(&mut self) -> Vec<BanEntry> {
        let now_ns = now_ns();
        self.tables.bans.retain(|_, ban| ban.expires_at_ns > now_ns);
        let entry = |(key, ban): (&_, &Ban)| BanEntry {
            source: source(*key),
            kind: BanKind::from_number(ban.kind),
            remaining: Duration::from_nanos(ban.expires_at_ns - now_ns),
            cause: ban.cause,
        };
        self.tables.bans.iter().map(entry).collect()
    }

    /// What the kernel would do with a packet.
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        let mut frame = Frame(question.frame.to_owned());
        let verdict = judge(&mut frame, &self.tables, question.now_ns.unwrap_or_else(now_ns));
        let action = verdict.action();
        frame.0.truncate(usize::from(verdict.answer_bytes));
        Explanation {
            reason: verdict.reason,
            monitored: verdict.monitored(),
            action,
            rule: verdict.rule,
            answer: (action == Action::Transmit).then_some(frame.0),
        }
    }

    /// The reasons that a twin can give, for tables of metrics that are the same with and without XDP.
    pub fn reasons() -> &'static [Reason] {
        Reason::ALL
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use ebpf_abi::Mode;

    use super::*;
    use crate::{List, ListKind, Modes, VipSettings};

    #[test]
    fn a_twin_explains_packets_without_a_kernel() {
        let vip = VipSettings { address: [192, 0, 2, 1].into(), tcp_ports: vec![80], udp_ports: vec![] };
        let settings = Settings { modes: Modes::all(Mode::Enforce), vips: vec![vip], ..Settings::default() };
        let mut twin = Twin::new();
        twin.apply(&settings).unwrap();
        twin.beat(Duration::from_secs(60));
        let (list, _) = List::parse(ListKind::Deny, 1, "203.0.113.0/24");
        twin.replace_lists(&Lists::merge(&[list]));
        twin.ban("198.51.100.9".parse().unwrap(), BanKind::Drop, Duration::from_secs(60), 5).unwrap();
        for (source, port, reason, rule) in [
            ("198.51.100.8:4000", 80, Reason::Accepted, 0),
            ("198.51.100.8:4000", 81, Reason::UnservedPort, 0),
            ("198.51.100.9:4000", 80, Reason::Banned, 5),
            ("203.0.113.9:4000", 80, Reason::Denied, 1),
        ] {
            let frame = Question::syn(source.parse().unwrap(), ([192, 0, 2, 1], port).into());
            let explanation = twin.explain(&Question::about(&frame));
            assert_eq!((explanation.reason, explanation.rule), (reason, rule), "{source} {port}");
        }
        assert_eq!(twin.bans().len(), 1);
        assert!(twin.unban("198.51.100.9".parse().unwrap()).unwrap());
        assert!(twin.bans().is_empty());
    }
}
