//! What the loaded program would do with a packet, and why, by its own words.

use std::net::SocketAddr;

use aya::programs::{TestRun, TestRunOptions, Xdp};
use aya_obj::programs::XdpAttachType;
use ebpf_abi::{ABI_VERSION, Action, PROBE_MAGIC, Probe, Reason};
use ebpf_logic::twin::frames;

use crate::{Guard, GuardError, Pins};

/// Frames below this never reach a program.
pub(crate) const FRAME_BYTES_MIN: usize = 14;
const PROBE_BYTES: usize = size_of::<Probe>();

/// A packet to judge.
#[derive(Clone, Copy, Debug)]
pub struct Question<'f> {
    /// The frame, from the Ethernet header on.
    pub frame: &'f [u8],
    /// The instant to judge at (`CLOCK_MONOTONIC`, ns); none for now.
    pub now_ns: Option<u64>,
    /// Whether the rate tables remember the packet; counters and events never do.
    pub charges: bool,
    /// Whether to judge by the rules that are [prepared](crate::Tables::prepare) instead of the valid ones.
    pub candidate: bool,
}

/// What the program answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Why; its stage is `reason.stage()`.
    pub reason: Reason,
    /// The first reason for which a monitoring stage would have acted.
    pub monitored: Option<Reason>,
    /// What happens to the packet.
    pub action: Action,
    /// Cause of the ban or number of the list's file, if the reason has one.
    pub rule: u32,
    /// The frame that leaves, if one does.
    pub answer: Option<Vec<u8>>,
}

impl<'f> Question<'f> {
    /// What happens to this frame now, leaving no trace.
    pub fn about(frame: &'f [u8]) -> Self {
        Self { frame, now_ns: None, charges: false, candidate: false }
    }

    /// The SYN that a client sends first, for explaining a 5-tuple.
    pub fn syn(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
        frames::tcp(source, destination, frames::flags::SYN, &frames::SYN_OPTIONS, &[])
    }
}

impl Guard {
    /// Runs a packet through the loaded program, with the live tables.
    ///
    /// # Errors
    /// The kernel refuses the run (a frame of more than about 3,500 bytes, for instance), or the program does not answer.
    pub fn explain(&self, question: &Question<'_>) -> Result<Explanation, GuardError> {
        ask(self.program()?, question)
    }
}

impl Pins {
    /// The same with the program that was attached last, for processes that have not loaded one.
    ///
    /// # Errors
    /// Nothing is pinned, or as for [`Guard::explain`].
    pub fn explain(&self, question: &Question<'_>) -> Result<Explanation, GuardError> {
        let path = self.program();
        if !path.exists() {
            return Err(GuardError::NotPinned(self.root().to_owned()));
        }
        ask(&Xdp::from_pin(path, XdpAttachType::Interface)?, question)
    }
}

fn ask(program: &Xdp, question: &Question<'_>) -> Result<Explanation, GuardError> {
    if question.frame.len() < FRAME_BYTES_MIN {
        let (reason, action) = (Reason::NotIp, Action::Pass);
        return Ok(Explanation { reason, monitored: None, action, rule: 0, answer: None });
    }
    let mut input = Vec::with_capacity(PROBE_BYTES + question.frame.len());
    input.extend(PROBE_MAGIC.to_ne_bytes());
    input.extend(question.now_ns.unwrap_or(0).to_ne_bytes());
    input.extend([0; 8]);
    input.extend(u32::from(question.charges).to_ne_bytes());
    input.extend(if question.candidate { ABI_VERSION } else { 0 }.to_ne_bytes());
    input.extend(question.frame);
    let mut output = vec![0; input.len()];
    // `struct xdp_md`: the packet starts behind the probe, which thereby becomes metadata.
    let mut context = [0u8; 24];
    context[..4].copy_from_slice(&(PROBE_BYTES as u32).to_ne_bytes());
    context[4..8].copy_from_slice(&(input.len() as u32).to_ne_bytes());
    let result = program.test_run(TestRunOptions {
        data_in: Some(&input),
        data_out: Some(&mut output),
        ctx_in: Some(&context),
        repeat: 1,
        ..TestRunOptions::default()
    })?;
    output.truncate(result.data_size_out as usize);
    read(&output, result.return_value).ok_or(GuardError::NoAnswer)
}

/// Reads the probe in front of the answer; its verdict must be what the program returned.
fn read(output: &[u8], returned: u32) -> Option<Explanation> {
    let (probe, frame) = output.split_first_chunk::<PROBE_BYTES>()?;
    let [.., reason, monitored, action, answered, a, b, c, d, _, _, _, _, _, _, _, _] = *probe;
    if answered != 1 || u32::from(action) != returned {
        return None;
    }
    let action = Action::from_number(action)?;
    Some(Explanation {
        reason: Reason::from_number(reason)?,
        monitored: Reason::from_number(monitored),
        action,
        rule: u32::from_ne_bytes([a, b, c, d]),
        answer: (action == Action::Transmit).then(|| frame.to_owned()),
    })
}
