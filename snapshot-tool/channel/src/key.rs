//! What signs: ed25519 keys, how they are written, and how a secret one is kept in a file.

use crate::content::fixed_hex;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

const PUBLIC_PREFIX: &str = "ed25519:";
const SECRET_PREFIX: &str = "ed25519-secret:";

/// A key that checks signatures, written as `ed25519:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From the 32 bytes of RFC 8032; `None` if they are no point of the curve, or one of those that verify anything.
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let key = VerifyingKey::from_bytes(bytes).ok()?;
        (!key.is_weak()).then_some(Self(key))
    }

    /// The 32 bytes of RFC 8032.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Whether `signature` is this key's for exactly `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PUBLIC_PREFIX}{}", hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.to_bytes().cmp(&other.to_bytes())
    }
}

/// A text that is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not written as a public key.
    #[error("a public key is written as ed25519: and 64 lower-case hexadecimal digits")]
    NotPublic,
    /// A secret where a public key belongs.
    #[error("this is a secret key: it stays on the machine that signs; use the file that ends in .pub")]
    SecretGiven,
    /// Digits that are no usable point of the curve.
    #[error("these digits are no usable ed25519 key")]
    NoPoint,
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.starts_with(SECRET_PREFIX) {
            return Err(KeyError::SecretGiven);
        }
        let digits = text.strip_prefix(PUBLIC_PREFIX).ok_or(KeyError::NotPublic)?;
        let bytes = fixed_hex(digits).ok_or(KeyError::NotPublic)?;
        Self::from_bytes(&bytes).ok_or(KeyError::NoPoint)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A key that signs. Its secret is wiped when it is dropped, and never printed.
pub struct SecretKey(SigningKey);

/// Why a file gives no secret key.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The disk.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// Others than its owner may read it.
    #[error("{}: others can read this secret key (mode {mode:03o}): chmod 600 it, and rotate the key if somebody has", path.display())]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The text is something else.
    #[error("{}: no secret key: snapshot-tool keygen makes one", path.display())]
    NotSecret {
        /// The file.
        path: PathBuf,
    },
}

impl SecretKey {
    /// A new key from the kernel's randomness.
    ///
    /// # Errors
    /// If the kernel has none.
    pub fn generate() -> io::Result<Self> {
        let mut seed = [0; 32];
        // Up to 256 bytes come in one piece (getrandom(2)).
        let filled = getrandom(&mut seed, GetRandomFlags::empty())?;
        if filled != seed.len() {
            return Err(io::Error::other("the kernel gave too little randomness"));
        }
        Ok(Self::from_seed(&seed))
    }

    /// The key of a seed (RFC 8032, 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The key that checks what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `message`; the same message always gets the same signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// Writes the key into a new file that its owner alone can read; never over another file.
    ///
    /// # Errors
    /// If there is such a file, or the disk refuses.
    pub fn create_file(&self, path: &Path) -> Result<(), SecretFileError> {
        let text = format!("{SECRET_PREFIX}{}\n", hex::encode(self.0.to_bytes()));
        let written =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            });
        written.map_err(|error| SecretFileError::Io { path: path.into(), error })
    }

    /// Reads a key from a file that its owner alone can read.
    ///
    /// # Errors
    /// If the file cannot be read, or others can read it too, or it holds no secret key.
    pub fn read_file(path: &Path) -> Result<Self, SecretFileError> {
        let io = |error| SecretFileError::Io { path: path.into(), error };
        let metadata = fs::metadata(path).map_err(io)?;
        let not_secret = || SecretFileError::NotSecret { path: path.into() };
        if !metadata.is_file() || metadata.len() > 1024 {
            return Err(not_secret());
        }
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretFileError::Readable { path: path.into(), mode });
        }
        let text = fs::read_to_string(path).map_err(io)?;
        let digits = text.trim().strip_prefix(SECRET_PREFIX).ok_or_else(not_secret)?;
        fixed_hex(digits).map(|seed| Self::from_seed(&seed)).ok_or_else(not_secret)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretKey of {}", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_signs_as_rfc_8032_says() {
        // RFC 8032, 7.1, test 2.
        let seed = fixed_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let key = SecretKey::from_seed(&seed);
        let public = "ed25519:3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(key.public().to_string(), public);
        let signature = fixed_hex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        assert_eq!(Some(key.sign(&[0x72])), signature);
        let public: PublicKey = public.parse().unwrap();
        assert!(public.verifies(&[0x72], &key.sign(&[0x72])));
        assert!(!public.verifies(&[0x73], &key.sign(&[0x72])));
    }

    #[test]
    fn keys_that_verify_anything_and_secrets_in_the_wrong_place_are_refused() {
        let check = |text: &str, expected| assert_eq!(text.parse::<PublicKey>(), Err(expected), "{text}");
        // The neutral element: with it, a signature of zeros fits any message.
        check(&format!("ed25519:01{}", "0".repeat(62)), KeyError::NoPoint);
        check(&format!("ed25519-secret:{}", "0".repeat(64)), KeyError::SecretGiven);
        check("ed25519:12", KeyError::NotPublic);
        check(&"0".repeat(64), KeyError::NotPublic);
    }

    #[test]
    fn a_secret_survives_its_file_which_nobody_else_may_read_or_replace() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("root.key");
        let key = SecretKey::generate().unwrap();
        key.create_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(SecretKey::read_file(&path).unwrap().public(), key.public());
        assert!(key.create_file(&path).is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = SecretKey::read_file(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        assert!(!format!("{key:?}").contains("secret:"));
    }
}
