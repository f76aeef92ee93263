//! What the logic needs from a packet: windows of a fixed size, checked once, read and written in network order.

/// A frame as it came from the wire.
pub trait Packet {
    /// A window that can be read.
    type Header<'p, const N: usize>: Header<N>
    where
        Self: 'p;
    /// A window that can be written.
    type HeaderMut<'p, const N: usize>: HeaderMut<N>
    where
        Self: 'p;

    /// Bytes of the frame, from the Ethernet header on.
    fn frame_bytes(&self) -> usize;

    /// The `N` bytes from `offset` on; none where the frame ends before.
    fn header<const N: usize>(&self, offset: usize) -> Option<Self::Header<'_, N>>;

    /// The same, to be written.
    fn header_mut<const N: usize>(&mut self, offset: usize) -> Option<Self::HeaderMut<'_, N>>;
}

/// `N` bytes that exist; reading beyond them does not compile.
pub trait Header<const N: usize>: Copy {
    /// The byte at `AT`.
    fn byte<const AT: usize>(&self) -> u8;
    /// The two bytes from `AT` on, in network order.
    fn be16<const AT: usize>(&self) -> u16;
    /// The four bytes from `AT` on, in network order.
    fn be32<const AT: usize>(&self) -> u32;
    /// The eight bytes from `AT` on, in network order.
    fn be64<const AT: usize>(&self) -> u64;
}

/// `N` bytes that can be overwritten; writing beyond them does not compile.
pub trait HeaderMut<const N: usize> {
    /// Overwrites two bytes from `AT` on.
    fn put_be16<const AT: usize>(&mut self, value: u16);
    /// Overwrites four bytes from `AT` on.
    fn put_be32<const AT: usize>(&mut self, value: u32);
    /// Overwrites eight bytes from `AT` on.
    fn put_be64<const AT: usize>(&mut self, value: u64);
}
