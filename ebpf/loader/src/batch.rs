//! Many entries of a map in one system call, which aya does not know: `BPF_MAP_UPDATE_BATCH`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use aya::Pod;
use aya::maps::MapData;

/// `enum bpf_cmd` of linux/bpf.h, since Linux 5.6; tries since 5.13.
const BPF_MAP_UPDATE_BATCH: libc::c_long = 26;
/// Entries per call: a call holds the CPU for some milliseconds at most.
const BATCH_MAX: usize = 4096;

/// The part of `union bpf_attr` that batches use.
#[repr(C)]
struct Attributes {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// Writes `values[n]` under `keys[n]`, for every `n`.
///
/// `K` and `V` must be as large as the map says; the kernel reads so many bytes of each.
///
/// # Errors
/// The kernel has no batches for this kind of map, or refuses an entry: those before it are written.
pub(crate) fn update<K: Pod, V: Pod>(map: &MapData, keys: &[K], values: &[V]) -> io::Result<()> {
    assert_eq!(keys.len(), values.len(), "every key has its value");
    let (key_bytes, value_bytes) = sizes(map)?;
    assert_eq!((size_of::<K>(), size_of::<V>()), (key_bytes, value_bytes), "entries are those of the map");
    for (keys, values) in keys.chunks(BATCH_MAX).zip(values.chunks(BATCH_MAX)) {
        call(map.fd().as_fd(), keys, values)?;
    }
    Ok(())
}

fn sizes(map: &MapData) -> io::Result<(usize, usize)> {
    let info = map.info().map_err(io::Error::other)?;
    Ok((info.key_size() as usize, info.value_size() as usize))
}

fn call<K: Pod, V: Pod>(map: BorrowedFd<'_>, keys: &[K], values: &[V]) -> io::Result<()> {
    let mut attributes = Attributes {
        in_batch: 0,
        out_batch: 0,
        keys: keys.as_ptr() as u64,
        values: values.as_ptr() as u64,
        count: u32::try_from(keys.len()).unwrap_or(u32::MAX),
        map: map.as_raw_fd().unsigned_abs(),
        element_flags: 0,
        flags: 0,
    };
    // SAFETY: both arrays hold `count` entries of the sizes that the kernel reads (`update` has compared them with the map's),
    // and all live until the call returns.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_MAP_UPDATE_BATCH, &raw mut attributes, size_of::<Attributes>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
