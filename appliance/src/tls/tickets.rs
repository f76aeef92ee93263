//! Session tickets that every node of a fleet can open: keys follow from one secret and the time.
//!
//! Time is cut into epochs. The key of an epoch is derived from the secret and the epoch's number, so that nodes agree without
//! talking. Tickets are sealed with the key of the current epoch; those of the one before and the one after are opened too,
//! because clocks differ and clients come back. Older keys are forgotten: but whoever holds the secret file can derive them
//! again, so forward secrecy reaches back only to the last time the secret was replaced.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use rustls::server::ProducesTickets;

/// Bytes of the name that a ticket begins with.
const NAME_BYTES: usize = 16;
/// Bytes of an AES-256 key.
const KEY_BYTES: usize = 32;
/// Bytes that GCM adds.
const TAG_BYTES: usize = 16;
/// Bytes of a secret at least: as many as the keys have.
pub const SECRET_BYTES_MIN: usize = KEY_BYTES;

/// What keys are derived from.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// A secret of a fleet.
    ///
    /// # Errors
    ///
    /// It is shorter than [`SECRET_BYTES_MIN`].
    pub fn new(bytes: &[u8]) -> Result<Self, String> {
        let found = bytes.len();
        if found < SECRET_BYTES_MIN {
            return Err(format!(
                "the secret has {found} bytes, and needs {SECRET_BYTES_MIN} or more: write one with `head -c 48 \
                 /dev/urandom | base64`"
            ));
        }
        Ok(Self(bytes.into()))
    }

    /// A secret that nobody else has.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn own() -> Result<Self, String> {
        let mut bytes = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| "the system has no random numbers")?;
        Ok(Self(bytes.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// The key of one epoch.
struct EpochKey {
    name: [u8; NAME_BYTES],
    key: RandomizedNonceKey,
}

/// The length of derived material.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl EpochKey {
    fn derive(secret: &Secret, epoch: u64) -> Option<Self> {
        let material = Salt::new(HKDF_SHA256, b"carom session tickets 1").extract(&secret.0);
        let number = epoch.to_be_bytes();
        let mut name = [0; NAME_BYTES];
        let mut key = [0; KEY_BYTES];
        material.expand(&[b"name", &number], Length(NAME_BYTES)).ok()?.fill(&mut name).ok()?;
        material.expand(&[b"key", &number], Length(KEY_BYTES)).ok()?.fill(&mut key).ok()?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, &key).ok()?;
        Some(Self { name, key })
    }

    fn seal(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plain.to_vec();
        let nonce = self.key.seal_in_place_append_tag(Aad::from(self.name), &mut sealed).ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_LEN + sealed.len());
        ticket.extend_from_slice(&self.name);
        ticket.extend_from_slice(nonce.as_ref());
        ticket.extend_from_slice(&sealed);
        Some(ticket)
    }

    fn open(&self, nonce: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut bytes = sealed.to_vec();
        let plain = self.key.open_in_place(nonce, Aad::from(self.name), &mut bytes).ok()?.len();
        bytes.truncate(plain);
        Some(bytes)
    }
}

/// The keys that count now.
struct Keys {
    epoch: u64,
    current: EpochKey,
    /// Of the epochs before and after.
    neighbours: Vec<EpochKey>,
    /// Those of a secret that was replaced within this epoch or the last one.
    retired: Vec<EpochKey>,
}

/// Seals and opens tickets; shared by all shards, and by every certificate.
pub struct Tickets {
    keys: ArcSwap<Option<Keys>>,
    lifetime_s: u32,
}

impl Tickets {
    /// Tickets without a key: sessions are not resumed until [`TicketKeys`] provides one.
    fn new(epoch_length: Duration) -> Self {
        // A ticket is opened in its own epoch and the next, so that none should be kept for longer than two.
        let lifetime_s = u32::try_from(epoch_length.as_secs().saturating_mul(2)).unwrap_or(u32::MAX);
        Self { keys: ArcSwap::from_pointee(None), lifetime_s: lifetime_s.min(TICKET_LIFETIME_S_MAX) }
    }
}

/// RFC 8446, 4.6.1: seven days.
const TICKET_LIFETIME_S_MAX: u32 = 604_800;

impl fmt::Debug for Tickets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.lifetime_s
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.load();
        keys.as_ref().as_ref()?.current.seal(plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() < NAME_BYTES + NONCE_LEN + TAG_BYTES {
            return None;
        }
        let (name, rest) = ticket.split_at(NAME_BYTES);
        let (nonce, sealed) = rest.split_at(NONCE_LEN);
        let keys = self.keys.load();
        let Keys { epoch: _, current, neighbours, retired } = keys.as_ref().as_ref()?;
        let mut known = std::iter::once(current).chain(neighbours).chain(retired);
        known.find(|key| key.name == name)?.open(nonce, sealed)
    }
}

/// The side that knows secret and time: provides keys to [`Tickets`].
pub struct TicketKeys {
    tickets: Arc<Tickets>,
    epoch_s: u64,
    secret: Secret,
    /// The secret before, and the epoch in which it was replaced.
    before: Option<(Secret, u64)>,
}

impl TicketKeys {
    /// Keys from `secret`, a new one every `epoch_length`.
    pub fn new(secret: Secret, epoch_length: Duration) -> Self {
        let epoch_s = epoch_length.as_secs().max(1);
        Self { tickets: Arc::new(Tickets::new(epoch_length)), epoch_s, secret, before: None }
    }

