//! What a click costs: a shard's part (a record into a ring) and the writer's part (policy, bots, blocks, spool), per record.
//!
//! `cargo run --release -p clicks --example cost_of_a_click`

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use clicks::agents::Agents;
use clicks::policy::{AddressPolicy, DayKey, Policy, WishPolicy};
use clicks::record::RECORD_BYTES_MAX;
use clicks::spool::segment::BlockBuilder;
use clicks::spool::{Settings, Spool, WhenFull};
use clicks::{Address, Click, referrer};
use rtrb::RingBuffer;

const RECORDS: u64 = 2_000_000;
/// What the writer finds in a ring at once, more or less.
const BATCH: u64 = 2_000;

/// User agents as people have them, over and over, as in real traffic.
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::temp_dir().join(format!("cost-of-a-click-{}", std::process::id()));
    let result = measure(&directory);
    let _ = std::fs::remove_dir_all(&directory);
    result
}

fn measure(directory: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let (mut ring, mut read) = RingBuffer::<u8>::new(4 << 20);
    let mut buffer = Box::new([0; RECORD_BYTES_MAX]);
    let settings = Settings {
        directory: directory.into(),
        bytes_max: 1 << 30,
        segment_bytes: 8 << 20,
        segment_age: Duration::from_secs(600),
        when_full: WhenFull::DropOldest,
        sync_every: Duration::from_secs(3_600),
        keep_shipped: Duration::ZERO,
    };
    let (mut spool, _) = Spool::open(settings, "bench", 1)?;
    let policy = Policy {
        address: AddressPolicy::Truncate,
        by_domain: HashMap::new(),
        gpc: WishPolicy::Reduce,
        dnt: WishPolicy::Reduce,
    };
    let (mut agents, mut builder, key) = (Agents::default(), BlockBuilder::new()?, DayKey([7; 16]));
    let (mut shard, mut writer) = (Duration::ZERO, Duration::ZERO);
    let (mut ring_bytes, mut batch) = (0, Vec::new());
    for first in (0..RECORDS).step_by(BATCH as usize) {
        let codes: Vec<String> =
            (0..BATCH).map(|n| format!("c{}", (first + n).wrapping_mul(2_654_435_761) % 5_000)).collect();
        let began = Instant::now();
        for (number, code) in (first..).zip(&codes) {
            let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let click = Click {
                unix_ms: 1_700_000_000_000 + number / 100,
                generation: 7,
                status: 302,
                latency_log2_ns: 13,
                address: Address::whole(std::net::IpAddr::from((noise as u32).to_be_bytes())),
                domain: b"go.example",
                code: code.as_bytes(),
                referrer: referrer::host(black_box(b"https://news.example/some/story?id=7")),
                user_agent: AGENTS[(noise >> 62) as usize].as_bytes(),
                ..Click::default()
            };
            ring.push_entire_slice(click.encode(&mut buffer)).map_err(|_| "the ring is full")?;
        }
        shard += began.elapsed();
        let began = Instant::now();
        batch.resize(read.slots(), 0);
        ring_bytes += batch.len();
        read.pop_entire_slice(&mut batch).map_err(|_| "the ring is empty")?;
        for mut click in clicks::record::all(&batch) {
            let agent = agents.class(click.user_agent);
            (click.bot, click.device) = (agent.bot, agent.device);
            policy.apply(&mut click, &key);
            let record = click.encode(&mut buffer);
            if !builder.push(record, click.unix_ms, 1) {
                spool.append(&mut builder, click.unix_ms, Instant::now())?;
                builder.push(record, click.unix_ms, 1);
            }
        }
        writer += began.elapsed();
    }
    spool.append(&mut builder, 0, Instant::now())?;
    spool.close()?;
    let per_record = |spent: Duration| spent.as_nanos() as f64 / RECORDS as f64;
    println!("a shard's part:   {:.0} ns per click, without the clock", per_record(shard));
    println!(
        "the writer's:     {:.0} ns per record, {:.0} records per second and core",
        per_record(writer),
        1e9 / per_record(writer)
    );
    println!("in a ring:        {:.0} bytes per record", ring_bytes as f64 / RECORDS as f64);
    println!("in the spool:     {:.1} bytes per record", spool.bytes() as f64 / RECORDS as f64);
    Ok(())
}
