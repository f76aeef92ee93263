//! What the attached program would do with a packet, and why.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use ebpf_loader::abi::{Reason, Stage};
use ebpf_loader::{Explanation, Pins, Question, frames};
use serde::Serialize;

use super::pcap;
use crate::guard::cause;
use crate::limits::PCAP_FILE_BYTES_MAX;

#[derive(Serialize)]
struct Answer {
    packet: String,
    action: &'static str,
    reason: &'static str,
    stage: Option<&'static str>,
    meaning: &'static str,
    /// What a monitoring stage would have done it for.
    monitored: Option<&'static str>,
    rule: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    rule_meaning: String,
    answer_bytes: Option<usize>,
}

pub(super) fn run(pins: &Pins, packets: &[String], udp: bool, json: bool) -> anyhow::Result<ExitCode> {
    match packets {
        [client, server] => {
            let (from, to) = (end(client)?, end(server)?);
            if from.is_ipv4() != to.is_ipv4() {
                bail!("{from} and {to} are of different families, and no packet has both");
            }
            let (frame, what) = if udp {
                (frames::udp(from, to, &[]), format!("UDP datagram {from} > {to}"))
            } else {
                (Question::syn(from, to), format!("TCP SYN {from} > {to}"))
            };
            explain(pins, &[(what, frame)], json)
        }
        [file] if file.parse::<SocketAddr>().is_ok() => {
            bail!("{file} is one end of a connection: name the other one, too, as CLIENT:PORT SERVER:PORT")
        }
        [file] => {
            let size = std::fs::metadata(file).with_context(|| format!("cannot read {file}"))?.len();
            if size > PCAP_FILE_BYTES_MAX {
                bail!(
                    "{file} has more than {PCAP_FILE_BYTES_MAX} bytes; cut it: tcpdump -r {file} -c 1000 -w short.pcap"
                );
            }
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {file}"))?;
            let frames = pcap::frames(&bytes).with_context(|| format!("cannot use {file}"))?;
            let named = |(index, frame): (usize, &&[u8])| (format!("frame {}", index + 1), frame.to_vec());
            explain(pins, &frames.iter().enumerate().map(named).collect::<Vec<_>>(), json)
        }
        _ => unreachable!("one or two arguments are taken"),
    }
}

fn explain(pins: &Pins, packets: &[(String, Vec<u8>)], json: bool) -> anyhow::Result<ExitCode> {
    for (packet, frame) in packets {
        let explanation =
            pins.explain(&Question::about(frame)).with_context(|| format!("cannot explain {packet}"))?;
        let answer = Answer::of(packet.clone(), &explanation);
        let line = if json { serde_json::to_string(&answer)? + "\n" } else { answer.text() };
        super::super::print(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn end(text: &str) -> anyhow::Result<SocketAddr> {
    text.parse().with_context(|| {
        format!("{text:?} is no address with a port, such as 192.0.2.1:80 or [2001:db8::1]:80")
    })
}

impl Answer {
    fn of(packet: String, explanation: &Explanation) -> Self {
        let Explanation { reason, monitored, action, rule, answer } = explanation;
        let rule_meaning = match reason {
            Reason::Banned | Reason::ChallengedBan => {
                format!("banned for {}: carom guard bans", cause::name(*rule))
            }
            Reason::Denied | Reason::Allowed if *rule > 0 => {
                format!("file {rule} of the lists, counted from 1, allow_files before deny_files")
            }
            _ => String::new(),
        };
        Self {
            packet,
            action: action.name(),
            reason: reason.name(),
            stage: reason.stage().map(Stage::name),
            meaning: reason.help(),
            monitored: monitored.map(Reason::name),
            rule: *rule,
            rule_meaning,
            answer_bytes: answer.as_ref().map(Vec::len),
        }
    }

    fn text(&self) -> String {
        let Self { packet, action, reason, stage, meaning, monitored, rule: _, rule_meaning, answer_bytes } =
            self;
        let stage = stage.map(|stage| format!(", stage {stage}")).unwrap_or_default();
        let mut text = format!("{packet}: {action}, reason {reason}{stage}: {meaning}\n");
        if !rule_meaning.is_empty() {
            text += &format!("  {rule_meaning}\n");
        }
        if let Some(monitored) = monitored {
            text += &format!("  a monitoring stage would have acted: {monitored}\n");
        }
        if let Some(bytes) = answer_bytes {
            text += &format!("  an answer of {bytes} bytes goes back: a SYN cookie\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use ebpf_loader::abi::Action;

    use super::*;

    #[test]
    fn an_answer_names_action_reason_stage_and_rule() {
        let explanation = Explanation {
            reason: Reason::Banned,
            monitored: None,
            action: Action::Drop,
            rule: 3,
            answer: None,
        };
        let text = Answer::of("TCP SYN".into(), &explanation).text();
        assert_eq!(
            text,
            "TCP SYN: drop, reason banned, stage ban: the source is banned until its ban expires\n  banned for junk \
             requests: carom guard bans\n"
        );
    }
}
