//! Where the compiled program comes from: a file that was named, the copy in this binary, or `guard.o` beside it.

use std::borrow::Cow;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use ebpf_abi::{Ban, Control, CpuState, Policy, VipSlot, maps};
use thiserror::Error;

use crate::GuardError;

/// The pinned maps, each with the bytes of its keys and values; none where the kernel decides about them.
pub(crate) const LAYOUT: [(&str, Option<(usize, usize)>); 11] = [
    (maps::CONTROL, Some((4, size_of::<Control>()))),
    (maps::POLICY, Some((4, size_of::<Policy>()))),
    (maps::VIPS, Some((4, size_of::<VipSlot>()))),
    (maps::LISTS_V4, None),
    (maps::LISTS_V6, None),
    (maps::FILTER, Some((4, 8))),
    (maps::BANS, Some((8, size_of::<Ban>()))),
    (maps::SKETCH, Some((4, 8))),
    (maps::TRICKLE, Some((4, 8))),
    (maps::STATE, Some((4, size_of::<CpuState>()))),
    (maps::EVENTS, None),
];

/// The bytes of an ELF object for the kernel.
#[derive(Clone, Debug)]
pub struct Object {
    bytes: Cow<'static, [u8]>,
    origin: String,
}

/// Why there is no program.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// The file that was named cannot be read.
    #[error("{path}: {error}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Built on a machine without the toolchain, and nothing beside the binary.
    #[error(
        "this binary was built without the guard, and there is no {path}; build it with `cargo xtask build-ebpf` and \
         build again, or put guard.o beside the binary", path = .0.display()
    )]
    Missing(PathBuf),
}

impl Object {
    /// The program: from `path` if one is given, else the one embedded at build time, else the one beside the binary.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn find(path: Option<&Path>) -> Result<Self, ObjectError> {
        if let Some(path) = path {
            return Self::read(path);
        }
        if let Some(bytes) = embedded() {
            return Ok(Self { bytes: bytes.into(), origin: "embedded".to_owned() });
        }
        let beside = beside();
        if beside.is_file() { Self::read(&beside) } else { Err(ObjectError::Missing(beside)) }
    }

    /// Whether its maps are those of this version. One that was built from another would pin tables that nobody here can read.
    pub(crate) fn check(&self) -> Result<(), GuardError> {
        let stale = || GuardError::Stale(self.origin.clone());
        let parsed = aya_obj::Object::parse(&self.bytes).map_err(aya::EbpfError::ParseError)?;
        for (name, sizes) in LAYOUT {
            let map = parsed.maps.get(name).ok_or_else(stale)?;
            let differs = |(key, value)| (map.key_size() as usize, map.value_size() as usize) != (key, value);
            if sizes.is_some_and(differs) {
                return Err(stale());
            }
        }
        Ok(())
    }

    /// Where it came from, for the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn read(path: &Path) -> Result<Self, ObjectError> {
        match fs::read(path) {
            Ok(bytes) => Ok(Self { bytes: bytes.into(), origin: path.display().to_string() }),
            Err(error) => Err(ObjectError::Unreadable { path: path.to_owned(), error }),
        }
    }
}

#[cfg(guard_embedded)]
fn embedded() -> Option<&'static [u8]> {
    Some(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/guard.o")))
}

#[cfg(not(guard_embedded))]
fn embedded() -> Option<&'static [u8]> {
    None
}

fn beside() -> PathBuf {
    env::current_exe().unwrap_or_default().with_file_name("guard.o")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_without_the_maps_of_this_version_is_stale_and_the_fix_is_named() {
        let Some(bytes) = embedded() else { return };
        let whole = Object { bytes: bytes.into(), origin: "embedded".into() };
        whole.check().unwrap();
        // The same object with another name for a map, in its symbols and in its types.
        let mut bytes = bytes.to_vec();
        let at: Vec<_> = (0..bytes.len() - 7).filter(|at| bytes[*at..].starts_with(b"TRICKLE")).collect();
        assert!(!at.is_empty());
        at.into_iter().for_each(|at| bytes[at] = b'D');
        let error = Object { bytes: bytes.into(), origin: "old/guard.o".into() }.check().unwrap_err();
        let told = error.to_string();
        assert!(
            told.starts_with("the guard's object (old/guard.o) was built for another version")
                && told.contains("cargo xtask build-ebpf"),
            "{told}"
        );
    }

    #[test]
    fn a_named_file_that_cannot_be_read_is_named() {
        let error = Object::find(Some(Path::new("/nonexistent/guard.o"))).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/guard.o: "), "{error}");
    }
}
