//! What only the kernel knows: who owns a connection, and its SYN cookies.

use aya_ebpf::bindings::{BPF_F_CURRENT_NETNS, bpf_sock_tuple, xdp_md};
use aya_ebpf::helpers::generated::{
    bpf_sk_release, bpf_skc_lookup_tcp, bpf_tcp_raw_check_syncookie_ipv4, bpf_tcp_raw_check_syncookie_ipv6,
    bpf_tcp_raw_gen_syncookie_ipv4, bpf_tcp_raw_gen_syncookie_ipv6,
};
use ebpf_abi::Address;
use ebpf_logic::Flow;

const TCP_LISTEN: u32 = 10;
const TCP_HEADER_WORDS: u32 = 6;
const FLAGS_SYN: u32 = 0x02;
const FLAGS_ACK: u32 = 0x10;

/// Whether a socket other than a listener has this 4-tuple: established, half open or in TIME_WAIT.
#[inline(always)]
pub fn connected(context: *mut xdp_md, flow: &Flow) -> bool {
    let ports = u32::from(flow.source_port) << 16 | u32::from(flow.destination_port);
    let mut tuple = [0u32; 9];
    let bytes = if flow.version == 4 {
        tuple[0] = flow.source.v4_bits().to_be();
        tuple[1] = flow.destination.v4_bits().to_be();
        tuple[2] = ports.to_be();
        12
    } else {
        put(&mut tuple, 0, flow.source);
        put(&mut tuple, 4, flow.destination);
        tuple[8] = ports.to_be();
        36
    };
    let tuple = tuple.as_mut_ptr().cast::<bpf_sock_tuple>();
    // SAFETY: the tuple is at least `bytes` long, and the context is the one of this call.
    let socket =
        unsafe { bpf_skc_lookup_tcp(context.cast(), tuple, bytes, BPF_F_CURRENT_NETNS as i64 as u64, 0) };
    if socket.is_null() {
        return false;
    }
    // SAFETY: not null, and held until the release below.
    let state = unsafe { (*socket).state };
    // SAFETY: looked up above and released once.
    unsafe { bpf_sk_release(socket.cast()) };
    state != TCP_LISTEN
}

/// The sequence number of a SYN-ACK that the kernel will recognise by itself.
#[inline(always)]
pub fn cookie(flow: &Flow, mss: u16) -> Option<u32> {
    // The header is made anew: its options have a fixed size then, which the verifier needs.
    let mut tcp = tcp_header(flow, TCP_HEADER_WORDS, FLAGS_SYN);
    tcp[5] = (0x0204_0000 | u32::from(mss)).to_be();
    let tcp = tcp.as_mut_ptr().cast();
    let bytes = TCP_HEADER_WORDS * 4;
    let cookie = if flow.version == 4 {
        let mut ip = ipv4_header(flow);
        // SAFETY: both headers are whole and on the stack.
        unsafe { bpf_tcp_raw_gen_syncookie_ipv4(ip.as_mut_ptr().cast(), tcp, bytes) }
    } else {
        let mut ip = ipv6_header(flow);
        // SAFETY: both headers are whole and on the stack.
        unsafe { bpf_tcp_raw_gen_syncookie_ipv6(ip.as_mut_ptr().cast(), tcp, bytes) }
    };
    if cookie < 0 { None } else { Some(cookie as u32) }
}

/// Whether the segment acknowledges a cookie of this node.
#[inline(always)]
pub fn cookie_valid(flow: &Flow) -> bool {
    let mut tcp = tcp_header(flow, TCP_HEADER_WORDS, FLAGS_ACK);
    let tcp = tcp.as_mut_ptr().cast();
    let error = if flow.version == 4 {
        let mut ip = ipv4_header(flow);
        // SAFETY: both headers are whole and on the stack.
        unsafe { bpf_tcp_raw_check_syncookie_ipv4(ip.as_mut_ptr().cast(), tcp) }
    } else {
        let mut ip = ipv6_header(flow);
        // SAFETY: both headers are whole and on the stack.
        unsafe { bpf_tcp_raw_check_syncookie_ipv6(ip.as_mut_ptr().cast(), tcp) }
    };
    error == 0
}

#[inline(always)]
fn tcp_header(flow: &Flow, words: u32, flags: u32) -> [u32; 6] {
    [
        (u32::from(flow.source_port) << 16 | u32::from(flow.destination_port)).to_be(),
        flow.sequence.to_be(),
        flow.acknowledgement.to_be(),
        (words << 28 | flags << 16).to_be(),
        0,
        0,
    ]
}

#[inline(always)]
fn ipv4_header(flow: &Flow) -> [u32; 5] {
    [
        0x4500_002cu32.to_be(),
        0,
        0x4006_0000u32.to_be(),
        flow.source.v4_bits().to_be(),
        flow.destination.v4_bits().to_be(),
    ]
}

#[inline(always)]
fn ipv6_header(flow: &Flow) -> [u32; 10] {
    let mut header = [0; 10];
    header[0] = 0x6000_0000u32.to_be();
    header[1] = 0x0018_0640u32.to_be();
    put(&mut header, 2, flow.source);
    put(&mut header, 6, flow.destination);
    header
}

#[inline(always)]
fn put<const N: usize>(words: &mut [u32; N], at: usize, address: Address) {
    words[at] = ((address.high >> 32) as u32).to_be();
    words[at + 1] = (address.high as u32).to_be();
    words[at + 2] = ((address.low >> 32) as u32).to_be();
    words[at + 3] = (address.low as u32).to_be();
}
