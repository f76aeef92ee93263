//! A certificate authority for one case: a root that clients trust, an intermediate that issues.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

const DAY: Duration = Duration::from_secs(86_400);

/// Issues certificates.
#[derive(Debug)]
pub struct Authority {
    root: rcgen::Certificate,
    intermediate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A chain and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate and its intermediate.
    pub chain: String,
    /// The certificate alone.
    pub leaf: String,
    /// The private key.
    pub key: String,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new authority.
    pub fn new() -> Self {
        let root_key = KeyPair::generate().unwrap();
        let root_params = authority("Carom test root");
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(root_params, root_key);
        let key = KeyPair::generate().unwrap();
        let params = authority("Carom test intermediate");
        let intermediate = params.signed_by(&key, &root_issuer).unwrap();
        Self { root, intermediate, issuer: Issuer::new(params, key) }
    }

    /// An ECDSA certificate for `names` that was issued `age` ago and lives for `life`.
    pub fn issue_for(&self, names: &[&str], age: Duration, life: Duration) -> Issued {
        self.issue_with(names, age, life, &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    /// An ECDSA certificate for `names` that lives for 30 days.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.issue_for(names, DAY, DAY * 31)
    }

    /// An RSA certificate for `names` that lives for 30 days.
    pub fn issue_rsa(&self, names: &[&str]) -> Issued {
        self.issue_with(names, DAY, DAY * 31, &KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap())
    }

    fn issue_with(&self, names: &[&str], age: Duration, life: Duration, key: &KeyPair) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        params.not_before = date_time_ymd(1970, 1, 1) + (since_epoch - age);
        params.not_after = params.not_before + life;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.push(DnType::CommonName, "Carom test");
        let leaf = params.signed_by(key, &self.issuer).unwrap().pem();
        Issued { chain: format!("{leaf}{}", self.intermediate.pem()), leaf, key: key.serialize_pem() }
    }

    /// What clients trust.
    pub fn root(&self) -> CertificateDer<'static> {
        self.root.der().clone()
    }

    /// Writes what clients trust as a PEM file.
    pub fn write_root(&self, path: &Path) {
        fs::write(path, self.root.pem()).unwrap();
    }
}

impl Issued {
    /// Publishes the pair as `label` into `directory`, each file by rename.
    pub fn publish(&self, directory: &Path, label: &str) {
        for (ending, text) in [("key", &self.key), ("crt", &self.chain)] {
            let staged = directory.join(format!(".{label}.{ending}"));
            fs::write(&staged, text).unwrap();
            fs::rename(staged, directory.join(format!("{label}.{ending}"))).unwrap();
        }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
