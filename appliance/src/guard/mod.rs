//! The guard as the node runs it: set up before anything is served, watched by a thread of its own, left in place at the end.
//!
//! Modules in reading order: what the kernel is told, the files of networks, the set-up, what is known about it, the thread,
//! and the privileges that are given up afterwards.

pub mod plan;

pub mod files;

pub mod gate;

pub mod facts;

pub mod warden;

mod stamps;

pub mod privileges;

pub mod cause;

pub use facts::GuardFacts;
pub use gate::{Gate, SetUpError};
pub use plan::{Plan, PlanError};
pub use warden::{Reclaim, Warden};

#[cfg(test)]
mod tests {
    #[test]
    fn the_documented_budget_is_that_of_the_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guard.md");
        let document = std::fs::read_to_string(path).unwrap();
        for ebpf_loader::abi::maps::Budget { map, bytes_max } in ebpf_loader::abi::maps::BUDGET {
            let row = format!("| `{map}` | {} KiB |", bytes_max.div_ceil(1_024));
            assert!(document.contains(&row), "docs/guard.md has no row that begins {row:?}");
        }
    }
}
