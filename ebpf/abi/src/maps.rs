//! Every map: its name, its entries and the memory it may take.

/// Which policy is valid, and the heartbeat. Array.
pub const CONTROL: &str = "CONTROL";
/// Two policies, of which [`CONTROL`] names the valid one. Array.
pub const POLICY: &str = "POLICY";
/// Policy slots.
pub const POLICY_ENTRIES: usize = 2;
/// Service addresses: two tables, of which the policy names the valid one. Array of [`crate::VipSlot`].
pub const VIPS: &str = "VIPS";
/// Service addresses per node.
pub const VIPS_ENTRIES: usize = 1024;
/// Places per table, four for each address, so that every address finds one of its two; a power of two.
pub const VIPS_SLOTS: usize = 4 * VIPS_ENTRIES;
/// The allow and deny list of IPv4: two tries in an outer array, of which the policy names the valid one.
pub const LISTS_V4: &str = "LISTS_V4";
/// The allow and deny list of IPv6.
pub const LISTS_V6: &str = "LISTS_V6";
/// Entries per trie; freeing a larger one would hold a CPU for too long.
pub const LISTS_ENTRIES: usize = 100_000;
/// What is certainly on no list: two bitmaps, of which the policy names the valid one. Array of words.
pub const FILTER: &str = "FILTER";
/// Bits per bitmap, some ten for each network of both lists; a power of two.
pub const FILTER_BITS: usize = 1 << 21;
/// Words per bitmap.
pub const FILTER_WORDS: usize = FILTER_BITS / 64;
/// Bans. Hash of [`crate::BanKey::packed`] to [`crate::Ban`].
pub const BANS: &str = "BANS";
/// Bans at a time.
pub const BANS_ENTRIES: usize = 65_536;
/// The rate sketch: [`SKETCH_ROWS`] rows for sources, then as many for networks. Array of decaying cells.
pub const SKETCH: &str = "SKETCH";
/// Rows per kind of prefix: an estimate is the least of them.
pub const SKETCH_ROWS: usize = 2;
/// Cells per row; a power of two.
pub const SKETCH_WIDTH: usize = 65_536;
/// Cells in all.
pub const SKETCH_ENTRIES: usize = 2 * SKETCH_ROWS * SKETCH_WIDTH;
/// When the last SYN of a listener went to the kernel despite a challenge, ns. Array, by port hash.
pub const TRICKLE: &str = "TRICKLE";
/// Listeners told apart; a power of two.
pub const TRICKLE_ENTRIES: usize = 64;
/// Counters and levels. Per-CPU array of one [`crate::CpuState`].
pub const STATE: &str = "STATE";
/// Sampled events. Ring of [`crate::Event`].
pub const EVENTS: &str = "EVENTS";
/// Bytes of the ring.
pub const EVENTS_BYTES: usize = 1 << 20;

/// The list says that the source is allowed.
pub const LISTED_ALLOW: u32 = 1;
/// The list says that the source is denied.
pub const LISTED_DENY: u32 = 2;

/// One line of the memory budget.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// The map.
    pub map: &'static str,
    /// Upper bound in bytes on a machine with [`BUDGET_CPUS`] processors.
    pub bytes_max: usize,
}

/// Processors that the budget is made for.
pub const BUDGET_CPUS: usize = 64;
/// What all maps together may take.
pub const BUDGET_BYTES_MAX: usize = 64 << 20;

/// Kernel overhead per hash element and per trie node, rounded up.
const ELEMENT_OVERHEAD: usize = 64;

/// The budget, map by map. Tries are counted twice: during a swap the old and the new one exist.
pub const BUDGET: [Budget; 11] = [
    Budget { map: CONTROL, bytes_max: 4096 },
    Budget { map: POLICY, bytes_max: 4096 },
    Budget { map: VIPS, bytes_max: 2 * VIPS_SLOTS * size_of::<crate::VipSlot>() },
    // A trie has up to one inner node per entry.
    Budget { map: LISTS_V4, bytes_max: 2 * 2 * LISTS_ENTRIES * (8 + 4 + ELEMENT_OVERHEAD) / 2 },
    Budget { map: LISTS_V6, bytes_max: 2 * 2 * LISTS_ENTRIES * (20 + 4 + ELEMENT_OVERHEAD) / 2 },
    Budget { map: FILTER, bytes_max: 2 * FILTER_WORDS * 8 },
    Budget { map: BANS, bytes_max: BANS_ENTRIES * (8 + 16 + ELEMENT_OVERHEAD) },
    Budget { map: SKETCH, bytes_max: SKETCH_ENTRIES * 8 },
    Budget { map: TRICKLE, bytes_max: 4096 },
    Budget { map: STATE, bytes_max: BUDGET_CPUS * size_of::<crate::CpuState>() },
    // The kernel maps the data pages of a ring twice but allocates them once.
    Budget { map: EVENTS, bytes_max: EVENTS_BYTES + 3 * 4096 },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_maps_together_stay_within_the_budget() {
        let bytes: usize = BUDGET.iter().map(|line| line.bytes_max).sum();
        assert!(bytes <= BUDGET_BYTES_MAX, "{bytes} bytes");
    }

    #[test]
    fn every_map_has_one_line_and_a_name_that_the_kernel_keeps() {
        let names: BTreeSet<_> = BUDGET.iter().map(|line| line.map).collect();
        assert_eq!(names.len(), BUDGET.len());
        assert!(names.iter().all(|name| name.len() <= 15));
    }
}
