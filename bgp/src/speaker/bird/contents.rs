//! What is in BIRD's replies, as far as the sidecar needs it.

use std::collections::BTreeMap;

use super::protocol::Reply;
use crate::announcement::Rung;

/// One row of `show protocols`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// `up`, `down`, `start`, `flush`, …
    pub state: String,
    /// Since when, as BIRD writes it.
    pub since: String,
    /// What the protocol says about itself: `Established`, …
    pub info: String,
}

/// The rows of `show protocols`, by name.
pub fn protocols(reply: &Reply) -> BTreeMap<String, Protocol> {
    let rows = reply.texts(1002).filter_map(|row| {
        let mut words = row.split_whitespace();
        let (name, _proto, _table) = (words.next()?, words.next()?, words.next()?);
        let (state, since) = (words.next()?.to_owned(), words.next().unwrap_or_default().to_owned());
        Some((name.to_owned(), Protocol { state, since, info: words.collect::<Vec<_>>().join(" ") }))
    });
    rows.collect()
}

/// What `show status` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The program and its version.
    pub version: String,
    /// When BIRD was started, by its clock.
    pub last_reboot: String,
    /// When it last read its configuration, by its clock.
    pub last_reconfiguration: String,
}

/// Reads the reply of `show status`.
pub fn status(reply: &Reply) -> Status {
    let mut status =
        Status { version: reply.texts(1000).next().unwrap_or_default().to_owned(), ..Status::default() };
    for text in reply.texts(1011) {
        if let Some(at) = text.strip_prefix("Last reboot on ") {
            at.clone_into(&mut status.last_reboot);
        } else if let Some(at) = text.strip_prefix("Last reconfiguration on ") {
            at.clone_into(&mut status.last_reconfiguration);
        }
    }
    status
}

/// Whether `show route` named a path. 8001 (no such network) is no path; any other failure is no answer.
pub fn has_path(reply: &Reply) -> Option<bool> {
    match reply.failure() {
        Some(line) if line.code == 8001 => Some(false),
        Some(_) => None,
        None => Some(reply.texts(1007).any(|text| text.contains('['))),
    }
}

/// The rung of the path that `show route … export … all` named, by the protocol that it comes from; `None`: nothing is exported.
pub fn exported_rung(reply: &Reply) -> Option<Rung> {
    let row = reply.texts(1007).find(|text| text.contains('['))?;
    let (_, source) = row.split_once('[')?;
    let name = source.split([' ', ']']).next()?;
    Rung::ANNOUNCED
        .into_iter()
        .find(|rung| name.strip_suffix(rung.name()).is_some_and(|rest| rest.starts_with("vip_")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speaker::bird::{Decoder, Received};

    fn reply(text: &str) -> Reply {
        let mut decoder = Decoder::default();
        decoder.push(text.as_bytes());
        match decoder.take() {
            Some(Ok(Received::Reply(reply))) => reply,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rows_of_protocols_are_read_with_and_without_info() {
        let rows = protocols(&reply(
            "2002-Name       Proto      Table      State  Since         Info\n\
             1002-vip_web_v4_normal Static     master4    up     07:10:36.908  \n\
             \x20vip_web_v4_graceful Static     master4    down   2026-11-21  \n\
             1002-r1v4       BGP        ---        start  07:10:36.908  Active        Socket: Connection refused\n\
             0000 \n",
        ));
        assert_eq!(rows["vip_web_v4_normal"].state, "up");
        assert_eq!(rows["vip_web_v4_graceful"].since, "2026-11-21");
        assert_eq!(rows["r1v4"].info, "Active Socket: Connection refused");
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn the_status_tells_restarts_from_reconfigurations() {
        let status = status(&reply(
            "1000-BIRD 2.0.12\n1011-Router ID is 10.0.0.1\n Hostname is vm\n Current server time is 2026-11-22 07:10:37.896\n \
             Last reboot on 2026-11-22 07:10:36.907\n Last reconfiguration on 2026-11-22 07:11:00.000\n\
             0013 Daemon is up and running\n",
        ));
        assert_eq!(status.version, "BIRD 2.0.12");
        assert_eq!(status.last_reboot, "2026-11-22 07:10:36.907");
        assert_eq!(status.last_reconfiguration, "2026-11-22 07:11:00.000");
    }

    #[test]
    fn a_path_is_there_is_not_there_or_nobody_knows() {
        let path = "1007-Table master4:\n 192.0.2.1/32         unicast [r1v4 07:10:38.158] * (100) [AS65002i]\n0000 \n";
        for (text, expected) in [
            (path, Some(true)),
            ("0000 \n", Some(false)),
            ("8001 Network not found\n", Some(false)),
            ("9001 syntax error\n", None),
        ] {
            assert_eq!(has_path(&reply(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_is_exported_is_named_by_its_protocol() {
        let text = "1007-Table master4:\n 192.0.2.1/32         blackhole [vip_web_v4_prepended 07:10:36.908] * (180)\n\
                    1008-\tType: static univ\n1012-\tBGP.as_path: 65001 65001\n0000 \n";
        assert_eq!(exported_rung(&reply(text)), Some(Rung::Prepended));
        assert_eq!(exported_rung(&reply("0000 \n")), None);
        assert_eq!(exported_rung(&reply("1007 192.0.2.1/32 unicast [r1v4 07:10:36.908] * (100)\n")), None);
    }
}