    /// Where shards seal and open.
    pub fn tickets(&self) -> Arc<Tickets> {
        Arc::clone(&self.tickets)
    }

    /// Takes another secret. Tickets of the old one are opened until the next epoch has passed. False if it is the same.
    pub fn replace(&mut self, secret: Secret, unix_s: u64) -> bool {
        if secret == self.secret {
            return false;
        }
        let old = std::mem::replace(&mut self.secret, secret);
        let epoch = unix_s / self.epoch_s;
        self.before = Some((old, epoch));
        self.provide(epoch);
        true
    }

    /// Provides the keys of the epoch at `unix_s`, and forgets those that are over. To be called more often than epochs
    /// begin.
    pub fn turn(&mut self, unix_s: u64) {
        let epoch = unix_s / self.epoch_s;
        if self.tickets.keys.load().as_ref().as_ref().is_none_or(|keys| keys.epoch != epoch) {
            self.provide(epoch);
        }
    }

    fn provide(&mut self, epoch: u64) {
        if self.before.as_ref().is_some_and(|(_, replaced)| epoch > replaced + 1) {
            self.before = None;
        }
        let around = |secret: &Secret| {
            let epochs = [epoch.checked_sub(1), epoch.checked_add(1)];
            epochs
                .into_iter()
                .flatten()
                .filter_map(|epoch| EpochKey::derive(secret, epoch))
                .collect::<Vec<_>>()
        };
        let neighbours = around(&self.secret);
        let retired = self.before.as_ref().map(|(secret, _)| {
            let mut keys = around(secret);
            keys.extend(EpochKey::derive(secret, epoch));
            keys
        });
        let keys = EpochKey::derive(&self.secret, epoch).map(|current| Keys {
            epoch,
            current,
            neighbours,
            retired: retired.unwrap_or_default(),
        });
        self.tickets.keys.store(Arc::new(keys));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Duration = Duration::from_secs(3_600);

    fn keys(secret: &[u8], unix_s: u64) -> TicketKeys {
        let mut keys = TicketKeys::new(Secret::new(secret).unwrap(), EPOCH);
        keys.turn(unix_s);
        keys
    }

    const FLEET: &[u8] = b"thirty-two bytes are the minimum";

    #[test]
    fn a_node_opens_what_another_node_with_the_same_secret_sealed() {
        let (one, other) = (keys(FLEET, 7_200_000), keys(FLEET, 7_200_000 + 60));
        let ticket = one.tickets().encrypt(b"session").unwrap();
        assert_eq!(other.tickets().decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        let stranger = keys(b"another secret of thirty-two byte", 7_200_000);
        assert_eq!(stranger.tickets().decrypt(&ticket), None);
    }

    #[test]
    fn a_ticket_is_opened_one_epoch_around_its_own_and_never_again() {
        let noon = 7_200_000;
        let ticket = keys(FLEET, noon).tickets().encrypt(b"session").unwrap();
        for (shift_s, opened) in [(-7_200, false), (-3_600, true), (0, true), (3_600, true), (7_200, false)] {
            let node = keys(FLEET, noon.checked_add_signed(shift_s).unwrap());
            assert_eq!(node.tickets().decrypt(&ticket).is_some(), opened, "{shift_s}");
        }
    }

    #[test]
    fn a_node_forgets_old_keys_as_time_passes() {
        let mut node = keys(FLEET, 0);
        let ticket = node.tickets().encrypt(b"session").unwrap();
        node.turn(3_600);
        assert!(node.tickets().decrypt(&ticket).is_some());
        node.turn(7_200);
        assert_eq!(node.tickets().decrypt(&ticket), None);
    }

    #[test]
    fn a_replaced_secret_opens_its_tickets_until_the_next_epoch_is_over() {
        let mut node = keys(FLEET, 0);
        let old = node.tickets().encrypt(b"old").unwrap();
        assert!(node.replace(Secret::new(b"another secret of thirty-two byte").unwrap(), 10));
        assert!(!node.replace(Secret::new(b"another secret of thirty-two byte").unwrap(), 10));
        assert!(node.tickets().decrypt(&old).is_some());
        let new = node.tickets().encrypt(b"new").unwrap();
        assert!(keys(FLEET, 10).tickets().decrypt(&new).is_none());
        node.turn(3_600);
        assert!(node.tickets().decrypt(&old).is_some());
        node.turn(7_200);
        assert!(node.tickets().decrypt(&old).is_none());
    }

    #[test]
    fn no_bytes_make_it_panic_and_no_changed_byte_is_accepted() {
        let node = keys(FLEET, 0);
        let ticket = node.tickets().encrypt(b"session").unwrap();
        for length in 0..ticket.len() {
            assert_eq!(node.tickets().decrypt(&ticket[..length]), None);
        }
        for place in 0..ticket.len() {
            let mut forged = ticket.clone();
            forged[place] ^= 1;
            assert_eq!(node.tickets().decrypt(&forged), None, "byte {place}");
        }
    }

    #[test]
    fn a_short_secret_is_refused_with_a_way_to_make_a_better_one() {
        let error = Secret::new(b"password").unwrap_err();
        assert!(error.contains("8 bytes") && error.contains("/dev/urandom"), "{error}");
    }
}
