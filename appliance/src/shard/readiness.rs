//! HOT: which sockets are ready, many at a time.
//!
//! glommio's own streams put one poll entry per read into the ring, with an allocation and three clock reads each, and wake
//! one task per socket: 12 µs per request where nginx needs 8. Here all sockets of a shard are in one epoll set, and
//! glommio's reactor waits for that set alone: one entry per turn, however many sockets are ready (8 µs).

use std::future::poll_fn;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::time::Duration;

use futures_io::AsyncRead as _;
use glommio::net::TcpStream;
use glommio::timer::Timer;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io;

use crate::limits::EVENTS_PER_TURN_MAX;

/// An epoll set.
pub(super) struct ReadySet(OwnedFd);

/// What a connection waits for. Edge-triggered: one event per change, and none again until the socket was read empty or
/// written full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interest {
    /// Bytes or the end of the stream.
    Read,
    /// Room to write, or a failure; nothing is read meanwhile.
    Write,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Self::Read => EventFlags::IN | EventFlags::RDHUP | EventFlags::ET,
            Self::Write => EventFlags::OUT | EventFlags::ET,
        }
    }
}

impl ReadySet {
    /// An empty set.
    pub(super) fn new() -> io::Result<Self> {
        epoll::create(CreateFlags::CLOEXEC).map(Self)
    }

    /// Reports connections that wait on `listener` with `number` as long as there are any.
    pub(super) fn add_listener(&self, listener: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        epoll::add(&self.0, listener, EventData::new_u64(number), EventFlags::IN)
    }

    /// Reports nothing about `listener` until it is resumed.
    pub(super) fn pause_listener(&self, listener: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        epoll::modify(&self.0, listener, EventData::new_u64(number), EventFlags::empty())
    }

    /// Undoes [`ReadySet::pause_listener`].
    pub(super) fn resume_listener(&self, listener: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        epoll::modify(&self.0, listener, EventData::new_u64(number), EventFlags::IN)
    }

    /// Reports nothing about `listener` any more.
    pub(super) fn remove_listener(&self, listener: BorrowedFd<'_>) -> io::Result<()> {
        epoll::delete(&self.0, listener)
    }

    /// Reports what happens to `socket` with `number`. It leaves the set when it is closed.
    #[inline]
    pub(super) fn add(&self, socket: BorrowedFd<'_>, number: u64, interest: Interest) -> io::Result<()> {
        epoll::add(&self.0, socket, EventData::new_u64(number), interest.flags())
    }

    /// Changes what `socket` waits for; reports it at once if it is ready.
    pub(super) fn rearm(&self, socket: BorrowedFd<'_>, number: u64, interest: Interest) -> io::Result<()> {
        epoll::modify(&self.0, socket, EventData::new_u64(number), interest.flags())
    }

    /// Replaces `events` by those that are there, at most [`EVENTS_PER_TURN_MAX`], without waiting.
    #[inline]
    pub(super) fn take(&self, events: &mut Vec<Event>) -> io::Result<()> {
        const AT_ONCE: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        events.clear();
        debug_assert_eq!(events.capacity(), EVENTS_PER_TURN_MAX, "the bound is the capacity");
        epoll::wait(&self.0, rustix::buffer::spare_capacity(events), Some(&AT_ONCE)).map(|_| ())
    }

    /// Waits until there are events. The wait is one entry in glommio's ring, and may be given up at any time.
    pub(super) async fn wait(&self) {
        // glommio polls descriptors only as part of a stream, and only a stream that is dropped polls again. The duplicate is
        // what it may close.
        let Ok(duplicate) = rustix::io::fcntl_dupfd_cloexec(self.0.as_fd(), 0) else {
            // No descriptor is left: look again soon, until some connection ends.
            Timer::new(DESCRIPTORS_SPENT_PAUSE).await;
            return;
        };
        let mut stream = into_stream(duplicate);
        poll_fn(|context| {
            // Pending until the descriptor is readable. Then glommio tries to receive from it, which fails because an epoll
            // set is no socket, and that is all we want to know.
            Pin::new(&mut stream).poll_read(context, &mut [0]).map(|_| ())
        })
        .await;
    }
}

/// How often a shard looks for events while it has no descriptor to wait with.
const DESCRIPTORS_SPENT_PAUSE: Duration = Duration::from_millis(1);

/// Hands a descriptor to the executor of this thread, by the socket type that glommio converts from.
fn into_stream(descriptor: OwnedFd) -> TcpStream {
    TcpStream::from(glommio_socket2::Socket::from(std::net::TcpStream::from(descriptor)))
}
