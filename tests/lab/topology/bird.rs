//! A BIRD in the foreground, with a configuration and a control socket of its own.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::network::Namespace;
use crate::process::Process;
use crate::wait::{SOON, eventually};

/// BIRD answers in a millisecond; a machine under load takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// One BIRD; killed when dropped.
#[derive(Debug)]
pub struct Bird {
    /// The name of its log and socket.
    name: String,
    directory: PathBuf,
    config: PathBuf,
    process: Option<Process>,
}

impl Bird {
    /// A BIRD that does not run yet. Its configuration is `directory/name.conf`.
    pub fn new(name: &str, directory: &Path) -> Self {
        let config = directory.join(format!("{name}.conf"));
        Self { name: name.to_owned(), directory: directory.to_owned(), config, process: None }
    }

    /// Its configuration.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Its control socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join(format!("{}.ctl", self.name))
    }

    /// Whether it was started and not ended by [`Bird::kill`] or [`Bird::stop`].
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Starts it inside `space` and waits until it answers. `recovering`: as after a restart that routers wait for.
    #[track_caller]
    pub fn start(&mut self, space: &Namespace, recovering: bool) {
        let mut command = Command::new("/usr/sbin/bird");
        command.arg("-f").arg("-c").arg(&self.config).arg("-s").arg(self.socket());
        if recovering {
            command.arg("-R");
        }
        let (name, directory) = (format!("bird-{}", self.name), self.directory.clone());
        let mut process = space.within(move || Process::start(&mut command, &name, &directory));
        eventually(SOON, &format!("BIRD {} answers", self.name), || {
            if let Some(status) = process.ended() {
                panic!("BIRD {} ended while it started: {status}\n{}", self.name, process.errors());
            }
            self.try_ask("show status").map(|_| ())
        });
        self.process = Some(process);
    }

    /// Kills it, as a crash does.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Ends it in good order.
    #[track_caller]
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            process.end(SOON);
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.as_ref().expect("BIRD runs").signal(signal);
    }

    /// The reply to a command, codes and all.
    #[track_caller]
    pub fn ask(&self, command: &str) -> String {
        self.try_ask(command).unwrap_or_else(|error| panic!("BIRD {}: {command}: {error}", self.name))
    }

    /// The reply of a BIRD that may be gone.
    ///
    /// # Errors
    /// Says how the attempt ended.
    pub fn try_ask(&self, command: &str) -> Result<String, String> {
        let text = |error: std::io::Error| error.to_string();
        let mut stream = UnixStream::connect(self.socket()).map_err(text)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
        let greeting = read_reply(&mut stream)?;
        if !greeting.starts_with("0001") {
            return Err(greeting);
        }
        writeln!(stream, "{command}").map_err(text)?;
        read_reply(&mut stream)
    }

    /// How long a command took from here to the end of its reply.
    #[track_caller]
    pub fn time(&self, command: &str) -> Duration {
        let began = Instant::now();
        self.ask(command);
        began.elapsed()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::errors).unwrap_or_default()
    }
}

/// Lines until one that begins with four digits and a space.
fn read_reply(stream: &mut UnixStream) -> Result<String, String> {
    let mut reply = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let is_last =
            |line: &[u8]| line.len() > 4 && line[..4].iter().all(u8::is_ascii_digit) && line[4] == b' ';
        let ends = reply.ends_with(b"\n");
        if ends && reply[..reply.len() - 1].rsplit(|&byte| byte == b'\n').next().is_some_and(is_last) {
            return Ok(String::from_utf8_lossy(&reply).into_owned());
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Err("BIRD closed the connection".to_owned()),
            Ok(count) => reply.extend_from_slice(&buffer[..count]),
            // A socket with a receive timeout is not restarted after a signal (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}
