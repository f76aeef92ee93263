//! What two processes say to each other while one takes over from the other: one JSON object per message, descriptors beside it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::limits::{HANDOVER_BACKLOG, HANDOVER_DESCRIPTORS_PER_MESSAGE, HANDOVER_MESSAGE_BYTES_MAX};

/// The version of what is said. Processes that speak different ones do not hand over to each other.
pub const PROTOCOL: u32 = 1;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Message {
    /// A process that starts wants the listeners.
    TakeOver {
        /// Must be [`PROTOCOL`].
        protocol: u32,
        /// Who it is.
        pid: u32,
        /// Its version.
        program: String,
    },
    /// An operator wants the node to start its successor.
    Upgrade {
        /// Must be [`PROTOCOL`].
        protocol: u32,
    },
    /// What the successor gets; the descriptors follow.
    Offer(Offer),
    /// Descriptors, in the order of the offer.
    Descriptors,
    /// The successor serves: for each listener of the offer, whether it took it.
    Ready {
        /// In the order of [`Offer::listeners`].
        taken: Vec<bool>,
    },
    /// The successor cannot serve.
    GivesUp {
        /// Why.
        reason: String,
    },
    /// The old process has let go: everything is the successor's.
    Yours,
    /// The old process keeps what it has.
    Withdrawn {
        /// Why.
        reason: String,
    },
    /// To an operator: the successor was started.
    Starting {
        /// Its process id.
        pid: u32,
    },
    /// To an operator: the successor serves.
    Upgraded {
        /// Its process id.
        pid: u32,
    },
    /// To an operator: the successor does not serve, the old process does.
    Failed {
        /// Why.
        reason: String,
    },
}

/// What goes to a successor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The old process.
    pub pid: u32,
    /// Its version.
    pub program: String,
    /// Its addresses of traffic.
    pub listeners: Vec<OfferedListener>,
    /// For each descriptor of a listening socket, the index of its address.
    pub sockets: Vec<usize>,
    /// The admin listener as configured and as bound; its descriptor follows those of traffic.
    pub admin: Option<(String, String)>,
    /// Whether the lock on the state directory comes, as the last descriptor.
    pub lock: bool,
}

/// One address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedListener {
    /// As configured.
    pub configured: SocketAddr,
    /// With its port.
    pub bound: SocketAddr,
}

impl Offer {
    /// How many descriptors follow.
    pub fn descriptors(&self) -> usize {
        self.sockets.len() + usize::from(self.admin.is_some()) + usize::from(self.lock)
    }
}

/// One end of a connection that keeps the borders of messages.
#[derive(Debug)]
pub struct Line(Socket);

