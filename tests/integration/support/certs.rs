//! Certificates for TLS tests, made with the openssl command in a folder of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Authority: `req` would otherwise read the machine's own openssl.cnf.
const CA_CONFIGURATION: &str = "[req]\ndistinguished_name=name\nprompt=no\nx509_extensions=ca\n[name]\nCN=weir test authority\n\
[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";

/// A certificate and its key, PEM files.
#[derive(Debug, Clone)]
pub struct KeyPair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// An authority with a server's certificate for localhost and 127.0.0.1, and a client's.
pub struct Certificates {
    directory: TempDir,
}

impl Certificates {
    /// Makes all of them; valid for two days.
    #[track_caller]
    pub fn generate() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("weir-certs-")
            .tempdir()
            .expect("a temporary folder");
        let folder = directory.path();
        fs::write(folder.join("ca.cnf"), CA_CONFIGURATION).expect("write ca.cnf");
        new_key(folder, "ca");
        openssl(
            folder,
            &[
                "req", "-x509", "-config", "ca.cnf", "-key", "ca.key", "-days", "2", "-out",
                "ca.crt",
            ],
        );
        issue(
            folder,
            "server",
            "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n",
        );
        issue(
            folder,
            "client",
            "subjectAltName=DNS:client\nextendedKeyUsage=clientAuth\n",
        );
        Self { directory }
    }

    pub fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.crt")
    }

    pub fn server(&self) -> KeyPair {
        self.pair("server")
    }

    pub fn client(&self) -> KeyPair {
        self.pair("client")
    }

    fn pair(&self, name: &str) -> KeyPair {
        KeyPair {
            certificate: self.directory.path().join(format!("{name}.crt")),
            key: self.directory.path().join(format!("{name}.key")),
        }
    }
}

fn issue(folder: &Path, name: &str, extensions: &str) {
    let text = format!("[req]\ndistinguished_name=name\nprompt=no\n[name]\nCN=weir test {name}\n");
    fs::write(folder.join(format!("{name}.cnf")), text).expect("write a request's configuration");
    fs::write(folder.join(format!("{name}.ext")), extensions).expect("write extensions");
    let file = |ending: &str| format!("{name}.{ending}");
    new_key(folder, name);
    openssl(
        folder,
        &[
            "req",
            "-new",
            "-config",
            &file("cnf"),
            "-key",
            &file("key"),
            "-out",
            &file("csr"),
        ],
    );
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-in",
            &file("csr"),
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            &file("ext"),
            "-out",
            &file("crt"),
        ],
    );
}

fn new_key(folder: &Path, name: &str) {
    let file = format!("{name}.key");
    openssl(
        folder,
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-out",
            &file,
        ],
    );
}

#[track_caller]
fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| {
            panic!("the TLS tests need the openssl command (apt-get install openssl): {error}")
        });
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
