//! The part of the configuration that says where Redis is: address, user, password and TLS.
//!
//! Looks at files only to see that they can be read and hold what they are named for; their content is read again at every connect by
//! whoever connects, so that rotated passwords and certificates are picked up.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use super::problems::{Fault, Warning};
use super::reader::{Origin, Reader, Refused};
use super::rules::HostValue;
use super::settings::{PasswordSource, RedisAddress, RedisSettings, TlsSettings};
use super::table::{self, CREDENTIAL_FILE, SECRET_BYTES_MAX};
use super::tls_files;
use super::variable::{Row, Variable};

/// Reads everything about the link to Redis. The reply timeout is read before, because other bounds depend on it.
pub(super) fn redis(
    reader: &mut Reader,
    reply_timeout: Result<Duration, Refused>,
    credentials: &Result<Option<PathBuf>, Refused>,
) -> Result<RedisSettings, Refused> {
    let host = reader.value(&table::REDIS_HOST);
    let on_socket = matches!(host, Ok(HostValue::Socket(_)));
    let port = if on_socket && !reader.is_set(&table::REDIS_PORT) {
        reader.take_effect(&table::REDIS_PORT, None, Origin::Default);
        Ok(None)
    } else {
        reader.value(&table::REDIS_PORT).map(Some)
    };
    let user = reader.optional(&table::REDIS_USER);
    let password = password(reader, credentials);
    let tls = tls(reader, on_socket);
    let db = reader.value(&table::REDIS_DB);
    let connect_timeout = reader.value(&table::CONNECTION_TIMEOUT);
    // Without a password nothing is sent, so the user named would silently not be the one that is used. `default` is the one
    // that every connection starts as.
    if let (Ok(Some(user)), Ok(PasswordSource::None)) = (&user, &password)
        && user != "default"
    {
        reader.contradiction(
            &table::REDIS_USER,
            "it needs a password: set REDIS_PW_FILE or REDIS_PW (any text for a user with nopass)",
        );
    }
    let address = match (host?, port?) {
        (HostValue::Socket(path), _) => RedisAddress::Unix(path),
        (HostValue::Host(host), Some(port)) => RedisAddress::Tcp { host, port },
        (HostValue::Host(_), None) => return Err(Refused),
    };
    Ok(RedisSettings {
        address,
        user: user?,
        password: password?,
        tls: tls?,
        db: db?,
        connect_timeout: connect_timeout?,
        reply_timeout: reply_timeout?,
    })
}

fn password(
    reader: &mut Reader,
    credentials: &Result<Option<PathBuf>, Refused>,
) -> Result<PasswordSource, Refused> {
    let value = reader.optional(&table::REDIS_PW);
    let file = reader.optional(&table::REDIS_PW_FILE);
    let credential = credential(credentials, CREDENTIAL_FILE);
    let (value, file, credential) = (value?.map(Zeroizing::new), file?, credential?);
    match (value, file, credential) {
        (Some(_), Some(_), _) => Err(reader.contradiction(
            &table::REDIS_PW_FILE,
            "REDIS_PW is set too: leave one of them out",
        )),
        (Some(_), None, Some(path)) => {
            Err(reader.contradiction(&table::REDIS_PW, credential_too(&path)))
        }
        (None, Some(_), Some(path)) => {
            Err(reader.contradiction(&table::REDIS_PW_FILE, credential_too(&path)))
        }
        (None, None, Some(path)) => {
            if let Err(why) = check_secret_file(&path) {
                let why = format!("{CREDENTIAL_FILE} in it {why}");
                return Err(reader.refuse(&table::CREDENTIALS_DIRECTORY, Fault::File(why)));
            }
            password_comes_from(reader, Origin::Credentials(path.clone()));
            Ok(PasswordSource::File(path))
        }
        (None, Some(path), None) => {
            if let Err(why) = check_secret_file(&path) {
                let why = format!("it {why}");
                return Err(reader.refuse(&table::REDIS_PW_FILE, Fault::File(why)));
            }
            password_comes_from(reader, Origin::File(path.clone()));
            Ok(PasswordSource::File(path))
        }
        (Some(value), None, None) => Ok(PasswordSource::Value(value)),
        (None, None, None) => Ok(PasswordSource::None),
    }
}

/// The credential of this name, if the unit has one: the directory is there for every credential of the unit.
pub(super) fn credential(
    directory: &Result<Option<PathBuf>, Refused>,
    name: &str,
) -> Result<Option<PathBuf>, Refused> {
    let path = directory.clone()?.map(|directory| directory.join(name));
    Ok(path.filter(|path| !is_absent(path)))
}

