//! Whatever comes out of a channel is refused or understood without panic, also when it is signed by the right keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use snapshot_channel::document::{Document, Kind, seal};
use snapshot_channel::pointer::{Target, Wave};
use snapshot_channel::record::Chain;
use snapshot_channel::root::{Role, Root};
use snapshot_channel::{ContentHash, DenyList, DenySet, SecretKey, Trust};
use snapshot_format::{CaseMode, TrailingSlash};

fuzz_target!(|bytes: &[u8]| {
    let key = SecretKey::from_seed(&[7; 32]);
    let public = [key.public()];
    let role = Role::of(key.public());
    let root = Root {
        channel: "links".into(),
        version: 1,
        expires_unix_s: u64::MAX,
        root: role.clone(),
        content: role.clone(),
        pointer: role.clone(),
        deny: role,
        requires: Vec::new(),
    };
    let root = serde_json::to_vec(&root).unwrap();
    let trust = Trust::anchor(&public, 1, &seal(Kind::Root, &root, &[&key])).unwrap();
    for kind in Kind::ALL {
        // What nobody has signed is never believed.
        if let Ok(document) = Document::parse(kind, bytes) {
            assert!(document.body_signed_by(&public, 1).is_err());
        }
    }
    let _ = Trust::from_bytes(bytes);
    let signed = |kind| seal(kind, bytes, &[&key]);
    if let Ok((pointer, trust)) = trust.pointer(&signed(Kind::Pointer), 0) {
        assert_eq!(pointer.channel, "links");
        assert_eq!(trust.seen_pointer().map(|seen| seen.sequence), Some(pointer.sequence));
        let _ = Wave::EVERY.map(|wave| Trust::target(&pointer, wave));
    }
    let manifest = signed(Kind::Manifest);
    let target = Target { version: 1, manifest: ContentHash::of(&manifest) };
    if let Ok(manifest) = trust.manifest(&target, &manifest) {
        let _ = manifest.snapshot();
    }
    if let Ok(trust) = trust.next_root(&signed(Kind::Root)) {
        assert_eq!(trust.root().version, 2);
    }
    let list = trust.deny(&signed(Kind::Deny), |body| {
        let list = DenyList::parse(body, "links")?;
        Ok((list.sequence, list))
    });
    if let Ok((list, _)) = list {
        // Every rule survives its text, and the table can be asked anything.
        assert_eq!(DenyList::parse(&list.to_body(), "links").as_ref(), Ok(&list));
        let set = DenySet::new(&list);
        let _ = set.of_link(b"go.example", bytes, CaseMode::Insensitive, TrailingSlash::Ignore);
        let _ = set.of_destination(bytes);
    }
    let _ = Chain::default().follow(&signed(Kind::Record), "links", &public);
});
