//! The two ethtool requests that a preflight needs.

use std::io;
use std::mem::zeroed;

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::net::{AddressFamily, SocketType, socket};

const GET_FLAGS: u32 = 0x25;
const GET_CHANNELS: u32 = 0x3c;
const FLAG_LRO: u32 = 1 << 15;

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Channels {
    command: u32,
    pub(crate) receive_max: u32,
    pub(crate) transmit_max: u32,
    pub(crate) other_max: u32,
    pub(crate) combined_max: u32,
    pub(crate) receive: u32,
    pub(crate) transmit: u32,
    pub(crate) other: u32,
    pub(crate) combined: u32,
}

/// `struct ethtool_value`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Value {
    command: u32,
    data: u32,
}

/// Whether large receive offload is on, which no native XDP program survives.
pub(crate) fn large_receive_offload(interface: &str) -> io::Result<bool> {
    let mut value = Value { command: GET_FLAGS, data: 0 };
    request(interface, &mut value)?;
    Ok(value.data & FLAG_LRO != 0)
}

/// How many queues the interface has and could have.
pub(crate) fn channels(interface: &str) -> io::Result<Channels> {
    let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
    request(interface, &mut channels)?;
    Ok(channels)
}

fn request<T: Copy>(interface: &str, data: &mut T) -> io::Result<()> {
    let socket: OwnedFd = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: all zeroes is a valid `ifreq`: integers, pointers and arrays of bytes.
    let mut ifreq: libc::ifreq = unsafe { zeroed() };
    if interface.len() >= ifreq.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in ifreq.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    ifreq.ifr_ifru.ifru_data = std::ptr::from_mut(data).cast();
    // SAFETY: the name is terminated by a zero that was there before, and the data starts with a command that makes the
    // kernel write no more than its own structure, which `T` has the layout of.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut ifreq) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