/// Why a value that is set does not go together with a credential.
pub(super) fn credential_too(path: &Path) -> String {
    format!(
        "systemd's credential {} is there too: leave one of them out",
        path.display()
    )
}

fn password_comes_from(reader: &mut Reader, origin: Origin) {
    reader.take_effect(&table::REDIS_PW, Some("***".to_owned()), origin);
}

/// Whether a file holds what it is named for, or the words that say why not.
type Check = fn(&Path) -> Result<(), String>;

/// A TLS file that is named, by which variable, and what it must hold.
type Given<'a> = (&'static Variable<super::rules::Path>, &'a PathBuf, Check);

fn tls(reader: &mut Reader, on_socket: bool) -> Result<Option<TlsSettings>, Refused> {
    let enabled = reader.value(&table::REDIS_TLS_ENABLED);
    let ca_file = reader.optional(&table::REDIS_TLS_CA_FILE);
    let cert_file = reader.optional(&table::REDIS_TLS_CERT_FILE);
    let key_file = reader.optional(&table::REDIS_TLS_KEY_FILE);
    let enabled = enabled?;
    let (ca_file, cert_file, key_file) = (ca_file?, cert_file?, key_file?);
    let files: [(&'static Variable<_>, _, Check); 3] = [
        (
            &table::REDIS_TLS_CA_FILE,
            &ca_file,
            tls_files::check_authorities,
        ),
        (
            &table::REDIS_TLS_CERT_FILE,
            &cert_file,
            tls_files::check_certificate,
        ),
        (&table::REDIS_TLS_KEY_FILE, &key_file, tls_files::check_key),
    ];
    let given: Vec<Given<'_>> = files
        .into_iter()
        .filter_map(|(variable, file, check)| Some((variable, file.as_ref()?, check)))
        .collect();
    if !enabled {
        return files_without_tls(reader, &given);
    }
    let mut all_good = Ok(());
    if on_socket {
        let why = "there is no TLS over a Unix socket, which REDIS_HOST names";
        all_good = Err(reader.contradiction(&table::REDIS_TLS_ENABLED, why));
    }
    for (variable, path, check) in given {
        if let Err(why) = check_file(path).and_then(|_| check(path)) {
            all_good = Err(reader.refuse(variable, Fault::File(format!("it {why}"))));
        }
    }
    let client = match (cert_file, key_file) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => {
            let why = "it needs REDIS_TLS_KEY_FILE, which is not set";
            return Err(reader.contradiction(&table::REDIS_TLS_CERT_FILE, why));
        }
        (None, Some(_)) => {
            let why = "it needs REDIS_TLS_CERT_FILE, which is not set";
            return Err(reader.contradiction(&table::REDIS_TLS_KEY_FILE, why));
        }
    };
    all_good?;
    Ok(Some(TlsSettings { ca_file, client }))
}

/// Judges TLS files that are named while TLS is off. Switched off in so many words, they are kept for later and earn a warning.
/// Otherwise whoever names certificates wants TLS, and to go on without would send the password in the clear.
fn files_without_tls(
    reader: &mut Reader,
    given: &[Given<'_>],
) -> Result<Option<TlsSettings>, Refused> {
    let off_in_so_many_words = reader.is_set(&table::REDIS_TLS_ENABLED);
    for (variable, ..) in given {
        if off_in_so_many_words {
            reader.warn(Warning::TlsOff {
                variable: variable.about().name,
            });
        } else {
            let why = "TLS is off: set REDIS_TLS_ENABLED to true, or to false if that is meant";
            reader.contradiction(*variable, why);
        }
    }
    if given.is_empty() || off_in_so_many_words {
        Ok(None)
    } else {
        Err(Refused)
    }
}

/// Whether there is nothing at `path`. When that cannot be found out it counts as there, and reading it says why not.
fn is_absent(path: &Path) -> bool {
    matches!(path.try_exists(), Ok(false))
}

/// Whether a file can be read now, or the words that say why not.
pub(super) fn check_file(path: &Path) -> Result<fs::Metadata, String> {
    // Asked first: opening a named pipe would wait for its writer.
    let metadata = fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    if !metadata.is_file() {
        return Err("is not a file".to_owned());
    }
    fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    Ok(metadata)
}

/// Whether a file can hold a secret, or the words that say why not.
pub(super) fn check_secret_file(path: &Path) -> Result<(), String> {
    match check_file(path)?.len() {
        0 => Err("is an empty file".to_owned()),
        length if length > SECRET_BYTES_MAX as u64 => Err(format!("is too large: {length} bytes")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
