//! The node's own log: lifecycle and errors as lines on standard error.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::config::settings::{Log, LogFormat, LogLevel};

/// Starts the log of this process. A second call changes nothing.
pub(super) fn start(Log { format, level }: Log) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Clients of brokers tell of every connection; who looks for a mistake asks for `debug`.
    let chatter = if level < LevelFilter::DEBUG { level.min(LevelFilter::WARN) } else { level };
    let filter = EnvFilter::new(format!("{level},async_nats={chatter},rskafka={chatter}"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        // It would complain on the same standard error, and panic there: a node outlives whoever read its log.
        .log_internal_errors(false);
    // The only error is a log that runs already, as in a test that starts two nodes.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
