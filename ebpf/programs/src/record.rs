//! Counters for every packet, events for a few.

use core::arch::asm;

use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::warn;
use ebpf_abi::{ABI_VERSION, Action, CpuState, Event, Policy, Protocol, REASON_SLOTS, Reason};
use ebpf_logic::{NOT_MONITORED, Verdict};

use crate::maps;

const SECOND_NS: u64 = 1_000_000_000;

/// Counts the verdict, and sends an event if something was done to the packet and the budget of this second allows it.
#[inline(always)]
pub fn record(
    context: &XdpContext,
    state: *mut CpuState,
    policy: Option<&Policy>,
    verdict: &Verdict,
    frame_bytes: usize,
    now_ns: u64,
) {
    let index = bounded::<{ REASON_SLOTS * Protocol::SLOTS }>(
        verdict.reason as usize * Protocol::SLOTS + verdict.protocol() as usize,
    );
    // SAFETY: `state` is this CPU's value and no other program runs on it meanwhile.
    let state = unsafe { &mut *state };
    state.decided[index] += 1;
    let monitored = verdict.monitored != NOT_MONITORED;
    if monitored {
        state.monitored[bounded::<REASON_SLOTS>(verdict.monitored as usize)] += 1;
    }
    if verdict.action() == Action::Pass && !monitored && verdict.reason != Reason::NoPolicy {
        return;
    }
    if now_ns.wrapping_sub(state.events_since_ns) >= SECOND_NS {
        state.events_since_ns = now_ns;
        state.events_sent = 0;
        if verdict.reason == Reason::NoPolicy {
            warn!(context, "no policy of version {} is written, everything passes", ABI_VERSION);
        }
    }
    let Some(policy) = policy else { return };
    if state.events_sent >= u64::from(policy.events_per_s) {
        state.events_skipped += 1;
        return;
    }
    state.events_sent += 1;
    let Some(mut slot) = maps::EVENTS.reserve(0) else {
        state.events_lost += 1;
        return;
    };
    let flow = &verdict.flow;
    slot.write(Event {
        at_ns: now_ns,
        source: flow.source,
        destination: flow.destination,
        source_port: flow.source_port,
        destination_port: flow.destination_port,
        frame_bytes: frame_bytes as u16,
        reason: if monitored { verdict.monitored } else { verdict.reason as u8 },
        action: verdict.action() as u8,
        protocol: flow.protocol,
        tcp_flags: flow.tcp_flags,
        monitored: u8::from(monitored),
        padding: 0,
        rule: verdict.rule,
    });
    slot.submit(0);
}

/// The index itself, masked in a way that the verifier sees: the compiler knows that it is in bounds, and would leave the
/// mask out.
#[inline(always)]
fn bounded<const SLOTS: usize>(index: usize) -> usize {
    const { assert!(SLOTS.is_power_of_two()) };
    let mut index = index;
    // SAFETY: a move to itself; the compiler forgets what it knew of the value.
    unsafe { asm!("{0} = {0}", inout(reg) index, options(nomem, nostack, preserves_flags)) };
    index & (SLOTS - 1)
}
