//! What the guard has counted, summed over the CPUs.

use ebpf_abi::{CpuState, Protocol, REASON_SLOTS, Reason};
use ebpf_logic::rate;

/// Counters since the tables were made; they survive restarts of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    decided: [[u64; Protocol::SLOTS]; REASON_SLOTS],
    monitored: [u64; REASON_SLOTS],
    /// Events that found the ring full.
    pub events_lost: u64,
    /// Events that were over the budget of their second.
    pub events_skipped: u64,
    /// Highest level of new connections on one CPU, when last charged; in the unit of `Policy`.
    pub new_connections_level_max: u32,
}

impl Counters {
    /// Packets that ended with this reason.
    pub fn decided(&self, reason: Reason, protocol: Protocol) -> u64 {
        self.decided[reason as usize][protocol as usize]
    }

    /// Packets that ended with this reason, of all protocols.
    pub fn of(&self, reason: Reason) -> u64 {
        self.decided[reason as usize].iter().sum()
    }

    /// Packets that a monitoring stage would have acted on for this reason.
    pub fn monitored(&self, reason: Reason) -> u64 {
        self.monitored[reason as usize]
    }

    /// All packets judged.
    pub fn packets(&self) -> u64 {
        self.decided.iter().flatten().sum()
    }

    pub(crate) fn sum<'s>(states: impl Iterator<Item = &'s CpuState>) -> Self {
        let mut sum = Self {
            decided: [[0; Protocol::SLOTS]; REASON_SLOTS],
            monitored: [0; REASON_SLOTS],
            events_lost: 0,
            events_skipped: 0,
            new_connections_level_max: 0,
        };
        for state in states {
            let CpuState {
                decided,
                monitored,
                events_lost,
                events_skipped,
                events_since_ns: _,
                events_sent: _,
                new_connections,
                segments: _,
                clock_tick: _,
                clock_ns: _,
            } = state;
            for (index, count) in decided.iter().enumerate() {
                sum.decided[index / Protocol::SLOTS][index % Protocol::SLOTS] += count;
            }
            for (total, count) in sum.monitored.iter_mut().zip(monitored) {
                *total += count;
            }
            sum.events_lost += events_lost;
            sum.events_skipped += events_skipped;
            sum.new_connections_level_max = sum.new_connections_level_max.max(rate::level(*new_connections));
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_all_cpus_are_added() {
        let mut state = CpuState::zeroed();
        state.decided[Reason::Banned as usize * Protocol::SLOTS + Protocol::Tcp6 as usize] = 3;
        state.monitored[Reason::Denied as usize] = 2;
        state.events_lost = 1;
        let sum = Counters::sum([state, state].iter());
        assert_eq!((sum.decided(Reason::Banned, Protocol::Tcp6), sum.of(Reason::Banned)), (6, 6));
        assert_eq!((sum.monitored(Reason::Denied), sum.events_lost, sum.packets()), (4, 2, 6));
    }
}
