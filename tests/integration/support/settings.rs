//! Settings as a service has them, for tests that use its parts.

use std::ffi::OsString;

use weir::config::load;
use weir::config::settings::Settings;

use super::TestRedis;

/// Those of a service of that name at this Redis, and these more.
pub fn of(redis: &TestRedis, service: &str, more: &[(&str, &str)]) -> Settings {
    let port = redis.port().to_string();
    let variables = [
        ("REDIS_HOST", "127.0.0.1"),
        ("REDIS_PORT", port.as_str()),
        ("SERVICE_NAME", service),
    ];
    let variables = variables.iter().chain(more);
    let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load(variables).unwrap().settings
}
