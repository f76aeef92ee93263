//! Attaching: native first, generic only if allowed, an own link adopted, a stranger never evicted.

use std::fs;
use std::io;
use std::path::PathBuf;

use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, loaded_programs};
use aya_obj::generated::bpf_prog_type;
use thiserror::Error;

use crate::guard::{GENERIC, Guard, NATIVE, xdp};
use crate::{Finding, GuardError, preflight};

/// Where packets meet the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpPath {
    /// In the driver, before a buffer is made.
    Native,
    /// In the stack, after a buffer was made: correct, and several times slower.
    Generic,
}

/// An attachment that outlives this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The interface.
    pub interface: String,
    /// How; none if a link of an earlier process was adopted, which keeps its path.
    pub path: Option<XdpPath>,
    /// Where the link is pinned.
    pub pin: PathBuf,
    /// What the preflight found; a warning each.
    pub findings: Vec<Finding>,
}

/// Why the program is not attached.
#[derive(Debug, Error)]
pub enum AttachError {
    /// There is no such interface.
    #[error("there is no interface `{0}`")]
    NoInterface(String),
    /// Another program is there, and it is not ours to remove.
    #[error(
        "`{interface}` has an XDP program already, and it is not ours{candidates}; stop its owner, or remove it with: ip link set dev {interface} xdp off",
        candidates = list(.candidates)
    )]
    Occupied {
        /// The interface.
        interface: String,
        /// Programs of this type that the kernel has loaded and that are not ours.
        candidates: Vec<String>,
    },
    /// The driver refuses; the findings say why, as far as anybody can know.
    #[error("the driver of `{interface}` refuses a native program ({error}){causes}{hint}", causes = causes(.findings), hint = hint(*.generic_allowed))]
    Refused {
        /// The interface.
        interface: String,
        /// What the system said.
        error: io::Error,
        /// What the preflight found.
        findings: Vec<Finding>,
        /// Whether generic mode was tried too.
        generic_allowed: bool,
    },
    /// Anything else.
    #[error(transparent)]
    Guard(#[from] GuardError),
}

impl Guard {
    /// Attaches to an interface, or replaces the program of a link that an earlier process has pinned, without a gap.
    /// Run [`Guard::self_test`] before.
    ///
    /// # Errors
    /// The interface does not exist, is occupied, or its driver refuses.
    pub fn attach(&mut self, interface: &str, allow_generic: bool) -> Result<Attached, AttachError> {
        let findings = preflight(interface)?;
        let pin = self.pins.link(interface);
        if self.adopt(interface)? {
            self.pin_program()?;
            return Ok(Attached { interface: interface.to_owned(), path: None, pin, findings });
        }
        let (link, path) = self.climb(interface, allow_generic, findings.clone())?;
        // Dropping the pinned link closes the descriptor; the pin keeps the program attached.
        link.pin(&pin).map_err(GuardError::Pin)?;
        self.pin_program()?;
        Ok(Attached { interface: interface.to_owned(), path: Some(path), pin, findings })
    }

    /// Opens the gate: removes the program from an interface. Tables stay.
    ///
    /// # Errors
    /// The pin cannot be removed.
    pub fn detach(&mut self, interface: &str) -> Result<bool, GuardError> {
        let path = self.pins.link(interface);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(GuardError::Pins { path, error }),
        }
    }

    /// Replaces the program of the own pinned link, if there is one that still holds an interface.
    fn adopt(&mut self, interface: &str) -> Result<bool, GuardError> {
        let path = self.pins.link(interface);
        let Ok(pinned) = PinnedLink::from_pin(&path) else { return Ok(false) };
        let link: FdLink = pinned.into();
        let adopted = XdpLink::try_from(link)
            .map_err(|error| GuardError::Pins { path: path.clone(), error: other(error) })?;
        let program = xdp(&mut self.ebpf)?;
        match program.attach_to_link(adopted) {
            Ok(id) => {
                // Taken out and dropped: the pin holds the link, this process does not need to.
                drop(program.take_link(id)?);
                Ok(true)
            }
            // The interface that the link belonged to is gone; a new one of the same name has no program.
            Err(error) if errno(&error) == Some(libc::ENOLINK) => {
                fs::remove_file(&path).map_err(|error| GuardError::Pins { path, error })?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tries native, then generic if that is allowed.
    fn climb(
        &mut self,
        interface: &str,
        allow_generic: bool,
        findings: Vec<Finding>,
    ) -> Result<(FdLink, XdpPath), AttachError> {
        let mut refusal = None;
        for (mode, path) in [(NATIVE, XdpPath::Native), (GENERIC, XdpPath::Generic)] {
            if path == XdpPath::Generic && !allow_generic {
                break;
            }
            match self.try_mode(interface, mode) {
                Ok(link) => return Ok((link, path)),
                Err(ProgramError::UnknownInterface { name }) => return Err(AttachError::NoInterface(name)),
                Err(error) => match errno(&error) {
                    Some(libc::EBUSY | libc::EEXIST) => {
                        let candidates = self.strangers();
                        return Err(AttachError::Occupied { interface: interface.to_owned(), candidates });
                    }
                    Some(libc::EPERM) => return Err(GuardError::Capability("CAP_NET_ADMIN").into()),
                    Some(number) => {
                        refusal.get_or_insert(io::Error::from_raw_os_error(number));
                    }
                    None => return Err(GuardError::Program(error).into()),
                },
            }
        }
        let error = refusal.unwrap_or_else(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        Err(AttachError::Refused {
            interface: interface.to_owned(),
            error,
            findings,
            generic_allowed: allow_generic,
        })
    }

    fn try_mode(&mut self, interface: &str, mode: XdpMode) -> Result<FdLink, ProgramError> {
        let program = xdp(&mut self.ebpf).map_err(|_| ProgramError::NotLoaded)?;
        let id = program.attach(interface, mode)?;
        let link = program.take_link(id)?;
        // aya falls back to netlink where the kernel refuses a link with EINVAL; such an attachment dies with us, so it is
        // no attachment. Dropping it detaches.
        FdLink::try_from(link).map_err(|_| ProgramError::IOError(io::Error::from_raw_os_error(libc::EINVAL)))
    }

    /// XDP programs that are loaded and not ours.
    fn strangers(&self) -> Vec<String> {
        let own = self.facts().map_or(0, |facts| facts.tag);
        loaded_programs()
            .flatten()
            .filter(|info| info.program_type() == bpf_prog_type::BPF_PROG_TYPE_XDP)
            .filter(|info| info.tag() != own)
            .map(|info| format!("{} `{}`", info.id(), info.name_as_str().unwrap_or("?")))
            .collect()
    }
}

fn errno(error: &ProgramError) -> Option<i32> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(number) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(number);
        }
        source = error.source();
    }
    None
}

fn other(error: LinkError) -> io::Error {
    io::Error::other(error)
}

fn list(candidates: &[String]) -> String {
    if candidates.is_empty() { String::new() } else { format!(" (loaded: {})", candidates.join(", ")) }
}

fn causes(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("; {}: {}", finding.cause, finding.fix)).collect()
}

fn hint(generic_allowed: bool) -> &'static str {
    if generic_allowed {
        "; the generic mode was refused too"
    } else {
        "; the generic mode is not allowed by the configuration"
    }
}
