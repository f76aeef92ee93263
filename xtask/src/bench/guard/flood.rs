//! The attacker: frames sent by the kernel itself, at a rate that is kept inside the sending program.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::maps::Array;
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, XdpMode};
use ebpf_loader::frames::{self, flags};
use ebpf_loader::now_ns;
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};

use super::place::{FAR, FLOOD_MAC, NEAR_MAC, Place, VIP, WORLD_CPU};
use super::subjects::{banned_v4, load};
use crate::bench::machine::Pinned;

/// Frames that the kernel handles at a time.
const BATCH: u32 = 64;
/// Runs of the program in one call: some ten milliseconds.
const RUNS: u32 = 100_000;
/// Frames never come faster than this.
const PER_S_MAX: u64 = 5_000_000;

/// A kind of attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attack {
    /// SYNs for the served port from sources that do not exist.
    Syn,
    /// SYNs from one source that is banned.
    Banned,
    /// Segments that belong to no connection, from sources that do not exist.
    Ack,
    /// Datagrams to a port that is not served, from sources that do not exist.
    Udp,
}

impl Attack {
    pub(super) const ALL: [Self; 4] = [Self::Syn, Self::Banned, Self::Ack, Self::Udp];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Syn => "SYN flood from random sources",
            Self::Banned => "flood from a banned source",
            Self::Ack => "ACK flood from random sources",
            Self::Udp => "UDP junk from random sources",
        }
    }

    fn spoofs(self) -> bool {
        self != Self::Banned
    }

    /// The frame that is sent, as the first of them looks.
    pub(super) fn frame(self) -> Result<Vec<u8>> {
        let vip = |port| Ok::<_, anyhow::Error>((VIP.parse::<std::net::IpAddr>()?, port).into());
        let from = ([16, 0, 0, 1], 40_000).into();
        let mut frame = match self {
            Self::Syn => frames::tcp(from, vip(80)?, flags::SYN, &frames::SYN_OPTIONS, &[]),
            Self::Banned => {
                let from = (banned_v4(7), 40_000).into();
                frames::tcp(from, vip(80)?, flags::SYN, &frames::SYN_OPTIONS, &[])
            }
            Self::Ack => frames::tcp(from, vip(80)?, flags::ACK, &[0; 12], &[]),
            Self::Udp => {
                let mut frame = frames::udp(from, vip(9999)?, &[0x55; 32]);
                // No checksum: a new source would make it wrong.
                frame[40..42].fill(0);
                frame
            }
        };
        frame[..6].copy_from_slice(&NEAR_MAC);
        frame[6..12].copy_from_slice(&FLOOD_MAC);
        Ok(frame)
    }
}

/// What was sent, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) packets: u64,
    pub(super) took: Duration,
}

/// Lets answers reach the world: transmissions of XDP are delivered only to an end that has a program.
pub(super) fn guard_far_end(place: &Place, programs: &mut Ebpf) -> Result<()> {
    place.in_world(|| {
        load(programs, "sieve")?.attach(FAR, XdpMode::Driver).context("cannot attach to the far end")?;
        Ok(())
    })?;
    place.answers_cost_the_world()
}

/// Sends until `stop`, and at most for `longest`. The calling thread must be in the world.
pub(super) fn send(
    programs: &mut Ebpf,
    attack: Attack,
    per_s: u64,
    longest: Duration,
    stop: &AtomicBool,
) -> Result<Sent> {
    let began = Instant::now();
    if per_s == 0 {
        while !stop.load(Ordering::Relaxed) && began.elapsed() < longest {
            thread::sleep(Duration::from_millis(5));
        }
        return Ok(Sent { packets: 0, took: began.elapsed() });
    }
    let _pinned = Pinned::to(WORLD_CPU)?;
    // The client shares this CPU, and is to have what it needs: the flood takes the rest.
    let _ = rustix::process::nice(15);
    let interval_ns = 1_000_000_000 / per_s.min(PER_S_MAX);
    load(programs, "flood")?;
    let mut plan: Array<_, [u64; 4]> = Array::try_from(programs.map_mut("PLAN").context("no map PLAN")?)?;
    plan.set(0, [interval_ns, now_ns(), 0, u64::from(attack.spoofs())], 0)?;
    let frame = attack.frame()?;
    let ifindex = far_index()?;
    let mut context = [0u8; 24];
    context[4..8].copy_from_slice(&(frame.len() as u32).to_ne_bytes());
    context[12..16].copy_from_slice(&ifindex.to_ne_bytes());
    let program = load(programs, "flood")?;
    while !stop.load(Ordering::Relaxed) && began.elapsed() < longest {
        program.test_run(TestRunOptions {
            data_in: Some(&frame),
            ctx_in: Some(&context),
            repeat: RUNS,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::default()
        })?;
    }
    let took = began.elapsed();
    let plan: Array<_, [u64; 4]> = Array::try_from(programs.map("PLAN").context("no map PLAN")?)?;
    Ok(Sent { packets: plan.get(&0, 0)?[2], took })
}

/// The number of the far end; files of this thread's /sys would speak of the other namespace.
fn far_index() -> Result<u32> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Ok(name_to_index(&socket, FAR)?)
}
