//! Every server answers rightly before it is measured, and shows how many bytes its answer has.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::bench::links::Links;
use crate::bench::reply::{NoReply, Reply, request};
use crate::bench::rows::Random;

/// Links asked for, of all.
const LINKS_ASKED: u64 = 2_000;

/// A server that says nothing for so long is broken.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks for many links over one connection, and describes the shape of an answer.
pub(super) fn check(address: SocketAddr, links: &Links) -> Result<String> {
    let mut stream = TcpStream::connect(address).context("cannot connect")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut random = Random::new(7);
    let (mut code, mut destination, mut reply) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..LINKS_ASKED {
        let n = random.below(links.links());
        code.clear();
        links.push_code(n, &mut code);
        links.destination(n, &mut destination);
        let code = String::from_utf8_lossy(&code);
        stream.write_all(request(&code, false).as_bytes())?;
        read_reply(&mut stream, &mut reply)?;
        let Ok(found) = Reply::parse(&reply) else { bail!("/{code} is answered by no reply") };
        ensure!(found.status == 302 && !found.closing, "/{code} is answered by {found:?}");
        ensure!(found.location == Some(&destination[..]), "/{code} is answered by {found:?}");
    }
    Ok(shape(&reply, destination.len()))
}

/// Reads until there is one whole reply.
fn read_reply(stream: &mut TcpStream, reply: &mut Vec<u8>) -> Result<()> {
    reply.clear();
    let mut buffer = [0; 4096];
    loop {
        let bytes = stream.read(&mut buffer).context("no reply")?;
        ensure!(bytes > 0, "the connection was closed");
        reply.extend_from_slice(&buffer[..bytes]);
        match Reply::parse(reply) {
            Ok(found) => {
                ensure!(found.bytes == reply.len(), "more bytes than one reply");
                return Ok(());
            }
            Err(NoReply::Incomplete) => {}
            Err(NoReply::Malformed) => bail!("no reply: {:?}", String::from_utf8_lossy(reply)),
        }
    }
}

/// Bytes beside the destination, and names of fields, of which some servers cannot leave all out.
fn shape(reply: &[u8], destination_bytes: usize) -> String {
    let text = String::from_utf8_lossy(reply);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let names: Vec<&str> = head.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect();
    format!(
        "a reply has {} bytes and the destination: {}; a body of {} bytes",
        reply.len() - destination_bytes,
        names.join(", "),
        body.len()
    )
}
