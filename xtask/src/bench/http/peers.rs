//! The servers: how each is told the same links, with answers as equal as it can give them.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::SERVER_CPU;
use crate::bench::links::{HOST, Links};
use crate::bench::node;
use crate::bench::process::Process;
use crate::bench::report::Report;

pub(super) const CAROM: &str = "carom";
pub(super) const NGINX: &str = "nginx, map and return";
pub(super) const HAPROXY: &str = "HAProxy, map file";

/// A server that is up.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    /// Where it understands HTTP/2 in clear text.
    pub(super) http2: SocketAddr,
    pub(super) process: Process,
}

/// Where the servers find what they need.
pub(super) struct Programs<'d> {
    pub(super) directory: &'d Path,
    pub(super) carom: &'d Path,
}

impl Programs<'_> {
    /// Starts every server that is installed; what is not is noted.
    pub(super) fn start(&self, links: &Links, report: &mut Report) -> Result<Vec<Peer>> {
        let snapshot = self.directory.join("links.snapshot");
        links.write_snapshot(&snapshot, 1)?;
        let (process, address) =
            node::start(self.carom, self.directory, &snapshot, SERVER_CPU).context("cannot start carom")?;
        let mut peers = vec![Peer { name: CAROM, address, http2: address, process }];
        let rows = rows(links)?;
        for (name, program, prepare) in [
            (NGINX, "nginx", nginx as fn(&Path, &Rows, Ports) -> Result<Command>),
            (HAPROXY, "haproxy", haproxy),
        ] {
            let Some(version) = version(program) else {
                report.note(format!("{name}: left out, {program} is not installed"));
                continue;
            };
            report.note(format!("{name}: {version}"));
            let ports = Ports { http1: free_port()?, http2: free_port()? };
            let [address, http2] =
                [ports.http1, ports.http2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
            let command = prepare(self.directory, &rows, ports)?;
            let said = self.directory.join(format!("{program}.log"));
            let mut process = Process::start(&command, SERVER_CPU, &said)?;
            process
                .wait_until(|| TcpStream::connect(address).is_ok())
                .with_context(|| format!("cannot start {program}"))?;
            peers.push(Peer { name, address, http2, process });
        }
        Ok(peers)
    }
}

/// The ports of a peer, because none of them tells the versions apart by the first bytes.
#[derive(Clone, Copy)]
struct Ports {
    http1: u16,
    http2: u16,
}

/// Codes and destinations.
type Rows = Vec<(String, String)>;

fn nginx(directory: &Path, rows: &Rows, ports: Ports) -> Result<Command> {
    let mut map = String::new();
    for (code, destination) in rows {
        ensure!(!destination.contains(['"', '$', '\\']), "{destination:?} cannot be said in nginx's map");
        writeln!(map, "\"{HOST}/{code}\" \"{destination}\";")?;
    }
    write(directory, "nginx.map", &map)?;
    // The hash is sized so that nearly every bucket is one cache line, with room for the longest code.
    let configuration = format!(
        "daemon off;\nworker_processes 1;\npid {directory}/nginx.pid;\nerror_log {directory}/nginx.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  server_tokens off;\n  keepalive_requests 1000000000;\n\
         \x20 client_body_temp_path {directory};\n  proxy_temp_path {directory};\n  fastcgi_temp_path {directory};\n\
         \x20 uwsgi_temp_path {directory};\n  scgi_temp_path {directory};\n\
         \x20 map_hash_max_size 262144;\n  map_hash_bucket_size 256;\n\
         \x20 map $host$uri $destination {{ include {directory}/nginx.map; }}\n\
         \x20 server {{\n    listen 127.0.0.1:{http1} backlog=4096;\n\
         \x20   listen 127.0.0.1:{http2} http2 backlog=4096;\n    server_name {HOST};\n\
         \x20   add_header Cache-Control \"private, max-age=90\" always;\n\
         \x20   location / {{\n      if ($destination = '') {{ return 404; }}\n      return 302 $destination;\n    }}\n\
         \x20 }}\n}}\n",
        directory = directory.display(),
        http1 = ports.http1,
        http2 = ports.http2,
    );
    let mut command = Command::new("nginx");
    command.arg("-e").arg(directory.join("nginx.log")).arg("-c").arg(write(
        directory,
        "nginx.conf",
        &configuration,
    )?);
    Ok(command)
}

fn haproxy(directory: &Path, rows: &Rows, ports: Ports) -> Result<Command> {
    let mut map = String::new();
    for (code, destination) in rows {
        writeln!(map, "{HOST}/{code} {destination}")?;
    }
    let map = write(directory, "haproxy.map", &map)?;
    let configuration = format!(
        "global\n  nbthread 1\n  maxconn 4096\n\
         defaults\n  mode http\n  timeout client 60s\n  timeout connect 5s\n  timeout server 60s\n\
         frontend redirect\n  bind 127.0.0.1:{http1} backlog 4096\n\
         \x20 bind 127.0.0.1:{http2} backlog 4096 proto h2\n\
         \x20 http-request redirect code 302 location %[base,map_str({map})] ignore-empty\n\
         \x20 http-request return status 404\n\
         \x20 http-after-response set-header Date %[date,http_date]\n\
         \x20 http-after-response set-header Cache-Control \"private, max-age=90\"\n",
        map = map.display(),
        http1 = ports.http1,
        http2 = ports.http2,
    );
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(write(directory, "haproxy.cfg", &configuration)?);
    Ok(command)
}

fn rows(links: &Links) -> Result<Rows> {
    let mut rows = Vec::new();
    for n in 0..links.links() {
        let (mut code, mut destination) = (Vec::new(), Vec::new());
        links.push_code(n, &mut code);
        links.destination(n, &mut destination);
        rows.push((String::from_utf8(code)?, String::from_utf8(destination)?));
    }
    Ok(rows)
}

fn write(directory: &Path, name: &str, text: &str) -> Result<std::path::PathBuf> {
    let path = directory.join(name);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// What the program calls itself; `None` if it is not there.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("-v").output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
}

/// A port that was free just now; the peers, unlike carom, cannot choose one themselves.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
