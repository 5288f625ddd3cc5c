//! Whether a TLS file holds what it is named for, so that a mistake shows at the start and not at a connect in the night.
//!
//! Used by the configuration's part about Redis. It keeps nothing: whoever connects reads the files again. It never shows what a file
//! holds.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// The largest TLS file, bytes. All public authorities together take a quarter of it.
pub(super) const TLS_FILE_BYTES_MAX: u64 = 1_048_576;

/// Whether a file holds certificates of authorities, and nothing but good ones: a bad one among them fails every connect.
///
/// # Errors
/// The words that say what is wrong with it.
pub(super) fn check_authorities(path: &Path) -> Result<(), String> {
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates(&read(path)?)?.into_iter().enumerate() {
        store.add(certificate).map_err(|_| {
            format!(
                "holds a certificate that cannot be used: number {}",
                index + 1
            )
        })?;
    }
    Ok(())
}

/// Whether a file holds a certificate in PEM form.
///
/// # Errors
/// As [`check_authorities`].
pub(super) fn check_certificate(path: &Path) -> Result<(), String> {
    certificates(&read(path)?).map(drop)
}

/// Whether a file holds a private key in PEM form that needs no passphrase.
///
/// # Errors
/// As [`check_authorities`].
pub(super) fn check_key(path: &Path) -> Result<(), String> {
    let text = read(path)?;
    let why = match PrivateKeyDer::from_pem_slice(&text) {
        Ok(_) => return Ok(()),
        Err(_) if contains(&text, b"ENCRYPTED") => {
            "holds a private key that needs a passphrase, which nobody can give it here"
        }
        Err(pem::Error::NoItemsFound) => "holds no private key in PEM form",
        Err(_) => "holds a private key that cannot be read: its PEM form is damaged",
    };
    Err(why.to_owned())
}

/// All certificates of a file; at least one.
fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|_| "holds a certificate that cannot be read: its PEM form is damaged")?;
    if found.is_empty() {
        return Err("holds no certificate in PEM form".to_owned());
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut content = Zeroizing::new(Vec::new());
    File::open(path)
        .and_then(|file| file.take(TLS_FILE_BYTES_MAX + 1).read_to_end(&mut content))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if content.len() as u64 > TLS_FILE_BYTES_MAX {
        return Err(format!("is larger than {TLS_FILE_BYTES_MAX} bytes"));
    }
    Ok(content)
}

fn contains(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|window| window == words)
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{CERTIFICATE, KEY};
    use super::*;

    type Check = fn(&Path) -> Result<(), String>;

    #[test]
    fn each_file_must_hold_what_it_is_named_for() {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let no_certificate = CERTIFICATE.replace("MIIB", "MAoB");
        let damaged = CERTIFICATE.replace("MIIB", "=IIB");
        let chain = format!("subject=somebody\n{CERTIFICATE}\n{CERTIFICATE}");
        let half = format!("{CERTIFICATE}\n{no_certificate}");
        let locked = KEY.replace("PRIVATE", "ENCRYPTED PRIVATE");
        let longest = format!(
            "{CERTIFICATE}{}",
            "\n".repeat(1_048_576 - CERTIFICATE.len())
        );
        let too_long = format!("{longest}\n");
        let both = format!("{CERTIFICATE}{KEY}");
        let (authorities, certificate, key) = (
            check_authorities as Check,
            check_certificate as Check,
            check_key as Check,
        );
        for (check, content, complaint) in [
            (authorities, CERTIFICATE, None),
            (authorities, &chain, None),
            (authorities, &both, None),
            (authorities, &longest, None),
            (authorities, &too_long, Some("is larger than 1048576 bytes")),
            (authorities, "", Some("holds no certificate")),
            (authorities, "certificate", Some("holds no certificate")),
            (authorities, KEY, Some("holds no certificate")),
            (authorities, &damaged, Some("damaged")),
            (
                authorities,
                &no_certificate,
                Some("cannot be used: number 1"),
            ),
            (authorities, &half, Some("cannot be used: number 2")),
            (certificate, CERTIFICATE, None),
            (certificate, &both, None),
            (certificate, "", Some("holds no certificate")),
            (certificate, KEY, Some("holds no certificate")),
            (certificate, &damaged, Some("damaged")),
            (key, KEY, None),
            (key, &both, None),
            (key, "", Some("holds no private key")),
            (key, CERTIFICATE, Some("holds no private key")),
            (key, &locked, Some("needs a passphrase")),
            (key, &KEY.replace("MAo", "M!o"), Some("damaged")),
        ] {
            let path = directory.path().join("file.pem");
            std::fs::write(&path, content).expect("write a file");
            let begin = &content[..content.len().min(40)];
            match (check(&path), complaint) {
                (Ok(()), None) => {}
                (Err(why), Some(part)) => assert!(why.contains(part), "{begin}: {why}"),
                (answer, _) => panic!("{begin}: {answer:?}"),
            }
        }
        let missing = check_key(&directory.path().join("missing"));
        assert!(missing.is_err_and(|why| why.contains("No such file")));
    }
}
