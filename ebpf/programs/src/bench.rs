//! Programs that benchmarks stand on: the floor, the far end of a veth, and a sender of floods. No node loads them.
#![no_std]
#![no_main]

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS, XDP_TX};
use aya_ebpf::btf_maps::Array;
use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_ktime_get_ns};
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;

/// What the flood sends: nanoseconds from one packet to the next, when the next one is due, packets sent so far, and
/// whether each packet gets a source of its own.
#[btf_map]
static PLAN: Array<[u64; 4], 1> = Array::new();

const INTERVAL_NS: usize = 0;
const DUE_NS: usize = 1;
const SENT: usize = 2;
const SPOOFS: usize = 3;

/// First byte of the Ethernet address that floods come from.
const FLOOD: u8 = 0x0a;

/// A sender that was kept waiting makes up for this much; a receiver has 256 places.
const CATCH_UP_NS: u64 = 50_000;

/// Passes everything: the least that a program can cost.
#[xdp]
pub fn idle(_context: XdpContext) -> u32 {
    XDP_PASS
}

/// Drops everything: the least that a drop can cost.
#[xdp]
pub fn gone(_context: XdpContext) -> u32 {
    XDP_DROP
}

/// The far end of a cable: drops answers to the flood's own Ethernet address, which would go to sources that do not exist.
#[xdp]
pub fn sieve(context: XdpContext) -> u32 {
    let start = context.data();
    if start + 14 > context.data_end() {
        return XDP_DROP;
    }
    // SAFETY: the frame holds fourteen bytes.
    let first = unsafe { *(start as *const u8) };
    if first == FLOOD { XDP_DROP } else { XDP_PASS }
}

/// Sends the frame it is run on, by the plan; runs that are not due yet drop it. Of a frame over IPv4, with a source of its
/// own if the plan says so.
#[xdp]
pub fn flood(context: XdpContext) -> u32 {
    let Some(plan) = PLAN.get_ptr_mut(0) else { return XDP_DROP };
    // SAFETY: the only value of an array, which one thread uses.
    let plan = unsafe { &mut *plan };
    // SAFETY: the helper has no preconditions.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let due_ns = plan[DUE_NS];
    if now_ns < due_ns {
        return XDP_DROP;
    }
    let from_ns = if now_ns - due_ns > CATCH_UP_NS { now_ns - CATCH_UP_NS } else { due_ns };
    plan[DUE_NS] = from_ns + plan[INTERVAL_NS];
    plan[SENT] += 1;
    if plan[SPOOFS] != 0 && spoof(&context).is_none() {
        return XDP_DROP;
    }
    XDP_TX
}

/// Gives the packet a source in 16.0.0.0/4 and a port, and keeps its checksums right (RFC 1624).
#[inline(always)]
fn spoof(context: &XdpContext) -> Option<()> {
    let start = context.data();
    if start + 54 > context.data_end() {
        return None;
    }
    let frame = start as *mut u8;
    // SAFETY: the helper has no preconditions.
    let (source, port) = unsafe { (bpf_get_prandom_u32(), bpf_get_prandom_u32()) };
    let source = source & 0x0fff_ffff | 0x1000_0000;
    let port = (port & 0x7fff | 0x4000) as u16;
    // SAFETY: the frame holds 54 bytes, and all offsets are below; the kernel allows unaligned words.
    unsafe {
        let protocol = *frame.add(23);
        let source_at = frame.add(26).cast::<u32>();
        let port_at = frame.add(34).cast::<u16>();
        let before = u32::from_be(source_at.read_unaligned());
        let port_before = u16::from_be(port_at.read_unaligned());
        let mut change = u64::from(!before >> 16) + u64::from(!before & 0xffff);
        change += u64::from(source >> 16) + u64::from(source & 0xffff);
        amend(frame.add(24), change);
        if protocol == 6 {
            amend(frame.add(50), change + u64::from(!port_before) + u64::from(port));
        }
        source_at.write_unaligned(source.to_be());
        port_at.write_unaligned(port.to_be());
    }
    Some(())
}

/// Adds a change to the checksum at `place`.
///
/// # Safety
/// Two bytes at `place` may be read and written.
#[inline(always)]
unsafe fn amend(place: *mut u8, change: u64) {
    let place = place.cast::<u16>();
    // SAFETY: as the caller promises.
    let checksum = u16::from_be(unsafe { place.read_unaligned() });
    let mut sum = u64::from(!checksum) + change;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    // SAFETY: as above.
    unsafe { place.write_unaligned((!(sum as u16)).to_be()) };
}

/// Nothing here panics: the verifier has seen all branches. The linker removes this.
#[panic_handler]
fn panic(_information: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
