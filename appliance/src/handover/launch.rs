//! How a successor is started: by the node itself, from the file that it was started from, with the same arguments.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Child, Command};

use crate::limits::UPGRADE_ANSWER;

use super::socket_path;
use super::wire::{Line, Message, PROTOCOL};

/// The flag by which a process takes over from the one that serves.
pub const TAKE_OVER: &str = "--take-over";

/// The command line of this process, for its successor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    program: OsString,
    arguments: Vec<OsString>,
}

impl CommandLine {
    /// That of this process. A path with a symbolic link stays one, so that the link may point to another version by then.
    pub fn of_this_process() -> Self {
        Self::of(std::env::args_os())
    }

    fn of(mut arguments: impl Iterator<Item = OsString>) -> Self {
        let program = arguments.next().unwrap_or_else(|| "carom".into());
        let mut arguments: Vec<OsString> = arguments.collect();
        if !arguments.iter().any(|argument| argument == TAKE_OVER) {
            arguments.push(TAKE_OVER.into());
        }
        Self { program, arguments }
    }

    /// Starts it. It inherits environment, limits and capabilities.
    ///
    /// # Errors
    ///
    /// The program is not there or cannot be run.
    pub fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        // What the service manager gave to this process comes to the successor by the hand-over.
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
            command.env_remove(name);
        }
        command.args(&self.arguments).spawn().map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot start {}: {error}", Path::new(&self.program).display()),
            )
        })
    }
}

/// How an upgrade went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgraded {
    /// The successor serves, under this process id.
    Serves(u32),
    /// The old process serves on, for this reason.
    Failed(String),
}

/// Asks the node with this state directory to start its successor, and waits for what becomes of it.
///
/// # Errors
///
/// There is no node to ask, or it does not answer.
pub fn upgrade(state_dir: &Path) -> io::Result<Upgraded> {
    let path = socket_path(state_dir);
    let line = Line::connect(&path).map_err(|error| {
        let text = format!(
            "no node answers on {}: {error}; is one running with this node.state_dir?",
            path.display()
        );
        io::Error::new(error.kind(), text)
    })?;
    line.patience(Some(UPGRADE_ANSWER))?;
    line.say(&Message::Upgrade { protocol: PROTOCOL })?;
    loop {
        match line.hear()? {
            Some(Message::Starting { .. }) => {}
            Some(Message::Upgraded { pid }) => return Ok(Upgraded::Serves(pid)),
            Some(Message::Failed { reason } | Message::Withdrawn { reason }) => {
                return Ok(Upgraded::Failed(reason));
            }
            Some(other) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the node says {other:?}")));
            }
            None => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the node ended without an answer"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_gets_the_same_arguments_and_the_flag_once() {
        let arguments = |words: &[&str]| CommandLine::of(words.iter().map(OsString::from));
        let first = arguments(&["/usr/bin/carom", "serve", "--config", "x"]);
        assert_eq!(first.program, "/usr/bin/carom");
        assert_eq!(first.arguments, ["serve", "--config", "x", TAKE_OVER]);
        assert_eq!(arguments(&["/usr/bin/carom", "serve", "--config", "x", TAKE_OVER]), first);
    }

    #[test]
    fn a_program_that_is_gone_is_named() {
        let error =
            CommandLine { program: "/nonexistent/carom".into(), arguments: Vec::new() }.start().unwrap_err();
        assert!(error.to_string().contains("/nonexistent/carom"), "{error}");
    }

    #[test]
    fn without_a_node_the_command_says_where_it_looked() {
        let directory = tempfile::tempdir().unwrap();
        let error = upgrade(directory.path()).unwrap_err().to_string();
        assert!(error.contains("handover.sock") && error.contains("node.state_dir"), "{error}");
    }
}
