//! Receivers of clicks that a case starts: a real NATS server with JetStream, and the Kafka protocol by librdkafka's own broker.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;

use crate::here;
use crate::process::Process;
use crate::wait::{SOON, eventually, throughout};

/// Subject and topic of every case.
pub const SUBJECT: &str = "carom.clicks";

/// A free port of the loopback interface.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Finds a program that a Debian package brings; says that the case did not run if there is none.
pub fn program(name: &str, package: &str) -> Option<PathBuf> {
    let found = ["/usr/sbin", "/usr/bin", "/usr/local/bin"]
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists());
    if found.is_none() {
        here::not_run(&format!("no {name}: apt-get install {package}"));
    }
    found
}

/// A NATS server with one stream that takes [`SUBJECT`]. What it has taken survives its restarts.
pub struct Nats {
    program: PathBuf,
    process: Option<Process>,
    directory: PathBuf,
    port: u16,
}

impl Nats {
    /// Starts a server that keeps its files in `directory`; `None` where there is none to start.
    pub fn start(directory: &Path) -> Option<Self> {
        let program = program("nats-server", "nats-server")?;
        let mut nats = Self { program, process: None, directory: directory.join("nats"), port: free_port() };
        fs::create_dir_all(&nats.directory).unwrap();
        nats.begin();
        nats.add_stream();
        Some(nats)
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts the server again after [`Nats::kill`].
    pub fn begin(&mut self) {
        let mut command = Command::new(&self.program);
        command
            .args(["-js", "-a", "127.0.0.1", "-p", &self.port.to_string(), "-sd"])
            .arg(self.directory.join("store"));
        self.process = Some(Process::start(&mut command, "nats-server", &self.directory));
        eventually(SOON, "the NATS server answers", || self.talk("PING\r\n", "PONG").is_ok());
    }

    /// Ends the server at once.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::KILL);
            process.end(SOON);
        }
    }

    /// Stops the server where it stands: connections stay open and nothing is answered.
    pub fn freeze(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::CONT);
    }

    fn add_stream(&self) {
        let config = config(-1);
        eventually(SOON, "the stream is made", || self.request("$JS.API.STREAM.CREATE.CLICKS", &config));
    }

    /// The stream takes no message above so many bytes from now on; -1: any.
    pub fn limit_messages(&self, bytes_max: i32) {
        let config = config(bytes_max);
        eventually(SOON, "the stream is changed", || self.request("$JS.API.STREAM.UPDATE.CLICKS", &config));
    }

    /// Every message of the stream: its headers and its text.
    pub fn messages(&self) -> Vec<(String, String)> {
        let info: serde_json::Value =
            serde_json::from_str(&self.request("$JS.API.STREAM.INFO.CLICKS", "").unwrap()).unwrap();
        let last = info["state"]["last_seq"].as_u64().unwrap();
        (1..=last)
            .map(|number| {
                let answer =
                    self.request("$JS.API.STREAM.MSG.GET.CLICKS", &format!("{{\"seq\":{number}}}")).unwrap();
                let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
                let part = |name: &str| decoded(answer["message"][name].as_str().unwrap_or_default());
                (part("hdrs"), part("data"))
            })
            .collect()
    }

    /// Every row of every message.
    pub fn rows(&self) -> Vec<serde_json::Value> {
        self.messages().iter().flat_map(|(_, text)| rows(text)).collect()
    }

    /// Asks on `subject` and returns the answer.
    fn request(&self, subject: &str, body: &str) -> Result<String, String> {
        let ask = format!("SUB inbox.lab 1\r\nPUB {subject} inbox.lab {}\r\n{body}\r\n", body.len());
        let text = self.talk(&ask, "MSG inbox.lab")?;
        let at = text.find("MSG inbox.lab").expect("talk waits for it");
        let (head, rest) = text[at..].split_once("\r\n").ok_or("no head")?;
        let bytes: usize =
            head.rsplit(' ').next().unwrap_or_default().parse().map_err(|_| head.to_owned())?;
        let answer = rest.get(..bytes).ok_or("cut")?.to_owned();
        if answer.contains("\"error\"") { Err(answer) } else { Ok(answer) }
    }

    /// Sends `text` on a new connection, and reads until a whole line or message with `until` has come.
    fn talk(&self, text: &str, until: &str) -> Result<String, String> {
        let said = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).map_err(said)?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(said)?;
        stream.write_all(format!("CONNECT {{\"verbose\":false}}\r\n{text}").as_bytes()).map_err(said)?;
        let mut received = Vec::new();
        let mut buffer = vec![0; 65_536];
        loop {
            let bytes = match stream.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.map_err(said)?,
            };
            if bytes == 0 {
                return Err(format!("closed after {}", String::from_utf8_lossy(&received)));
            }
            received.extend_from_slice(&buffer[..bytes]);
            let text = String::from_utf8_lossy(&received);
            if let Some(at) = text.find(until)
                && let Some((head, rest)) = text[at..].split_once("\r\n")
            {
                let wanted =
                    head.rsplit(' ').next().and_then(|bytes| bytes.parse::<usize>().ok()).unwrap_or(0);
                if rest.len() >= wanted {
                    return Ok(text.into_owned());
                }
            }
        }
    }
}

