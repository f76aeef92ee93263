//! The verifier against everything that may come out of a channel.

use super::*;
use crate::document::seal;
use crate::key::SecretKey;
use crate::manifest::{File, Role as FileRole};
use crate::pointer::Waves;
use crate::root::Role;
use proptest::prelude::*;

const NOW: u64 = 1_000_000;

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

fn role(keys: &[u8], threshold: usize) -> Role {
    Role { keys: keys.iter().map(|&number| key(number).public()).collect(), threshold }
}

/// Keys: 1 and 2 roots, 3 contents, 4 pointers, 5 the deny list.
fn root(version: u64) -> Root {
    Root {
        channel: "links".into(),
        version,
        expires_unix_s: NOW + 1_000,
        root: role(&[1, 2], 2),
        content: role(&[3], 1),
        pointer: role(&[4], 1),
        deny: role(&[5], 1),
        requires: Vec::new(),
    }
}

fn sealed(kind: Kind, body: &impl Serialize, keys: &[u8]) -> Vec<u8> {
    let keys: Vec<SecretKey> = keys.iter().map(|&number| key(number)).collect();
    seal(kind, &serde_json::to_vec(body).unwrap(), &keys.iter().collect::<Vec<_>>())
}

fn anchored() -> Trust {
    Trust::anchor(&[key(1).public()], 1, &sealed(Kind::Root, &root(1), &[1, 2])).unwrap()
}

fn pointer(sequence: u64) -> Pointer {
    Pointer {
        channel: "links".into(),
        sequence,
        root: 1,
        issued_unix_s: NOW,
        expires_unix_s: NOW + 100,
        waves: Waves::default(),
        requires: Vec::new(),
    }
}

fn manifest() -> Manifest {
    Manifest {
        channel: "links".into(),
        version: 7,
        created_unix_s: NOW,
        parent: None,
        generation: 7,
        built_at_unix_s: NOW,
        links: 1,
        domains: 1,
        content_checksum: "00".into(),
        tool: "test".into(),
        files: vec![File { role: FileRole::Snapshot, bytes: 4096, blake3: ContentHash::of(b"x") }],
        requires: Vec::new(),
    }
}

/// The label of the refusal, or `ok`.
fn label<T>(result: Result<T, Refusal>) -> &'static str {
    result.map_or_else(|refusal| refusal.label(), |_| "ok")
}

#[test]
fn a_root_is_trusted_for_configured_keys_alone_and_must_sign_itself() {
    let check = |keys: &[u8], threshold, signed_by: &[u8], expected: &str| {
        let keys: Vec<PublicKey> = keys.iter().map(|&number| key(number).public()).collect();
        let bytes = sealed(Kind::Root, &root(3), signed_by);
        assert_eq!(label(Trust::anchor(&keys, threshold, &bytes)), expected, "{keys:?} {signed_by:?}");
    };
    check(&[1], 1, &[1, 2], "ok");
    check(&[1, 2], 2, &[1, 2], "ok");
    check(&[9], 1, &[1, 2], "wrong_key");
    check(&[9], 1, &[9], "wrong_key");
    check(&[1], 1, &[1], "wrong_key");
    check(&[], 0, &[1, 2], "wrong_key");
}

#[test]
fn keys_rotate_one_root_after_the_other_by_the_threshold_of_both() {
    let check = |next: &Root, signed_by: &[u8], expected: &str| {
        assert_eq!(label(anchored().next_root(&sealed(Kind::Root, next, signed_by))), expected, "{next:?}");
    };
    let rotated = Root { root: role(&[2, 6], 2), ..root(2) };
    check(&rotated, &[1, 2, 6], "ok");
    check(&rotated, &[2, 6], "wrong_key");
    check(&rotated, &[1, 2], "wrong_key");
    check(&root(2), &[1, 2], "ok");
    check(&root(3), &[1, 2], "root");
    check(&root(1), &[1, 2], "root");
    check(&Root { channel: "other".into(), ..root(2) }, &[1, 2], "other_channel");
    check(&Root { requires: vec!["x".into()], ..root(2) }, &[1, 2], "too_new");
    check(&Root { pointer: role(&[4], 2), ..root(2) }, &[1, 2], "malformed");
    check(&Root { pointer: role(&[4, 4], 2), ..root(2) }, &[1, 2], "malformed");
    check(&Root { deny: role(&[], 0), ..root(2) }, &[1, 2], "malformed");
}

