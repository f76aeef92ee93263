//! Tests of the control protocol: transcripts of a real BIRD, cut into every portion, and what no BIRD says.

use proptest::prelude::*;

use super::*;

/// What BIRD 2.0.12 sent, recorded.
const TRANSCRIPTS: &[(&str, &str)] = &[
    ("greeting", "0001 BIRD 2.0.12 ready.\n"),
    ("disabled", "0009-vip_web_v4_normal: disabled\n0000 \n"),
    ("already disabled", "0008-vip_web_v4_normal: already disabled\n0000 \n"),
    (
        "enabled by pattern",
        "0011-vip_web_v4_normal: enabled\n0010-vip_web_v4_prepended: already enabled\n0011-vip_web_v4_graceful: enabled\n0000 \n",
    ),
    (
        "unknown name",
        "9001 syntax error, unexpected CF_SYM_UNDEFINED, expecting CF_SYM_KNOWN or TEXT or ALL\n",
    ),
    ("unmatched pattern", "8003 No protocols match\n"),
    ("configure", "0002-Reading configuration from b.conf\n0003 Reconfigured\n"),
    ("configure in progress", "0002-Reading configuration from b.conf\n0004 Reconfiguration in progress\n"),
    ("access denied", "8007 Access denied\n"),
    (
        "status",
        "1000-BIRD 2.0.12\n1011-Router ID is 10.0.0.1\n Hostname is vm\n Current server time is 2026-11-22 07:10:37.896\n Last reboot on 2026-11-22 07:10:36.907\n Last reconfiguration on 2026-11-22 07:10:36.907\n0013 Daemon is up and running\n",
    ),
    (
        "protocols",
        "2002-Name       Proto      Table      State  Since         Info\n1002-vip_web_v4_normal Static     master4    up     07:10:36.908  \n vip_web_v6_normal Static     master6    up     07:10:36.908  \n0000 \n",
    ),
    (
        "routes",
        "1007-Table master4:\n 192.0.2.1/32         blackhole [vip_web_v4_normal 07:10:38.158] * (200)\n1008-\tType: static univ\n1012-\tBGP.community: (65535,0)\n0000 \n",
    ),
];

fn all(bytes: &[&[u8]]) -> Result<Vec<Received>, ProtocolError> {
    let (mut decoder, mut received) = (Decoder::default(), Vec::new());
    for portion in bytes {
        decoder.push(portion);
        while let Some(next) = decoder.take() {
            received.push(next?);
        }
    }
    Ok(received)
}

fn replies(text: &str) -> Vec<Reply> {
    let received = all(&[text.as_bytes()]).unwrap();
    received
        .into_iter()
        .filter_map(|received| match received {
            Received::Reply(reply) => Some(reply),
            Received::Aside(_) => None,
        })
        .collect()
}

#[test]
fn every_transcript_is_one_reply_and_its_class_is_told() {
    for (name, text) in TRANSCRIPTS {
        let replies = replies(text);
        assert_eq!(replies.len(), 1, "{name}");
        assert_eq!(replies[0].0.len(), text.lines().count(), "{name}");
        let fails = ["unknown name", "unmatched pattern", "access denied"].contains(name);
        assert_eq!(replies[0].failure().is_some(), fails, "{name}");
    }
}

#[test]
fn a_leading_space_repeats_the_code() {
    let status = &replies(TRANSCRIPTS[9].1)[0];
    assert_eq!(status.texts(1011).count(), 5);
}

#[test]
fn asynchronous_lines_stand_anywhere_and_belong_to_no_reply() {
    let text = "+Reconfiguring\n0009-vip_a: disabled\n+Disabling protocol vip_a\n0000 \n+Reconfigured\n";
    let received = all(&[text.as_bytes()]).unwrap();
    assert_eq!(received.len(), 4);
    assert_eq!(received[0], Received::Aside("Reconfiguring".into()));
    assert!(matches!(&received[2], Received::Reply(reply) if reply.0.len() == 2));
}

#[test]
fn what_no_bird_says_is_an_error_for_good() {
    for (text, expected) in [
        ("hello\n", ProtocolError::NoCode("hello".into())),
        ("12\n", ProtocolError::NoCode("12".into())),
        ("12a4 x\n", ProtocolError::NoCode("12a4 x".into())),
        ("0001x\n", ProtocolError::NoCode("0001x".into())),
        ("äöü0 \n", ProtocolError::NoCode("äöü0 ".into())),
        (" x\n", ProtocolError::NothingToContinue(" x".into())),
        ("\n", ProtocolError::NoCode(String::new())),
    ] {
        let mut decoder = Decoder::default();
        decoder.push(text.as_bytes());
        decoder.push(b"0000 \n");
        assert_eq!(decoder.take(), Some(Err(expected.clone())));
        assert_eq!(decoder.take(), Some(Err(expected)));
    }
}

#[test]
fn lines_and_replies_have_an_end() {
    let long = vec![b'1'; BIRD_LINE_BYTES_MAX + 2];
    assert_eq!(all(&[&long]).unwrap_err(), ProtocolError::LongLine);
    let many = "1000-x\n".repeat(BIRD_LINES_MAX + 1);
    assert_eq!(all(&[many.as_bytes()]).unwrap_err(), ProtocolError::LongReply);
}

#[test]
fn commands_are_what_bird_understands() {
    let v6 = "2001:db8::1".parse().unwrap();
    assert_eq!(Command::Disable("vip_web_v6_normal".into()).to_string(), "disable vip_web_v6_normal");
    assert_eq!(Command::ShowExport(v6, "r1".into()).to_string(), "show route 2001:db8::1/128 export r1 all");
}

proptest! {
    #[test]
    fn any_portions_give_the_same_replies(order in prop::collection::vec(0..TRANSCRIPTS.len(), 0..8), cuts in prop::collection::vec(0usize..4000, 0..20)) {
        let text: Vec<u8> = order.iter().flat_map(|index| TRANSCRIPTS[*index].1.bytes()).collect();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let portions: Vec<_> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
        prop_assert_eq!(all(&portions).unwrap(), all(&[&text]).unwrap());
        prop_assert_eq!(all(&portions).unwrap().len(), order.len());
    }

    #[test]
    fn any_bytes_end_in_replies_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = all(&[&bytes]);
    }
}