/// The stream's configuration.
fn config(message_bytes_max: i32) -> String {
    format!(
        r#"{{"name":"CLICKS","subjects":["{SUBJECT}"],"storage":"file","retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_msg_size":{message_bytes_max},"max_age":0,"num_replicas":1,"discard":"old","duplicate_window":600000000000}}"#
    )
}

/// JSON lines.
pub fn rows(text: &str) -> Vec<serde_json::Value> {
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect()
}

/// Base64 (RFC 4648), as JetStream's API writes messages.
fn decoded(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for digit in text.bytes().filter(|&byte| byte != b'=') {
        let value = DIGITS.iter().position(|&known| known == digit).expect("base64");
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    String::from_utf8(bytes).expect("headers and rows are UTF-8")
}

/// A consumer with a broker inside: librdkafka's mock cluster, which speaks the Kafka protocol on a port of loopback. What
/// the consumer prints is what a client of another maker got.
pub struct Kafka {
    process: Process,
    directory: PathBuf,
    /// `127.0.0.1:port`
    pub address: String,
}

impl Kafka {
    /// Starts it; `None` where there is none to start.
    pub fn start(directory: &Path) -> Option<Self> {
        let program = program("kcat", "kcat")?;
        let directory = directory.join("kafka");
        fs::create_dir_all(&directory).unwrap();
        let mut command = Command::new(program);
        command.args([
            "-b",
            "mock:1",
            "-X",
            "test.mock.num.brokers=1",
            "-d",
            "mock",
            "-u",
            "-C",
            "-t",
            SUBJECT,
        ]);
        command.args(["-f", "%k %s\n"]);
        let mut process = Process::start(&mut command, "kcat", &directory);
        let address = eventually(SOON, "the broker names its port", || {
            assert!(process.ended().is_none(), "{}", process.errors());
            let errors = process.errors();
            let (_, rest) = errors.split_once("bootstrap.servers=")?;
            Some(rest.lines().next()?.trim().to_owned())
        });
        Some(Self { process, directory, address })
    }

    /// The messages that the consumer got: keys and rows.
    pub fn messages(&self) -> Vec<(String, serde_json::Value)> {
        let text = fs::read_to_string(self.directory.join("kcat.stdout")).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(key, row)| (key.to_owned(), serde_json::from_str(row).expect("a row")))
            .collect()
    }

    /// Stops the broker where it stands.
    pub fn freeze(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.process.signal(Signal::CONT);
    }
}

/// An HTTP receiver that says what it is told to say.
pub struct Collector {
    /// Where it listens.
    pub address: SocketAddr,
    taken: Arc<Mutex<Vec<(String, String)>>>,
    status: Arc<Mutex<u16>>,
    slow_ms: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// Starts it; it answers 200.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (taken, status) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(200)));
        let slow_ms = Arc::new(AtomicU64::new(0));
        let slow = Arc::clone(&slow_ms);
        let stop = Arc::new(AtomicBool::new(false));
        let (took, says, stopped) = (Arc::clone(&taken), Arc::clone(&status), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(stream) = stream {
                    let _ = collect(stream, &took, &says, &slow);
                }
            }
        });
        Self { address, taken, status, slow_ms, stop, thread: Some(thread) }
    }

    /// What it answers from now on.
    pub fn say(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    /// How long it takes from now on, after it has taken a block, until it says so.
    pub fn take_time(&self, milliseconds: u64) {
        self.slow_ms.store(milliseconds, Ordering::Relaxed);
    }

    /// Every request that was answered with 200: its target with its head, and its body.
    pub fn taken(&self) -> Vec<(String, String)> {
        self.taken.lock().unwrap().clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One connection, one request.
fn collect(
    mut stream: TcpStream,
    taken: &Mutex<Vec<(String, String)>>,
    status: &Mutex<u16>,
    slow_ms: &AtomicU64,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let (mut received, mut buffer) = (Vec::new(), vec![0; 65_536]);
    let (head, body) = loop {
        let bytes = match stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        if bytes == 0 {
            return Ok(());
        }
        received.extend_from_slice(&buffer[..bytes]);
        let text = String::from_utf8_lossy(&received);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase().strip_prefix("content-length:").map(|value| value.trim().parse())
            });
            let Some(Ok(length)) = length else { break (head.to_owned(), String::new()) };
            if body.len() >= length {
                break (head.to_owned(), body.to_owned());
            }
        }
    };
    let says = *status.lock().unwrap();
    if says == 200 {
        taken.lock().unwrap().push((head, body));
    }
    throughout(Duration::from_millis(slow_ms.load(Ordering::Relaxed)), || {});
    stream
        .write_all(format!("HTTP/1.1 {says} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
}
