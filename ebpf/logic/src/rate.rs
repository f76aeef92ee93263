//! Rates of new connections per prefix, in fixed memory that spoofed sources cannot flush.
//!
//! A count-min sketch whose cells halve every 1,024 ticks (1.07 s). Nothing is ever evicted: a source that has been seen
//! keeps its cells, and another one can only raise them. How far strangers can raise them is bounded, because the sketch
//! rests while a CPU is above its soft limit.

use ebpf_abi::maps::{SKETCH_ROWS, SKETCH_WIDTH};
use ebpf_abi::{BanKey, Policy};

use crate::tables::Tables;

/// What one connection adds to a level.
pub const LEVEL_PER_CONNECTION: u32 = 64;

/// Ticks in which a level halves.
const HALF_LIFE_TICKS: u64 = 1024;

/// The level at which a steady rate settles: 64 per connection over a mean life of 1.55 s.
pub const fn level_of_rate(connections_per_s: u32) -> u32 {
    let level = connections_per_s as u64 * 99;
    if level > u32::MAX as u64 { u32::MAX } else { level as u32 }
}

/// A cell: the level in the upper half, the tick at which it was true in the lower.
///
/// Returns the cell after `amount` was added at `now_ns`.
#[inline(always)]
pub fn charged(cell: u64, now_ns: u64, amount: u32) -> u64 {
    let now_ticks = (now_ns >> 20) as u32;
    let level = decayed(cell, now_ticks) + amount as u64;
    let level = if level > u32::MAX as u64 { u32::MAX as u64 } else { level };
    level << 32 | now_ticks as u64
}

/// The level that a cell holds at its own tick.
#[inline(always)]
pub const fn level(cell: u64) -> u32 {
    (cell >> 32) as u32
}

/// The level after the time that has passed. Between two halvings 2^-x is taken as the parabola that has its value at both
/// ends and its slope at the first: at most 0.7 % off.
#[inline(always)]
const fn decayed(cell: u64, now_ticks: u32) -> u64 {
    let passed = now_ticks.wrapping_sub(cell as u32) as u64;
    let halvings = passed / HALF_LIFE_TICKS;
    // Clocks of two CPUs may disagree by a tick; what lies in the future is now.
    if passed > u32::MAX as u64 / 2 {
        return cell >> 32;
    }
    if halvings >= 32 {
        return 0;
    }
    let level = cell >> 32 >> halvings;
    let part = passed % HALF_LIFE_TICKS;
    level - ((level * part * (710 * HALF_LIFE_TICKS - 198 * part)) >> 30)
}

/// Charges one connection to a prefix and returns the estimate of its level: never below the truth, but for rounding.
#[inline(always)]
pub fn charge<T: Tables>(tables: &T, policy: &Policy, key: BanKey, kind: Kind, now_ns: u64) -> u32 {
    let hash = mixed(key, policy.seed);
    let mut estimate = u32::MAX;
    for row in 0..SKETCH_ROWS as u32 {
        let column = (hash >> (row * 32)) as u32 & (SKETCH_WIDTH as u32 - 1);
        let index = (kind as u32 * SKETCH_ROWS as u32 + row) * SKETCH_WIDTH as u32 + column;
        let cell = charged(tables.cell(index), now_ns, LEVEL_PER_CONNECTION);
        tables.set_cell(index, cell);
        if level(cell) < estimate {
            estimate = level(cell);
        }
    }
    estimate
}

/// Which half of the sketch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// IPv4 /32, IPv6 /64.
    Source = 0,
    /// IPv4 /24, IPv6 /48.
    Network = 1,
}

/// A keyed mix of the prefix; who does not know the seed cannot choose prefixes that share cells.
#[inline(always)]
const fn mixed(key: BanKey, seed: [u64; 2]) -> u64 {
    let mut hash = key.bits ^ seed[0];
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^= hash >> 32;
    hash = (hash ^ seed[1]).wrapping_add(key.length as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ hash >> 29
}