impl Line {
    /// Listens at `path` for processes of the same user. What a dead process left there is replaced.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn listen(path: &Path) -> io::Result<Socket> {
        use std::os::unix::fs::PermissionsExt as _;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        // Nobody can connect before listen, so no mode but this one is ever in force.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        socket.listen(HANDOVER_BACKLOG)?;
        Ok(socket)
    }

    /// Connects to the process that listens at `path`.
    ///
    /// # Errors
    ///
    /// Nobody does, or the system refuses.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.connect(&SockAddr::unix(path)?)?;
        Ok(Self(socket))
    }

    /// Takes the next connection of `listener`; only root and the user of this process get one.
    ///
    /// # Errors
    ///
    /// What the system says; `PermissionDenied` for another user.
    pub fn accept(listener: &Socket) -> io::Result<Self> {
        let (socket, _) = listener.accept()?;
        let peer = rustix::net::sockopt::socket_peercred(&socket)?;
        if !peer.uid.is_root() && peer.uid != rustix::process::geteuid() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "process {} of user {} may not take over",
                    peer.pid.as_raw_nonzero(),
                    peer.uid.as_raw()
                ),
            ));
        }
        Ok(Self(socket))
    }

    /// How long to wait for a message; `None`: for ever.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(patience)
    }

    /// Says something.
    ///
    /// # Errors
    ///
    /// The other side is gone.
    pub fn say(&self, message: &Message) -> io::Result<()> {
        self.say_with(message, &[])
    }

    /// Says something, with descriptors: at most [`HANDOVER_DESCRIPTORS_PER_MESSAGE`].
    fn say_with(&self, message: &Message, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = serde_json::to_vec(message).expect("numbers and strings are JSON");
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDOVER_DESCRIPTORS_PER_MESSAGE))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::other("too many descriptors for one message"));
        }
        loop {
            match sendmsg(&self.0, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                other => return other.map(drop).map_err(io::Error::from),
            }
        }
    }

    /// Sends any number of descriptors.
    ///
    /// # Errors
    ///
    /// The other side is gone.
    pub fn pass(&self, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        descriptors
            .chunks(HANDOVER_DESCRIPTORS_PER_MESSAGE)
            .try_for_each(|some| self.say_with(&Message::Descriptors, some))
    }

    /// Waits for a message; `None` at the end of the connection.
    ///
    /// # Errors
    ///
    /// `WouldBlock` after the patience, `InvalidData` for what is no message.
    pub fn hear(&self) -> io::Result<Option<Message>> {
        Ok(self.hear_with()?.map(|(message, _)| message))
    }

    fn hear_with(&self) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let mut text = vec![0; HANDOVER_MESSAGE_BYTES_MAX];
        let mut space =
            [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDOVER_DESCRIPTORS_PER_MESSAGE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            match recvmsg(&self.0, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                // The other process was killed with words of ours unread.
                Err(Errno::CONNRESET) => return Ok(None),
                other => break other?,
            }
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.bytes == 0 {
            return Ok(None);
        }
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(invalid("a message that is too long".into()));
        }
        let message =
            serde_json::from_slice(&text[..received.bytes]).map_err(|error| invalid(error.to_string()))?;
        Ok(Some((message, descriptors)))
    }

    /// Waits for `count` descriptors.
    ///
    /// # Errors
    ///
    /// As [`Line::hear`]; `UnexpectedEof` if the other side ends before it has sent them.
    pub fn receive(&self, count: usize) -> io::Result<Vec<OwnedFd>> {
        let mut received = Vec::new();
        while received.len() < count {
            match self.hear_with()? {
                Some((Message::Descriptors, descriptors)) if !descriptors.is_empty() => {
                    received.extend(descriptors);
                }
                Some((other, _)) => {
                    let text = format!("expected descriptors, got {other:?}");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(received)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};
    use std::os::fd::AsFd as _;

    use super::*;

    fn lines() -> (Line, Line) {
        let (one, other) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        (Line(one), Line(other))
    }

    #[test]
    fn messages_keep_their_borders() {
        let (one, other) = lines();
        let messages = [
            Message::Upgrade { protocol: PROTOCOL },
            Message::Ready { taken: vec![true, false] },
            Message::Offer(Offer {
                admin: Some(("127.0.0.1:0".into(), "127.0.0.1:9".into())),
                ..Offer::default()
            }),
        ];
        messages.iter().for_each(|message| one.say(message).unwrap());
        for message in messages {
            assert_eq!(other.hear().unwrap(), Some(message));
        }
        drop(one);
        assert_eq!(other.hear().unwrap(), None);
    }

    #[test]
    fn more_descriptors_than_a_message_holds_arrive_in_order() {
        let (one, other) = lines();
        let count = HANDOVER_DESCRIPTORS_PER_MESSAGE * 2 + 3;
        let files: Vec<File> = (0..count)
            .map(|index| {
                let mut file = tempfile::tempfile().unwrap();
                write!(file, "{index}").unwrap();
                file.rewind().unwrap();
                file
            })
            .collect();
        let borrowed: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
        one.pass(&borrowed).unwrap();
        for (index, descriptor) in other.receive(count).unwrap().into_iter().enumerate() {
            let mut text = String::new();
            File::from(descriptor).read_to_string(&mut text).unwrap();
            assert_eq!(text, index.to_string());
        }
    }

    #[test]
    fn what_is_no_message_is_an_error_and_silence_ends_with_patience() {
        let (one, other) = lines();
        one.0.send(b"{\"say\":\"nonsense\"}").unwrap();
        assert_eq!(other.hear().unwrap_err().kind(), io::ErrorKind::InvalidData);
        other.patience(Some(Duration::from_millis(10))).unwrap();
        assert_eq!(other.hear().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn only_the_owner_may_connect_and_a_dead_socket_is_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = super::super::socket_path(directory.path());
        drop(Line::listen(&path).unwrap());
        let listener = Line::listen(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let one = Line::connect(&path).unwrap();
        let other = Line::accept(&listener).unwrap();
        one.say(&Message::Yours).unwrap();
        assert_eq!(other.hear().unwrap(), Some(Message::Yours));
    }
}
