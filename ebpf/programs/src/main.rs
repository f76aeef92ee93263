//! The XDP entry point of the guard: asks `ebpf-logic`, counts, samples, and does what the verdict says.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod frame;
mod maps;
mod record;
mod sockets;
mod tables;

use aya_ebpf::bindings::xdp_action::XDP_PASS;
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_coarse_ns, bpf_xdp_adjust_tail};
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use ebpf_abi::{ABI_VERSION, Action, CpuState, PROBE_MAGIC, Probe};
use ebpf_logic::{Packet, Verdict, judge};

use crate::frame::Frame;
use crate::tables::KernelTables;

/// Judges every packet of the interface it is attached to.
#[xdp]
pub fn guard(context: XdpContext) -> u32 {
    // Array look-ups of slot 0 succeed always; the verifier wants to see the branch.
    let (Some(state), Some(control)) = (maps::STATE.get_ptr_mut(0), maps::CONTROL.get(0)) else {
        return XDP_PASS;
    };
    let probe = probe(&context);
    let now_ns = match probe {
        // SAFETY: `probe` has checked that the metadata holds a probe.
        Some(probe) if unsafe { (*probe).now_ns } != 0 => unsafe { (*probe).now_ns },
        _ => clock_ns(state),
    };
    let (slot, version) = match probe {
        // SAFETY: as above.
        Some(probe) if unsafe { (*probe).candidate } != 0 => {
            (control.policy_slot ^ 1, unsafe { (*probe).candidate })
        }
        _ => (control.policy_slot, control.abi_version),
    };
    let policy = maps::POLICY.get(slot & 1).filter(|_| version == ABI_VERSION);
    let charges = match probe {
        // SAFETY: as above.
        Some(probe) => unsafe { (*probe).charges != 0 },
        None => true,
    };
    let tables = KernelTables {
        context: context.ctx,
        policy,
        alive_until_ns: control.alive_until_ns,
        state,
        now_ns,
        charges,
    };
    let mut frame = Frame::new(&context);
    let verdict = judge(&mut frame, &tables, now_ns);
    let frame_bytes = frame.frame_bytes();
    match probe {
        Some(_) => answer(&context, &verdict),
        None => record::record(&context, state, policy, &verdict, frame_bytes, now_ns),
    }
    if verdict.action() == Action::Transmit {
        let excess = verdict.answer_bytes as i32 - frame_bytes as i32;
        // SAFETY: the context is the one this program was called with; no packet pointer is used after the call. If the
        // frame cannot shrink, its padding is ignored by the receiver.
        unsafe { bpf_xdp_adjust_tail(context.ctx, excess) };
    }
    verdict.action() as u32
}

/// The coarse clock, read once per tick and CPU: between two ticks it does not move, and the number of the tick is a plain
/// word, while reading the clock is a call.
#[inline(always)]
fn clock_ns(state: *mut CpuState) -> u64 {
    // SAFETY: helpers without preconditions; `state` is this CPU's value.
    unsafe {
        let tick = bpf_jiffies64();
        if tick != (*state).clock_tick {
            (*state).clock_ns = bpf_ktime_get_coarse_ns();
            (*state).clock_tick = tick;
        }
        (*state).clock_ns
    }
}

/// The probe in front of the packet, where a test run has put one. Packets from a wire have no metadata.
#[inline(always)]
fn probe(context: &XdpContext) -> Option<*mut Probe> {
    let start = context.metadata();
    if start + size_of::<Probe>() > context.data() {
        return None;
    }
    let probe = start as *mut Probe;
    // SAFETY: the metadata holds at least one probe, and the kernel aligns it to four bytes, which is all that the
    // instruction set asks for.
    (unsafe { (*probe).magic } == PROBE_MAGIC).then_some(probe)
}

/// Writes the answer into the probe; the pointer is made anew, because the verifier forgets its bounds on the way.
#[inline(always)]
fn answer(context: &XdpContext, verdict: &Verdict) {
    let Some(probe) = probe(context) else { return };
    // SAFETY: `probe` has just checked the bounds.
    unsafe {
        (*probe).reason = verdict.reason as u8;
        (*probe).monitored = verdict.monitored;
        (*probe).action = verdict.action() as u8;
        (*probe).answered = 1;
        (*probe).rule = verdict.rule;
    }
}

/// Nothing here panics: the verifier has seen all branches. The linker removes this.
#[panic_handler]
fn panic(_information: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The helpers that make and check SYN cookies are for GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
