//! A receiver of clicks that counts what it takes: each block once by its id, and how many rows are really in it.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::{Context, Result};

/// What has come: rows by the id of their block, and blocks that came again.
#[derive(Debug, Default)]
pub(super) struct Taken {
    blocks: HashMap<String, u64>,
    pub(super) repeated: u64,
}

impl Taken {
    /// Rows, each counted once.
    pub(super) fn rows(&self) -> u64 {
        self.blocks.values().sum()
    }
}

/// Takes POSTs on `address` until the program ends.
pub(super) fn start(address: SocketAddr) -> Result<Arc<Mutex<Taken>>> {
    let listener = TcpListener::bind(address).context("cannot listen for clicks")?;
    let taken = Arc::new(Mutex::new(Taken::default()));
    let shared = Arc::clone(&taken);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let taken = Arc::clone(&shared);
            // A connection that breaks is the node's to notice.
            thread::spawn(move || take(&stream, &taken));
        }
    });
    Ok(taken)
}

/// One connection, one POST after the other.
fn take(stream: &TcpStream, taken: &Mutex<Taken>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut id, mut length, mut line) = (String::new(), 0, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.split_once(':') else {
                if line == "\r\n" {
                    break;
                }
                continue;
            };
            match name.to_ascii_lowercase().as_str() {
                "carom-block" => value.trim().clone_into(&mut id),
                "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let rows = body.iter().filter(|&&byte| byte == b'\n').count() as u64;
        {
            let mut taken = taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let came_before = taken.blocks.insert(id, rows).is_some();
            taken.repeated += u64::from(came_before);
        }
        let mut stream = stream;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}
