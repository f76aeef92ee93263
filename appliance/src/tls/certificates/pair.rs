//! One pair of certificate chain and private key, parsed and checked.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, SignatureAlgorithm, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::Names;
use crate::limits::CHAIN_CERTIFICATES_MAX;

/// How a certificate signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// ECDSA or EdDSA: what a node should have.
    Ecdsa,
    /// RSA: 250 µs per handshake, three times the rest of it.
    Rsa,
}

impl Algorithm {
    /// For people and machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::Rsa => "rsa",
        }
    }
}

/// A chain and its key that fit together.
#[derive(Debug)]
pub struct Pair {
    /// What it is called in its directory.
    pub label: String,
    /// What rustls needs.
    pub key: Arc<CertifiedKey>,
    /// Which hosts it covers.
    pub names: Arc<Names>,
    /// How it signs.
    pub algorithm: Algorithm,
    /// When it ends, in seconds since 1970.
    pub not_after_unix_s: i64,
    /// Who issued it.
    pub issuer: String,
    /// What is not quite as it should be.
    pub cautions: Vec<Caution>,
}

/// What an operator should look at, although clients are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caution {
    /// It signs with RSA.
    Rsa,
    /// The file holds the certificate alone, and somebody else issued it.
    ChainMayBeIncomplete,
    /// It signed itself: no client trusts it.
    SelfSigned,
}

impl Caution {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rsa, Self::ChainMayBeIncomplete, Self::SelfSigned];

    /// One clause.
    pub fn text(self) -> &'static str {
        match self {
            Self::Rsa => {
                "RSA costs three times the CPU of ECDSA per handshake: ask the issuer for a P-256 certificate"
            }
            Self::ChainMayBeIncomplete => {
                "the file holds the certificate alone: append the intermediate of its issuer, or many clients refuse it"
            }
            Self::SelfSigned => "it signed itself: no client trusts it",
        }
    }
}

/// Why a pair cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// The chain is no PEM, or has none.
    #[error("no certificate in PEM form is in the file: {0}")]
    NoChain(String),
    /// Longer than any chain.
    #[error("{0} certificates are in the file, more than any chain has ({CHAIN_CERTIFICATES_MAX})")]
    ChainTooLong(usize),
    /// The key is no PEM, or has none.
    #[error("no private key in PEM form is in the file (encrypted keys are not read): {0}")]
    NoKey(String),
    /// The kind of key.
    #[error("the private key is of a kind that TLS cannot sign with: {0}")]
    KeyUnusable(String),
    /// They do not belong together.
    #[error("the private key does not belong to the certificate: were they renewed one after the other?")]
    KeyMismatch,
    /// The certificate cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Unparsable(String),
    /// No host name in it.
    #[error("the certificate has no DNS name (subjectAltName), so that no client can ask for it")]
    NoNames,
    /// Over.
    #[error("the certificate expired {days} days ago: renew it")]
    Expired {
        /// How long ago.
        days: i64,
    },
    /// Not yet.
    #[error("the certificate is not valid before {0} (seconds since 1970): is the clock right?")]
    NotYetValid(i64),
    /// The chain breaks.
    #[error("the chain does not hold together: {0}; order it from the certificate to its last intermediate")]
    ChainBroken(String),
}

impl Pair {
    /// Reads `chain` and `key`, both PEM, and checks them at `unix_s`: the key belongs to the certificate, which is valid and
    /// has names, and each certificate of the chain is vouched for by the next.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn read(label: String, chain: &[u8], key: &[u8], unix_s: i64) -> Result<Self, Defect> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| Defect::NoChain(error.to_string()))?;
        if chain.len() > CHAIN_CERTIFICATES_MAX {
            return Err(Defect::ChainTooLong(chain.len()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| Defect::NoKey(error.to_string()))?;
        let key = any_supported_type(&key).map_err(|error| Defect::KeyUnusable(error.to_string()))?;
        let algorithm = match key.algorithm() {
            SignatureAlgorithm::RSA => Algorithm::Rsa,
            _ => Algorithm::Ecdsa,
        };

        let first = chain.first().ok_or_else(|| Defect::NoChain("there is none".into()))?;
        let (_, leaf) =
            X509Certificate::from_der(first).map_err(|error| Defect::Unparsable(error.to_string()))?;
        let alternatives =
            leaf.subject_alternative_name().map_err(|error| Defect::Unparsable(error.to_string()))?;
        let written = alternatives.iter().flat_map(|extension| &extension.value.general_names);
        let names = Names::new(written.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        }));
        if names.is_empty() {
            return Err(Defect::NoNames);
        }
        let (not_before, not_after) =
            (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
        if not_after < unix_s {
            return Err(Defect::Expired { days: (unix_s - not_after) / SECONDS_PER_DAY });
        }
        if not_before > unix_s + CLOCK_TOLERANCE_S {
            return Err(Defect::NotYetValid(not_before));
        }
        let issuer = leaf.issuer().to_string();
        let self_issued = leaf.issuer() == leaf.subject();
        hold_together(&chain, unix_s)?;

        let mut cautions = Vec::new();
        if algorithm == Algorithm::Rsa {
            cautions.push(Caution::Rsa);
        }
        match (chain.len(), self_issued) {
            (1, true) => cautions.push(Caution::SelfSigned),
            (1, false) => cautions.push(Caution::ChainMayBeIncomplete),
            _ => {}
        }
        let key = CertifiedKey::new(chain, key);
        match key.keys_match() {
            Ok(()) => {}
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => return Err(Defect::KeyMismatch),
            Err(error) => return Err(Defect::KeyUnusable(error.to_string())),
        }
        Ok(Self {
            label,
            key: Arc::new(key),
            names: Arc::new(names),
            algorithm,
            not_after_unix_s: not_after,
            issuer,
            cautions,
        })
    }

    /// Whole days until it expires; negative when it has.
    pub fn days_left(&self, unix_s: i64) -> i64 {
        (self.not_after_unix_s - unix_s).div_euclid(SECONDS_PER_DAY)
    }

    /// Whether a client that offers `schemes` understands its signatures.
    pub(super) fn suits(&self, schemes: &[SignatureScheme]) -> bool {
        self.key.key.choose_scheme(schemes).is_some()
    }
}

const SECONDS_PER_DAY: i64 = 86_400;

/// A certificate may be a little younger than the node's clock: issuers date them back by an hour.
const CLOCK_TOLERANCE_S: i64 = 3_600;

/// Whether each certificate is signed by the next, up to the last, and all are valid.
fn hold_together(chain: &[CertificateDer<'static>], unix_s: i64) -> Result<(), Defect> {
    let [leaf, between @ .., last] = chain else { return Ok(()) };
    let broken = |error: webpki::Error| Defect::ChainBroken(format!("{error:?}"));
    let leaf = EndEntityCert::try_from(leaf).map_err(broken)?;
    let anchor = anchor_from_trusted_cert(last).map_err(broken)?;
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(unix_s.unsigned_abs()));
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &[anchor],
        between,
        now,
        KeyUsage::server_auth(),
        None,
        None,
    )
    .map(|_| ())
    .map_err(broken)
}
