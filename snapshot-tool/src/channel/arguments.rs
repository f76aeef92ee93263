//! What every command about a channel is told: where it lies, whom to trust, and with which keys to sign.

use anyhow::{Context, bail, ensure};
use snapshot_channel::{PublicKey, SecretKey};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Where a channel lies and whom to trust.
#[derive(Clone, Debug, clap::Args)]
pub struct ChannelArguments {
    /// Where the channel lies: s3://BUCKET/PREFIX, https://HOST/PATH (reading only), or a directory.
    #[arg(long, short, value_name = "URL", env = "CAROM_CHANNEL")]
    pub channel: String,
    /// Directory with the keys that `snapshot-tool keygen` made: root.pub, and the secret keys that the command signs with.
    #[arg(long, value_name = "DIR", env = "CAROM_CHANNEL_KEYS")]
    pub keys: Option<PathBuf>,
    /// A public root key to trust, instead of root.pub in the directory of keys.
    #[arg(long, value_name = "KEY", env = "CAROM_CHANNEL_TRUST", value_delimiter = ',')]
    pub trust: Vec<PublicKey>,
}

/// What is written down about an act.
#[derive(Clone, Debug, clap::Args)]
pub struct ActArguments {
    /// For so long nodes believe the pointer; renew or act before.
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = parse_span)]
    pub lifetime: Duration,
    /// What to note in the log.
    #[arg(long, short = 'm', value_name = "TEXT")]
    pub note: Option<String>,
}

impl ChannelArguments {
    /// The keys that roots are anchored in.
    ///
    /// # Errors
    /// There are none.
    pub fn anchors(&self) -> anyhow::Result<Vec<PublicKey>> {
        if !self.trust.is_empty() {
            return Ok(self.trust.clone());
        }
        let Some(keys) = &self.keys else {
            bail!("whom to trust? name the directory of keys with --keys, or a public root key with --trust");
        };
        read_public(&keys.join("root.pub"))
    }

    /// The secret key of a role.
    ///
    /// # Errors
    /// It is not there, or others can read it.
    pub fn secret(&self, role: &str) -> anyhow::Result<SecretKey> {
        let Some(keys) = &self.keys else {
            bail!("this command signs: name the directory of keys with --keys");
        };
        Ok(SecretKey::read_file(&keys.join(format!("{role}.key")))?)
    }
}

/// Public keys of a file, one per line.
pub fn read_public(path: &Path) -> anyhow::Result<Vec<PublicKey>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let keys: Result<Vec<PublicKey>, _> = lines.map(str::parse).collect();
    let keys = keys.with_context(|| path.display().to_string())?;
    ensure!(!keys.is_empty(), "{}: no key in it", path.display());
    Ok(keys)
}

/// A span as people write it: 90s, 15m, 12h, 7d.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let unit = text.chars().last().unwrap_or(' ');
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(format!("{text:?} is no span: write 90s, 15m, 12h or 7d")),
    };
    let number: Option<u64> = text[..text.len() - 1].parse().ok();
    let seconds = number.and_then(|number| number.checked_mul(seconds)).filter(|&seconds| seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(|| format!("{text:?} is no span: write 90s, 15m, 12h or 7d"))
}

/// Seconds since 1970.
pub fn now_unix_s() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

/// Who acts, as the machine knows them.
pub fn who() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| env::var(name).ok());
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}@{}", user.as_deref().unwrap_or("unknown"), host.trim())
}

/// The program, as records and manifests name it.
pub fn tool() -> String {
    format!("snapshot-tool {}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_with_their_unit() {
        let check = |text, seconds: Option<u64>| {
            assert_eq!(parse_span(text).ok(), seconds.map(Duration::from_secs), "{text}");
        };
        check("90s", Some(90));
        check("15m", Some(900));
        check("7d", Some(604_800));
        check("7", None);
        check("d", None);
        check("0s", None);
        check("", None);
        check("-1h", None);
        check("1µ", None);
        check("18446744073709551615d", None);
    }
}
