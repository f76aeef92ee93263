//! The side of the successor: it asks the node that serves for its listeners, and tells it when it can end.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

use socket2::Socket;

use crate::build_info;
use crate::limits::HANDOVER_ANSWER;

use super::wire::{Line, Message, Offer, PROTOCOL};
use super::{Inherited, socket_path};

/// What a predecessor has given.
pub struct Inheritance {
    /// The listeners of traffic.
    pub listeners: Vec<Inherited>,
    /// The admin listener: as configured, and its descriptor.
    pub admin: Option<(String, OwnedFd)>,
    /// The lock on the state directory.
    pub lock: Option<OwnedFd>,
    /// Whom to tell.
    pub predecessor: Predecessor,
}

/// The node that serves until its successor is ready.
#[derive(Debug)]
pub struct Predecessor {
    line: Line,
    pid: u32,
    addresses: Vec<SocketAddr>,
}

/// Why nothing was taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The node says no.
    #[error("the node that serves does not hand over: {0}")]
    Refused(String),
    /// Something broke on the way.
    #[error("cannot take over from the node that serves: {0}")]
    Broken(#[from] io::Error),
}

impl Inheritance {
    /// Asks the node with this state directory for its listeners. `None`: there is no such node, so that this one starts by itself.
    ///
    /// # Errors
    ///
    /// There is one, and it does not hand over.
    pub fn ask(state_dir: &Path) -> Result<Option<Self>, TakeError> {
        let line = match Line::connect(&socket_path(state_dir)) {
            Ok(line) => line,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        line.patience(Some(HANDOVER_ANSWER))?;
        let program = build_info::THIS.version.to_owned();
        // If the node dies now, there is nothing left to take over.
        if line.say(&Message::TakeOver { protocol: PROTOCOL, pid: std::process::id(), program }).is_err() {
            return Ok(None);
        }
        let offer = match line.hear()? {
            Some(Message::Offer(offer)) => offer,
            Some(Message::Withdrawn { reason }) => return Err(TakeError::Refused(reason)),
            Some(other) => return Err(TakeError::Refused(format!("it says {other:?}"))),
            None => return Ok(None),
        };
        let descriptors = match line.receive(offer.descriptors()) {
            Ok(descriptors) => descriptors,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Self::sort(line, offer, descriptors).map(Some)
    }

    fn sort(line: Line, offer: Offer, descriptors: Vec<OwnedFd>) -> Result<Self, TakeError> {
        let Offer { pid, program, listeners: offered, sockets, admin, lock } = offer;
        let wrong = || TakeError::Refused("its offer and its descriptors do not fit".into());
        let mut descriptors = descriptors.into_iter();
        let mut listeners = Vec::with_capacity(sockets.len());
        for index in sockets {
            let address = *offered.get(index).ok_or_else(wrong)?;
            let socket = Socket::from(descriptors.next().ok_or_else(wrong)?);
            listeners.push(Inherited { configured: address.configured, bound: address.bound, socket });
        }
        let admin = match admin {
            Some((configured, _)) => Some((configured, descriptors.next().ok_or_else(wrong)?)),
            None => None,
        };
        let lock = if lock { Some(descriptors.next().ok_or_else(wrong)?) } else { None };
        tracing::info!(
            pid,
            program,
            sockets = listeners.len(),
            "the listeners of the node that serves are here too; it serves until this process is ready"
        );
        let addresses = offered.iter().map(|listener| listener.bound).collect();
        Ok(Self { listeners, admin, lock, predecessor: Predecessor { line, pid, addresses } })
    }
}

impl Predecessor {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Tells it that this process serves its addresses, as far as they are among `served`, and waits until it has let go.
    ///
    /// # Errors
    ///
    /// It has taken its offer back: it serves on, and this process must end.
    pub fn relieve(&self, served: &[SocketAddr]) -> Result<(), TakeError> {
        let taken = self.addresses.iter().map(|address| served.contains(address)).collect();
        // A failure means that it has gone; what it had to say before is still there to be heard.
        let _ = self.line.say(&Message::Ready { taken });
        match self.line.hear() {
            Ok(Some(Message::Yours)) => Ok(()),
            Ok(Some(Message::Withdrawn { reason })) => Err(TakeError::Refused(reason)),
            Ok(Some(other)) => Err(TakeError::Refused(format!("it says {other:?}"))),
            Ok(None) => {
                tracing::warn!(
                    pid = self.pid,
                    "the node that handed over has died; this process serves alone"
                );
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells it why this process does not serve.
    pub fn give_up(&self, reason: &str) {
        // If it is gone, nobody needs to know.
        let _ = self.line.say(&Message::GivesUp { reason: reason.into() });
    }

    /// Waits until its process has ended.
    pub fn until_ended(&self) {
        if self.line.patience(None).is_err() {
            return;
        }
        while let Ok(Some(_)) = self.line.hear() {}
    }
}
