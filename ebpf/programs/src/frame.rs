//! Windows into the packet that the verifier can follow.
//!
//! Each window is one pointer, checked once against the end of the frame, and only then read, by instructions that are
//! written out: the compiler can neither move a read before its check, nor derive one pointer from another, nor split a
//! read of an unaligned word into bytes.

use core::arch::asm;

use aya_ebpf::programs::XdpContext;
use ebpf_logic::{Header, HeaderMut, Packet};

/// Offsets beyond this are refused; the verifier wants a bound below 65,536, and no header of ours starts later.
const OFFSET_MAX: usize = 1024;

/// The frame between the two pointers that the kernel gave.
pub struct Frame {
    start: usize,
    end: usize,
}

/// `N` readable and writable bytes.
#[derive(Clone, Copy)]
pub struct Window<const N: usize>(usize);

impl Frame {
    /// The frame of this call.
    #[inline(always)]
    pub fn new(context: &XdpContext) -> Self {
        Self { start: context.data(), end: context.data_end() }
    }

    #[inline(always)]
    fn window<const N: usize>(&self, offset: usize) -> Option<Window<N>> {
        if offset > OFFSET_MAX {
            return None;
        }
        let mut start = self.start + offset;
        // SAFETY: a move to itself; the compiler forgets where the value came from. (Without an instruction of its own, two
        // lines would share one place in the line table, and the kernel refuses that.)
        unsafe { asm!("{0} = {0}", inout(reg) start, options(nomem, nostack, preserves_flags)) };
        if start + N > self.end { None } else { Some(Window(start)) }
    }
}

impl Packet for Frame {
    type Header<'p, const N: usize> = Window<N>;
    type HeaderMut<'p, const N: usize> = Window<N>;

    #[inline(always)]
    fn frame_bytes(&self) -> usize {
        self.end - self.start
    }

    #[inline(always)]
    fn header<const N: usize>(&self, offset: usize) -> Option<Window<N>> {
        self.window(offset)
    }

    #[inline(always)]
    fn header_mut<const N: usize>(&mut self, offset: usize) -> Option<Window<N>> {
        self.window(offset)
    }
}

macro_rules! load {
    ($window:expr, $at:ident, $bytes:literal, $word:literal) => {{
        const { assert!($at + $bytes <= N) };
        let value: u64;
        // SAFETY: the window holds `N` bytes from its pointer on, and the read ends before them.
        unsafe {
            asm!(
                concat!("{0} = *(", $word, " *)({1} + {2})"),
                out(reg) value, in(reg) $window.0, const $at,
                options(readonly, nostack, preserves_flags)
            );
        }
        value
    }};
}

macro_rules! store {
    ($window:expr, $at:ident, $bytes:literal, $word:literal, $value:expr) => {{
        const { assert!($at + $bytes <= N) };
        // SAFETY: the window holds `N` bytes from its pointer on, and the write ends before them.
        unsafe {
            asm!(
                concat!("*(", $word, " *)({0} + {2}) = {1}"),
                in(reg) $window.0, in(reg) $value, const $at,
                options(nostack, preserves_flags)
            );
        }
    }};
}

impl<const N: usize> Header<N> for Window<N> {
    #[inline(always)]
    fn byte<const AT: usize>(&self) -> u8 {
        load!(self, AT, 1, "u8") as u8
    }

    #[inline(always)]
    fn be16<const AT: usize>(&self) -> u16 {
        u16::from_be(load!(self, AT, 2, "u16") as u16)
    }

    #[inline(always)]
    fn be32<const AT: usize>(&self) -> u32 {
        u32::from_be(load!(self, AT, 4, "u32") as u32)
    }

    #[inline(always)]
    fn be64<const AT: usize>(&self) -> u64 {
        u64::from_be(load!(self, AT, 8, "u64"))
    }
}

impl<const N: usize> HeaderMut<N> for Window<N> {
    #[inline(always)]
    fn put_be16<const AT: usize>(&mut self, value: u16) {
        store!(self, AT, 2, "u16", u64::from(value.to_be()));
    }

    #[inline(always)]
    fn put_be32<const AT: usize>(&mut self, value: u32) {
        store!(self, AT, 4, "u32", u64::from(value.to_be()));
    }

    #[inline(always)]
    fn put_be64<const AT: usize>(&mut self, value: u64) {
        store!(self, AT, 8, "u64", value.to_be());
    }
}
