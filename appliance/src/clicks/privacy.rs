//! The policy and today's key, shared by the writers of clicks and of the access log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clicks::policy::{self, DayKey, Policy, day};
use clicks::{Address, Click};

/// What is kept of people. Never used on a shard.
pub struct Privacy {
    policy: Policy,
    keys: Mutex<DayKeys>,
}

/// What somebody asked about the use of a visit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// `Sec-GPC: 1`
    pub gpc: bool,
    /// `DNT: 1`
    pub dnt: bool,
    /// The parameter of the configuration.
    pub no_track: bool,
}

impl Privacy {
    /// The policy with the day's key in `state_dir`; an earlier start of the same day may have left it.
    pub fn new(policy: Policy, state_dir: &Path) -> Self {
        Self { policy, keys: Mutex::new(DayKeys { path: state_dir.join(KEY_FILE), today: None }) }
    }

    /// Takes from `click` what may not be kept.
    pub fn apply(&self, click: &mut Click<'_>) {
        let key = self.key(click.unix_ms);
        self.policy.apply(click, &key);
    }

    /// What may be shown of `address`, which asked `host` (as the client wrote it) for something; empty: nothing.
    pub fn shown(&self, address: IpAddr, host: &[u8], asks: Asks, unix_ms: u64) -> String {
        if self.policy.reduces(asks.gpc, asks.dnt, asks.no_track) {
            return String::new();
        }
        let mut buffer = [0; snapshot_format::HOST_BYTES_MAX];
        let host = snapshot_format::canonical_host(host, &mut buffer).unwrap_or_default();
        let key = self.key(unix_ms);
        policy::shown(policy::kept(Address::whole(address), self.policy.address_of(host), &key))
    }

    fn key(&self, unix_ms: u64) -> DayKey {
        self.keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner).of(day(unix_ms))
    }
}

/// Name of the key's file in the state directory, apart from the records.
const KEY_FILE: &str = "privacy.key";
/// Bytes of that file: the day, and the key.
const FILE_BYTES: usize = 8 + 16;

/// The key of one day. Yesterday's is overwritten, so that nobody can try addresses against old hashes.
struct DayKeys {
    path: PathBuf,
    today: Option<(u64, DayKey)>,
}

impl DayKeys {
    fn of(&mut self, day: u64) -> DayKey {
        match self.today {
            Some((of, key)) if of == day => key,
            _ => {
                let key = self.read(day).unwrap_or_else(|| self.make(day));
                self.today = Some((day, key));
                key
            }
        }
    }

    fn read(&self, day: u64) -> Option<DayKey> {
        let bytes: [u8; FILE_BYTES] = fs::read(&self.path).ok()?.try_into().ok()?;
        let (of, key) = bytes.split_first_chunk::<8>()?;
        (u64::from_le_bytes(*of) == day).then(|| DayKey(key.try_into().expect("16 bytes are left")))
    }

    fn make(&self, day: u64) -> DayKey {
        let key = random().unwrap_or_else(|error| {
            // Without the file of random numbers a keyed hash of the standard library is the next best secret.
            tracing::error!(%error, "cannot read /dev/urandom");
            let state = ahash::RandomState::new();
            (u128::from(state.hash_one(0_u8)) << 64 | u128::from(state.hash_one(1_u8))).to_le_bytes()
        });
        let written =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path).and_then(
                |mut file| {
                    file.write_all(&day.to_le_bytes())?;
                    file.write_all(&key)
                },
            );
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "the day's key cannot be kept: a restart makes another one");
        }
        DayKey(key)
    }
}

/// Random bytes from the kernel.
///
/// # Errors
///
/// /dev/urandom cannot be read.
pub fn random<const BYTES: usize>() -> io::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use clicks::policy::{AddressPolicy, WishPolicy};

    use super::*;

    fn privacy(directory: &Path, address: AddressPolicy) -> Privacy {
        let policy = Policy {
            address,
            by_domain: HashMap::from([(b"quiet.example".to_vec(), AddressPolicy::Omit)]),
            gpc: WishPolicy::Reduce,
            dnt: WishPolicy::Reduce,
        };
        Privacy::new(policy, directory)
    }

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 77));
    const DAY_MS: u64 = 86_400_000;

    #[test]
    fn a_hash_is_the_same_all_day_even_after_a_restart_and_another_one_tomorrow() {
        let directory = tempfile::tempdir().unwrap();
        let shown = |unix_ms| {
            privacy(directory.path(), AddressPolicy::Hash).shown(
                CLIENT,
                b"go.example",
                Asks::default(),
                unix_ms,
            )
        };
        let today = shown(5 * DAY_MS);
        assert_eq!(today.len(), 16);
        assert_eq!(shown(6 * DAY_MS - 1), today);
        let tomorrow = shown(6 * DAY_MS);
        assert_ne!(tomorrow, today);
        // A clock that was set back gets a new key: the old one is gone for good.
        assert_ne!(shown(5 * DAY_MS), today);
    }

    #[test]
    fn a_shown_address_follows_the_policy_of_the_host_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let privacy = privacy(directory.path(), AddressPolicy::Truncate);
        let check = |host: &[u8], asks, expected| assert_eq!(privacy.shown(CLIENT, host, asks, 0), expected);
        check(b"go.example", Asks::default(), "192.0.2.0/24");
        check(b"Quiet.EXAMPLE:8080", Asks::default(), "");
        check(b"a.quiet.example", Asks::default(), "");
        check(b"\xff", Asks::default(), "192.0.2.0/24");
        check(b"go.example", Asks { gpc: true, ..Asks::default() }, "");
    }
}
