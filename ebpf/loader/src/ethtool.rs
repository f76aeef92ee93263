//! What a preflight asks the kernel about an interface, in the network namespace of the calling thread.

use std::io;
use std::mem::zeroed;

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};

const GET_DRIVER: u32 = 0x03;
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

/// `struct ethtool_drvinfo`.
#[repr(C)]
#[derive(Clone, Copy)]
struct DriverInformation {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// Whether there is such an interface.
pub(crate) fn exists(interface: &str) -> bool {
    probe().is_ok_and(|socket| name_to_index(socket, interface).is_ok())
}

/// The largest packet in bytes, without the Ethernet header.
pub(crate) fn mtu(interface: &str) -> io::Result<u32> {
    let mut ifreq = named(interface)?;
    control(&mut ifreq, libc::SIOCGIFMTU)?;
    // SAFETY: the kernel has filled this field of the union; any bits are an integer.
    let mtu = unsafe { ifreq.ifr_ifru.ifru_mtu };
    Ok(u32::try_from(mtu).unwrap_or(0))
}

/// The name of the driver.
pub(crate) fn driver(interface: &str) -> io::Result<String> {
    let mut information = DriverInformation { command: GET_DRIVER, driver: [0; 32], rest: [0; 160] };
    request(interface, &mut information)?;
    let name = information.driver.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
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
    let mut ifreq = named(interface)?;
    // The data starts with a command that makes the kernel write no more than its own structure, which `T` is.
    ifreq.ifr_ifru.ifru_data = std::ptr::from_mut(data).cast();
    control(&mut ifreq, libc::SIOCETHTOOL)
}

fn named(interface: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zeroes is a valid `ifreq`: integers, pointers and arrays of bytes.
    let mut ifreq: libc::ifreq = unsafe { zeroed() };
    if interface.len() >= ifreq.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in ifreq.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    Ok(ifreq)
}

fn control(ifreq: &mut libc::ifreq, command: libc::c_ulong) -> io::Result<()> {
    let socket = probe()?;
    // SAFETY: the name is terminated by a zero that `named` left there, and what the command fills in is a field of the
    // union, or behind a pointer that `request` has set.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), command as _, std::ptr::from_mut(ifreq)) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A socket that only carries requests.
fn probe() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::INET, SocketType::DGRAM, None)?)
}