#[test]
fn a_stolen_pointer_key_ends_with_its_rotation_and_burns_no_sequence() {
    let burnt = sealed(Kind::Pointer, &pointer(u64::MAX), &[4]);
    let (_, trust) = anchored().pointer(&burnt, NOW).unwrap();
    let rotated = sealed(Kind::Root, &Root { pointer: role(&[7], 1), ..root(2) }, &[1, 2]);
    let trust = trust.next_root(&rotated).unwrap();
    assert_eq!(label(trust.pointer(&burnt, NOW)), "wrong_key");
    assert_eq!(label(trust.pointer(&sealed(Kind::Pointer, &pointer(1), &[7]), NOW)), "ok");
    // A rotation of something else forgets nothing.
    let same = sealed(Kind::Root, &Root { deny: role(&[8], 1), ..root(2) }, &[1, 2]);
    let (_, trust) = anchored().pointer(&sealed(Kind::Pointer, &pointer(9), &[4]), NOW).unwrap();
    let trust = trust.next_root(&same).unwrap();
    assert_eq!(label(trust.pointer(&sealed(Kind::Pointer, &pointer(8), &[4]), NOW)), "replayed");
}

#[test]
fn a_pointer_is_believed_once_and_in_order_while_it_lives() {
    let (_, trust) = anchored().pointer(&sealed(Kind::Pointer, &pointer(5), &[4]), NOW).unwrap();
    let check = |pointer: &Pointer, signed_by: &[u8], now, expected: &str| {
        assert_eq!(
            label(trust.pointer(&sealed(Kind::Pointer, pointer, signed_by), now)),
            expected,
            "{pointer:?}"
        );
    };
    check(&pointer(5), &[4], NOW, "ok");
    check(&pointer(6), &[4], NOW, "ok");
    check(&pointer(4), &[4], NOW, "replayed");
    check(&Pointer { issued_unix_s: 1, ..pointer(5) }, &[4], NOW, "equivocation");
    check(&pointer(6), &[4], NOW + 99, "ok");
    check(&pointer(6), &[4], NOW + 100, "expired");
    check(&Pointer { expires_unix_s: u64::MAX, ..pointer(6) }, &[4], NOW + 1_000, "expired");
    check(&pointer(6), &[3], NOW, "wrong_key");
    check(&pointer(6), &[], NOW, "wrong_key");
    check(&Pointer { channel: "other".into(), ..pointer(6) }, &[4], NOW, "other_channel");
    check(&Pointer { root: 2, ..pointer(6) }, &[4], NOW, "root");
    check(&Pointer { requires: vec!["delta".into()], ..pointer(6) }, &[4], NOW, "too_new");
    let manifest = sealed(Kind::Manifest, &manifest(), &[4]);
    assert_eq!(label(trust.pointer(&manifest, NOW)), "malformed");
}

#[test]
fn a_manifest_is_the_one_that_the_pointer_names_and_signed() {
    let check = |manifest: &Manifest, signed_by: &[u8], named: Option<&[u8]>, version, expected: &str| {
        let bytes = sealed(Kind::Manifest, manifest, signed_by);
        let target = Target { version, manifest: ContentHash::of(named.unwrap_or(&bytes)) };
        assert_eq!(label(anchored().manifest(&target, &bytes)), expected, "{manifest:?}");
    };
    let good = manifest();
    check(&good, &[3], None, 7, "ok");
    check(&good, &[3], Some(b"another"), 7, "wrong_content");
    check(&good, &[4], None, 7, "wrong_key");
    check(&good, &[3], None, 8, "malformed");
    check(&Manifest { files: Vec::new(), ..good.clone() }, &[3], None, 7, "malformed");
    let file = good.files[0].clone();
    let huge = File { bytes: u64::MAX, ..file.clone() };
    check(&Manifest { files: vec![huge], ..good.clone() }, &[3], None, 7, "malformed");
    let unknown = File { role: FileRole::Unknown, ..file.clone() };
    check(&Manifest { files: vec![file, unknown], ..good.clone() }, &[3], None, 7, "ok");
    check(&Manifest { requires: vec!["delta".into()], ..good }, &[3], None, 7, "too_new");
}

