//! What the server tells of itself: `INFO`, its clock, who holds a name. Only `weir check --connect` asks.

use std::time::Duration;

use super::connection::Link;
use super::errors::RedisIoError;
use super::keys::Keys;
use super::values;
use crate::domain::server_facts::ServerFacts;

/// What `INFO` says.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`]; `Permission` where the user may not ask.
pub fn facts(link: &mut Link) -> Result<ServerFacts, RedisIoError> {
    let answer = link.query("INFO", "server", &redis::cmd("INFO"), Duration::ZERO)?;
    let text = values::text(answer).ok_or_else(|| RedisIoError::unexpected("INFO", "server"))?;
    Ok(ServerFacts::parse(&text))
}

/// The server's clock, milliseconds since 1970.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`].
pub fn unix_ms(link: &mut Link) -> Result<u64, RedisIoError> {
    let answer = link.query("TIME", "server", &redis::cmd("TIME"), Duration::ZERO)?;
    let parts = values::array(answer).unwrap_or_default();
    let numbers: Vec<u64> = parts.iter().filter_map(values::number).collect();
    match numbers[..] {
        [seconds, micros] => Ok(seconds * 1_000 + micros / 1_000),
        _ => Err(RedisIoError::unexpected("TIME", "server")),
    }
}

/// Whether a living process, or one that has just died, holds this consumer name.
///
/// # Errors
/// As sorted by [`super::errors::ErrorClass`].
pub fn name_is_held(link: &mut Link, keys: &Keys, name: &str) -> Result<bool, RedisIoError> {
    let lease = keys.lease(name);
    let command = redis::cmd("EXISTS").arg(&lease).clone();
    let answer = link.query("EXISTS", &lease, &command, Duration::ZERO)?;
    Ok(values::number(&answer) == Some(1))
}
