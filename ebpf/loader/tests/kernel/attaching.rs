//! Attaching in network namespaces of their own: native first, adopted by a successor, strangers left alone.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ebpf_loader::{AttachError, XdpPath};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::lab;

/// Runs a test in a thread that lives in a network namespace of its own, with a pair of veths `near` and `far`.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let outcome = thread::spawn(move || {
        // SAFETY: only the network namespace of this thread changes; the descriptor table stays shared.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
        ip("link add near type veth peer name far");
        ip("link set near up");
        ip("link set far up");
        test();
    })
    .join();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What `ip` says about the interface: `xdp` for native, `xdpgeneric` for generic.
fn shown(interface: &str) -> String {
    ip(&format!("link show dev {interface}"))
}

#[test]
fn a_link_outlives_its_process_and_is_adopted_by_the_next_without_a_gap() {
    let Some((mut guard, bpffs)) = lab::guard("adopting") else { return };
    in_namespace(move || {
        guard.tables_mut().apply(&lab::settings()).unwrap();
        guard.self_test().unwrap();
        let attached = guard.attach("near", false).unwrap();
        assert_eq!(attached.path, Some(XdpPath::Native));
        let first = guard.facts().unwrap().id;
        drop(guard);
        assert!(shown("near").contains(&format!("prog/xdp id {first}")), "{}", shown("near"));
        let mut next = lab::successor(&bpffs);
        assert_eq!(
            next.tables().policy().unwrap().unwrap().admin_ports[0],
            2222,
            "the policy is found again"
        );
        assert_eq!(next.attach("near", false).unwrap().path, None);
        let second = next.facts().unwrap().id;
        assert!(
            second != first && shown("near").contains(&format!("prog/xdp id {second}")),
            "{}",
            shown("near")
        );
        assert!(next.detach("near").unwrap() && !next.detach("near").unwrap());
        // The kernel lets go of a link some time after its last user.
        let deadline = Instant::now() + Duration::from_secs(10);
        while shown("near").contains("prog/xdp") {
            assert!(Instant::now() < deadline, "{}", shown("near"));
            thread::yield_now();
        }
    });
}

#[test]
fn a_stale_link_of_an_interface_that_is_gone_is_replaced() {
    let Some((mut guard, bpffs)) = lab::guard("stale link") else { return };
    in_namespace(move || {
        guard.attach("near", false).unwrap();
        ip("link del near");
        ip("link add near type veth peer name far");
        let mut next = lab::successor(&bpffs);
        assert_eq!(next.attach("near", false).unwrap().path, Some(XdpPath::Native));
        assert!(shown("near").contains("prog/xdp"));
    });
}

#[test]
fn a_stranger_is_named_and_never_evicted() {
    let Some((mut stranger, _its)) = lab::guard("stranger") else { return };
    let Some((mut guard, _ours)) = lab::guard("stranger") else { return };
    in_namespace(move || {
        stranger.attach("near", false).unwrap();
        let before = shown("near");
        let error = guard.attach("near", true).unwrap_err();
        assert!(matches!(error, AttachError::Occupied { .. }), "{error}");
        assert!(error.to_string().contains("ip link set dev near xdp off"), "{error}");
        assert_eq!(shown("near"), before);
    });
}

#[test]
fn a_refusing_driver_is_explained_and_generic_is_used_only_if_allowed() {
    let Some((mut guard, _bpffs)) = lab::guard("generic") else { return };
    in_namespace(move || {
        ip("link set near mtu 9000");
        ip("link set far mtu 9000");
        let error = guard.attach("near", false).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, AttachError::Refused { .. }), "{text}");
        assert!(text.contains("the MTU is 9000") && text.contains("generic mode is not allowed"), "{text}");
        assert_eq!(guard.attach("near", true).unwrap().path, Some(XdpPath::Generic));
        assert!(shown("near").contains("xdpgeneric"), "{}", shown("near"));
        assert!(matches!(guard.attach("nothere", true).unwrap_err(), AttachError::NoInterface(_)));
    });
}
