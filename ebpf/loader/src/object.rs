//! Where the compiled program comes from: a file that was named, the copy in this binary, or `guard.o` beside it.

use std::borrow::Cow;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

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
    fn a_named_file_that_cannot_be_read_is_named() {
        let error = Object::find(Some(Path::new("/nonexistent/guard.o"))).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/guard.o: "), "{error}");
    }
}