#[test]
fn what_was_seen_survives_the_disk() {
    let (_, trust) = anchored().pointer(&sealed(Kind::Pointer, &pointer(5), &[4]), NOW).unwrap();
    assert_eq!(Trust::from_bytes(&trust.to_bytes()), Some(trust.clone()));
    assert_eq!(Trust::from_bytes(&trust.to_bytes()[1..]), None);
}

/// What a channel may show next.
#[derive(Clone, Debug)]
enum Shown {
    Pointer { sequence: u64, content: u64, key: u8, expires_in: i64 },
    Root { version: u64, keys: Vec<u8>, pointer_key: u8 },
}

fn shown() -> impl Strategy<Value = Shown> {
    prop_oneof![
        4 => (1_u64..6, 0_u64..3, 3_u8..8, -2_i64..20).prop_map(|(sequence, content, key, expires_in)| {
            Shown::Pointer { sequence, content, key, expires_in }
        }),
        1 => (1_u64..4, prop::sample::subsequence(vec![1_u8, 2, 3], 0..=3), 4_u8..7).prop_map(
            |(version, keys, pointer_key)| Shown::Root { version, keys, pointer_key }
        ),
    ]
}

proptest! {
    /// The verifier agrees with a memory of everything: sequences only grow, one has one content, keys are those of the last root.
    #[test]
    fn any_order_of_documents_is_judged_as_by_a_perfect_memory(all in prop::collection::vec(shown(), 0..40)) {
        let mut trust = anchored();
        let (mut version, mut pointer_key) = (1, 4);
        let mut believed: Vec<(u64, u64)> = Vec::new();
        for shown in all {
            match shown {
                Shown::Pointer { sequence, content, key: signer, expires_in } => {
                    let expires_unix_s = NOW.saturating_add_signed(expires_in);
                    // The content stands in the time of issue, and the expiry with it, so that equal means equal.
                    let issued_unix_s = content * 100 + (expires_in + 2) as u64;
                    let next = Pointer { issued_unix_s, expires_unix_s, ..pointer(sequence) };
                    let expected = signer == pointer_key
                        && expires_in > 0
                        && believed.iter().all(|&(seen, what)| {
                            seen < sequence || (seen == sequence && what == issued_unix_s)
                        });
                    let result = trust.pointer(&sealed(Kind::Pointer, &next, &[signer]), NOW);
                    prop_assert_eq!(result.is_ok(), expected, "{:?}", result);
                    if let Ok((_, next)) = result {
                        trust = next;
                        believed.push((sequence, issued_unix_s));
                    }
                }
                Shown::Root { version: next, keys, pointer_key: wanted } => {
                    let expected = next == version + 1 && keys.contains(&1) && keys.contains(&2);
                    let bytes = sealed(Kind::Root, &Root { pointer: role(&[wanted], 1), ..root(next) }, &keys);
                    let result = trust.next_root(&bytes);
                    prop_assert_eq!(result.is_ok(), expected);
                    if let Ok(followed) = result {
                        trust = Trust::from_bytes(&followed.to_bytes()).unwrap();
                        version = next;
                        if wanted != pointer_key {
                            believed.clear();
                        }
                        pointer_key = wanted;
                    }
                }
            }
        }
    }

    #[test]
    fn any_bytes_with_good_signatures_are_refused_or_read(body in "\\PC*|\\{\"[a-z_]{1,9}\":[0-9\\[{]*.*") {
        let trust = anchored();
        let seal = |kind, number| seal(kind, body.as_bytes(), &[&key(number)]);
        prop_assert!(trust.pointer(&seal(Kind::Pointer, 4), NOW).is_err());
        let manifest = seal(Kind::Manifest, 3);
        let target = Target { version: 1, manifest: ContentHash::of(&manifest) };
        prop_assert!(trust.manifest(&target, &manifest).is_err());
        prop_assert!(trust.next_root(&seal(Kind::Root, 1)).is_err());
        prop_assert!(Trust::from_bytes(body.as_bytes()).is_none());
    }
}
