//! A folder with certificates, made for the test.

#![allow(dead_code, unreachable_pub)] // each test uses some of it

use std::path::PathBuf;
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;
use web_config::{Error, WebConfig};

/// When certificates begin to be valid: 2025-01-01, in seconds of Unix. They end ten years later.
pub const NOT_BEFORE: u64 = 1_735_689_600;

/// `ca.pem`, and `cert.pem` and `key.pem` for `localhost`, signed by it.
pub struct Site {
    pub folder: TempDir,
    pub ca: Issuer<'static, KeyPair>,
}

pub fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// What is in a certificate with these names.
pub fn params(names: &[SanType]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names.to_vec();
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2035, 1, 1);
    params
}

pub fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("a name"))
}

/// A new CA, and its certificate.
pub fn ca(name: &str) -> (Issuer<'static, KeyPair>, rcgen::Certificate) {
    let mut params = params(&[]);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = key();
    let certificate = params.self_signed(&key).expect("a CA");
    (Issuer::new(params, key), certificate)
}

impl Site {
    pub fn new() -> Self {
        let (ca, certificate) = ca("site");
        let key = key();
        let names = [dns("localhost"), SanType::IpAddress([127, 0, 0, 1].into())];
        let leaf = params(&names).signed_by(&key, &ca).expect("a certificate");
        let site = Self { folder: TempDir::new().expect("a folder"), ca };
        site.write("ca.pem", &certificate.pem());
        site.write("cert.pem", &leaf.pem());
        site.write("key.pem", &key.serialize_pem());
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the folder can be written");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("it is there")
    }

    pub fn load(&self, text: &str) -> Result<WebConfig, Error> {
        self.write("web.yml", text);
        WebConfig::load(&self.path("web.yml"))
    }

    /// Runs openssl in the folder.
    pub fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .output()
            .expect("openssl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
