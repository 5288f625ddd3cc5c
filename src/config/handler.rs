//! The part of the configuration that says who handles which events: the webhook's address, format and secret, the command, and the
//! time of a call.
//!
//! Reads the secret at start, because its form has to be checked; looks at the certificates only to see that they can be read.

use std::fs;
use std::path::Path;
use std::time::Duration;

use zeroize::Zeroizing;

use super::command_line::CommandLine;
use super::problems::Fault;
use super::reader::{Origin, Reader, Refused};
use super::redis_link::{check_file, check_secret_file};
use super::rules::Rule;
use super::settings::{HandlerChoice, HandlerSettings, SigningKey, WebhookSettings};
use super::table;
use super::tls_files;
use super::variable::Row;
use crate::domain::base64;

/// What stands before a secret in the form of Standard Webhooks.
const SECRET_PREFIX: &str = "whsec_";

/// Bytes of a key in that form (Standard Webhooks: 24 to 64).
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Bytes of any other secret: below 16 it could be guessed, beyond 1024 it is a file that was not meant.
const TEXT_BYTES: std::ops::RangeInclusive<usize> = 16..=1_024;

/// A drain needs so much beyond the longest call: to write what became of it, and to hand over the rest (contract).
const DRAIN_MARGIN: Duration = Duration::from_secs(5);

/// Reads everything about handlers. The times of a stop are read before, because a call must fit into it.
pub(super) fn handler(
    reader: &mut Reader,
    shutdown_timeout: Result<Duration, Refused>,
    shutdown_delay: Result<Duration, Refused>,
) -> Result<HandlerSettings, Refused> {
    let events = reader.optional(&table::EVENTS);
    let timeout = reader.value(&table::HANDLER_TIMEOUT_MS);
    let webhook = webhook(reader);
    let command = command(reader);
    let choice = match (webhook?, command?) {
        (Some(webhook), None) => HandlerChoice::Webhook(webhook),
        (None, Some(command)) => HandlerChoice::Command(command),
        (None, None) => HandlerChoice::Log,
        (Some(_), Some(_)) => {
            let why = "HANDLER_URL is set too: leave one of them out";
            return Err(reader.contradiction(&table::HANDLER_COMMAND, why));
        }
    };
    if let (Ok(timeout), Ok(stop), Ok(delay)) = (timeout, shutdown_timeout, shutdown_delay)
        && !matches!(choice, HandlerChoice::Log)
        && timeout + delay + DRAIN_MARGIN > stop
    {
        let why = format!(
            "a call must end within a stop: at most {} - {} - {} ms",
            reader.named(&table::SHUTDOWN_TIMEOUT_MS),
            reader.named(&table::SHUTDOWN_DELAY_MS),
            DRAIN_MARGIN.as_millis()
        );
        return Err(reader.contradiction(&table::HANDLER_TIMEOUT_MS, why));
    }
    Ok(HandlerSettings {
        choice,
        events: events?,
        timeout: timeout?,
    })
}

fn command(reader: &mut Reader) -> Result<Option<CommandLine>, Refused> {
    let command = reader.optional(&table::HANDLER_COMMAND)?;
    if let Some(command) = &command {
        let shown = Some(command.shown());
        reader.take_effect(&table::HANDLER_COMMAND, shown, Origin::Environment);
    }
    Ok(command)
}

fn webhook(reader: &mut Reader) -> Result<Option<WebhookSettings>, Refused> {
    let url = reader.optional(&table::HANDLER_URL);
    let format = reader.value(&table::HANDLER_FORMAT);
    let key = signing_key(reader);
    let ca_file = reader.optional(&table::HANDLER_CA_FILE);
    let (url, format, key, ca_file) = (url?, format?, key?, ca_file?);
    let Some(url) = url else {
        let rows: [&dyn Row; 4] = [
            &table::HANDLER_FORMAT,
            &table::HANDLER_SECRET,
            &table::HANDLER_SECRET_FILE,
            &table::HANDLER_CA_FILE,
        ];
        let given: Vec<&dyn Row> = rows.into_iter().filter(|row| reader.is_set(*row)).collect();
        for row in &given {
            reader.contradiction(*row, "it needs HANDLER_URL, which is not set");
        }
        return if given.is_empty() {
            Ok(None)
        } else {
            Err(Refused)
        };
    };
    // What is in effect is shown with the parts that are secret taken out.
    reader.take_effect(
        &table::HANDLER_URL,
        Some(url.to_string()),
        Origin::Environment,
    );
    if let Some(path) = &ca_file {
        if !url.tls {
            let why = "HANDLER_URL is not https: there is no certificate to check";
            return Err(reader.contradiction(&table::HANDLER_CA_FILE, why));
        }
        if let Err(why) = check_file(path).and_then(|_| tls_files::check_authorities(path)) {
            let why = format!("it {why}");
            return Err(reader.refuse(&table::HANDLER_CA_FILE, Fault::File(why)));
        }
    }
    Ok(Some(WebhookSettings {
        url,
        format,
        key,
        ca_file,
    }))
}

fn signing_key(reader: &mut Reader) -> Result<Option<SigningKey>, Refused> {
    let value = reader.optional(&table::HANDLER_SECRET);
    let file = reader.optional(&table::HANDLER_SECRET_FILE);
    match (value?, file?) {
        (Some(_), Some(_)) => Err(reader.contradiction(
            &table::HANDLER_SECRET_FILE,
            "HANDLER_SECRET is set too: leave one of them out",
        )),
        (Some(key), None) => Ok(Some(key)),
        (None, Some(path)) => match key_in(&path) {
            Ok(key) => {
                let shown = Some("***".to_owned());
                reader.take_effect(&table::HANDLER_SECRET, shown, Origin::File(path));
                Ok(Some(key))
            }
            Err(why) => {
                let fault = Fault::File(format!("it {why}"));
                Err(reader.refuse(&table::HANDLER_SECRET_FILE, fault))
            }
        },
        (None, None) => Ok(None),
    }
}

/// The key in a file; one final newline is not part of it.
fn key_in(path: &Path) -> Result<SigningKey, String> {
    check_secret_file(path)?;
    let text = fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let text = Zeroizing::new(text);
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let secret = line.strip_suffix('\r').unwrap_or(line);
    WebhookSecret
        .parse(secret)
        .ok_or_else(|| format!("must hold {}", WebhookSecret.allowed()))
}

/// The rule of the table: a secret as Standard Webhooks writes it, or any text that is long enough.
#[derive(Debug)]
pub struct WebhookSecret;

impl Rule for WebhookSecret {
    type Value = SigningKey;

    fn parse(&self, text: &str) -> Option<SigningKey> {
        let Some(encoded) = text.strip_prefix(SECRET_PREFIX) else {
            return TEXT_BYTES
                .contains(&text.len())
                .then(|| SigningKey::new(text.as_bytes().to_vec()));
        };
        let key = base64::decode(encoded)?;
        KEY_BYTES.contains(&key.len()).then(|| SigningKey::new(key))
    }

    fn allowed(&self) -> String {
        format!(
            "{SECRET_PREFIX} and a key of {} to {} bytes in base64, or a text of {} to {} bytes",
            KEY_BYTES.start(),
            KEY_BYTES.end(),
            TEXT_BYTES.start(),
            TEXT_BYTES.end()
        )
    }
}

#[cfg(test)]
mod tests;
