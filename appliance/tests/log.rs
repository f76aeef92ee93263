//! The node's own log goes to standard error, which may be gone.

use std::fs;
use std::process::{Command, Stdio};

#[test]
fn a_log_that_nobody_reads_any_more_does_not_change_how_a_node_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (state, configuration) = (directory.path().join("state"), directory.path().join("carom.toml"));
    // A copy that is none is worth a line of the log; without any snapshot the start fails with another one.
    fs::create_dir_all(state.join("snapshots")).unwrap();
    fs::write(state.join("snapshots/5-0123456789abcdef.snapshot"), "no snapshot").unwrap();
    let text = format!(
        "version = 1\n[node]\nstate_dir = {state:?}\n[listen]\nhttp = [\"127.0.0.1:0\"]\nshards = 1\n\
         [snapshot]\npath = {:?}\n[admin]\nlisten = \"127.0.0.1:0\"\n",
        directory.path().join("links.snapshot")
    );
    fs::write(&configuration, text).unwrap();
    let mut node = Command::new(env!("CARGO_BIN_EXE_carom"))
        .args(["serve", "--config"])
        .arg(&configuration)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(node.stderr.take());
    assert_eq!(node.wait().unwrap().code(), Some(1));
}
