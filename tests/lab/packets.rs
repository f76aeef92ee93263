//! Frames put onto a cable as they are: what no honest socket would send.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use crate::network::Namespace;

/// Sends what it reads, one frame per line in hexadecimal, for so many rounds, over a packet socket.
const SENDER: &str = r#"
import socket, sys, time
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((sys.argv[1], 0))
rounds, pause_s = int(sys.argv[2]), float(sys.argv[3])
frames = [bytes.fromhex(line) for line in sys.stdin if line.strip()]
for _ in range(rounds):
    for frame in frames:
        while True:
            try:
                wire.send(frame)
                break
            except OSError:  # the queue of the cable is full
                time.sleep(0.001)
    time.sleep(pause_s)
"#;

/// Rounds that any case may ask for: traffic is bounded in count whatever happens.
const ROUNDS_MAX: u32 = 10_000;

/// Frames that are still being sent; the sender is ended when this is dropped.
#[derive(Debug)]
pub struct Volley(Child);

impl Namespace {
    /// Sends each frame once over `interface`, and waits until that is done.
    #[track_caller]
    pub fn inject(&self, interface: &str, frames: &[Vec<u8>]) {
        self.volley(interface, frames, 1, 0.0).finish();
    }

    /// Goes on sending the frames for so many rounds, with a pause after each.
    #[track_caller]
    pub fn volley(&self, interface: &str, frames: &[Vec<u8>], rounds: u32, pause_s: f64) -> Volley {
        assert!(rounds <= ROUNDS_MAX, "{rounds} rounds are too many");
        let mut lines = String::new();
        for frame in frames {
            for byte in frame {
                write!(lines, "{byte:02x}").expect("a string takes everything");
            }
            lines.push('\n');
        }
        let (rounds, pause) = (rounds.to_string(), pause_s.to_string());
        let mut child = self.within(|| {
            Command::new("python3")
                .args(["-c", SENDER, interface, &rounds, &pause])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap_or_else(|error| panic!("cannot start python3: {error}"))
        });
        child.stdin.take().expect("it was piped").write_all(lines.as_bytes()).unwrap();
        Volley(child)
    }
}

impl Volley {
    /// Waits until everything is sent.
    #[track_caller]
    pub fn finish(mut self) {
        let status = self.0.wait().unwrap();
        assert!(status.success(), "the sender of frames ended with {status}");
    }

    /// Whether it still sends.
    pub fn goes_on(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Volley {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
