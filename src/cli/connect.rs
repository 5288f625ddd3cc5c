//! `weir check --connect`: everything between here and a group that works, point by point, each that fails with its fix.
//!
//! Reads only, save one script that writes and deletes a key of nobody's (see [`crate::redis_io::rights`]). Every step has a bound in
//! time, and the first that finds nobody there ends it: what follows could only fail for the same reason.

mod denied;
mod network;
mod points;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::time::Instant;

use crate::config::settings::{RedisAddress, Settings};
use crate::domain::backlog::Seen;
use crate::domain::recent::{CONSUMERS_ASKED_MAX, Consumers};
use crate::domain::server_facts::{ServerFacts, clock_skew};
use crate::exit_status::ExitStatus;
use crate::redis_io::connection::{self, Link};
use crate::redis_io::errors::{ErrorClass, RedisIoError};
use crate::redis_io::keys::Keys;
use crate::redis_io::rights::{self, Standing};
use crate::redis_io::{inspect, server};
use crate::runtime::clock;
use crate::runtime::container_name::{self, Roots};
use denied::Denied;
use points::{Point, Points};

/// Consumers that are named; the rest is counted.
const CONSUMERS_SHOWN: usize = 10;

/// Does the command with settings that are valid.
pub(super) fn main(
    settings: &Settings,
    environment: &[(OsString, OsString)],
    out: &mut dyn Write,
) -> ExitStatus {
    connection::install_tls_provider();
    let mut points = Points::new(out);
    let keys = Keys::new(&settings.consumer.stream, &settings.consumer.group);
    let mut check = Check {
        settings,
        link: Link::new(&settings.redis, &settings.service.name, "check"),
        keys,
        points: &mut points,
    };
    if check.network() && check.connection() {
        // An answer that does not come has been told, and the rest would wait for the next.
        let _ = check.redis(environment);
    }
    points.end()
}

struct Check<'a, 'b> {
    settings: &'a Settings,
    link: Link,
    keys: Keys,
    points: &'a mut Points<'b>,
}

/// The connection is gone; its point says why.
struct Gone;

impl Check<'_, '_> {
    /// Name and port, or the socket.
    fn network(&mut self) -> bool {
        let redis = &self.settings.redis;
        let (host, port) = match &redis.address {
            RedisAddress::Unix(path) => {
                let point = network::unix_socket(path);
                return self.points.add("socket", point);
            }
            RedisAddress::Tcp { host, port } => (host, *port),
        };
        let addresses = match network::resolve(host, port, redis.connect_timeout) {
            Ok(addresses) => addresses,
            Err(point) => return self.points.add("DNS", point),
        };
        self.points.add("DNS", network::found(host, &addresses));
        self.points
            .add("TCP", network::reach(&addresses, redis.connect_timeout))
    }

    /// TLS and AUTH, the way the service does both.
    fn connection(&mut self) -> bool {
        let tls = self.settings.redis.tls.as_ref();
        let local = match &self.settings.redis.address {
            RedisAddress::Unix(_) => true,
            RedisAddress::Tcp { host, .. } => network::is_loopback(host),
        };
        let off = || {
            if local {
                return Point::good("off: Redis is on this machine");
            }
            Point::doubt(
                "off: the password and all events cross the network in clear text",
                "set REDIS_TLS_ENABLED=true, where Redis has a TLS port",
            )
        };
        // Without a password the server takes the connection, and refuses the first command.
        let result = match self
            .link
            .ensure()
            .and_then(|_| inspect::ping(&mut self.link))
        {
            Err(error) if error.class == ErrorClass::Permission && error.operation == "PING" => {
                Ok(())
            }
            other => other,
        };
        let encrypted = || Point::good("the certificate's chain and name are good");
        if let Err(error) = &result
            && let Some((name, point)) = network::before_auth(error, self.settings)
        {
            return self.points.add(name, point);
        }
        self.points
            .add("TLS", if tls.is_some() { encrypted() } else { off() });
        match result {
            Ok(()) => {
                let user = self.settings.redis.user.as_deref().unwrap_or("default");
                self.points
                    .add("AUTH", Point::good(format!("accepted as user {user}")))
            }
            Err(error) => self
                .points
                .add("AUTH", network::auth_failure(&error, self.settings)),
        }
    }

    fn redis(&mut self, environment: &[(OsString, OsString)]) -> Result<(), Gone> {
        self.rights()?;
        self.server()?;
        self.clock()?;
        let Some(seen) = self.group()? else {
            return Ok(());
        };
        self.consumers(&seen, environment)
    }

    /// Puts an error of the connection under the name of what was asked.
    fn gone(&mut self, name: &'static str, error: &RedisIoError) -> Gone {
        self.points.add(name, network::lost(error));
        Gone
    }

    fn rights(&mut self) -> Result<(), Gone> {
        let all = rights::all(&self.keys);
        let mut denied = Denied::default();
        for right in &all {
            // Its script would leave a key behind where it may not delete.
            if right.name == "hsetnx" && (denied.has("del") || denied.has("eval")) {
                continue;
            }
            match right.ask(&mut self.link) {
                Ok(Standing::Permitted) => {}
                Ok(Standing::WrongType(error)) => denied.strange(right.key, &error),
                Ok(Standing::CommandDenied(_)) => denied.command(right.need, right.name),
                Ok(Standing::KeyDenied(_)) => {
                    denied.key(right.need, &self.keys.pattern(right.key));
                }
                Ok(Standing::Unknown(error)) => {
                    self.points.add("rights", network::unknown(&error));
                    return Ok(());
                }
                Err(error) => return Err(self.gone("rights", &error)),
            }
        }
        let user = self.settings.redis.user.as_deref().unwrap_or("default");
        let points = denied.points(user);
        if points.is_empty() {
            let text = format!("{user} has all {} that weir uses", count_names(&all));
            self.points.add("rights", Point::good(text));
        }
        for (name, point) in points {
            self.points.add(name, point);
        }
        Ok(())
    }

    fn server(&mut self) -> Result<(), Gone> {
        match server::facts(&mut self.link) {
            Ok(facts) => {
                let now = server::unix_ms(&mut self.link).ok().map(|ms| ms / 1_000);
                self.judge(&facts, now);
                Ok(())
            }
            Err(error) if error.class == ErrorClass::Permission => {
                let point = Point::doubt(
                    "version, eviction and persistence are told only to who may use INFO",
                    "the rule of the point above, or ask whoever runs the server",
                );
                self.points.add("server", point);
                Ok(())
            }
            Err(error) => Err(self.gone("server", &error)),
        }
    }

    fn judge(&mut self, facts: &ServerFacts, now_unix_s: Option<u64>) {
        self.points.add("server", facts.server());
        self.points.add("eviction", facts.eviction());
        self.points
            .add("persistence", facts.persistence(now_unix_s));
    }

    fn clock(&mut self) -> Result<(), Gone> {
        let (asked, began) = (clock::unix_ms(), Instant::now());
        match server::unix_ms(&mut self.link) {
            Ok(theirs) => {
                let waited = clock::millis(began.elapsed());
                self.points.add("clock", clock_skew(asked, theirs, waited));
                Ok(())
            }
            // The point of the rights has named it.
            Err(error) if error.class == ErrorClass::Permission => Ok(()),
            Err(error) => Err(self.gone("clock", &error)),
        }
    }

    /// Stream and group; `None` where there is none yet.
    fn group(&mut self) -> Result<Option<Seen>, Gone> {
        let (stream, group) = (&self.keys.stream, &self.keys.group);
        match inspect::look(&mut self.link, &self.keys) {
            Ok(seen) => {
                let text = format!("{stream} has {} entries", seen.length);
                self.points.add("stream", Point::good(text));
                let behind = match (seen.counted_all, seen.lag) {
                    (true, _) => format!("{} entries to read", seen.counted),
                    (false, Some(lag)) => format!("{lag} entries to read"),
                    (false, None) => format!("more than {} entries to read", seen.counted),
                };
                let text = format!("{group} has {behind} and {} pending", seen.pending);
                self.points.add("group", Point::good(text));
                Ok(Some(seen))
            }
            Err(error) if error.class == ErrorClass::Repair => {
                let start = self.settings.consumer.group_start.as_id();
                let text = format!(
                    "{group} on {stream} does not exist yet: the first start makes it, beginning at {start}"
                );
                self.points.add("group", Point::good(text));
                Ok(None)
            }
            // Named by the points of the rights.
            Err(error) if matches!(error.class, ErrorClass::Permission | ErrorClass::WrongType) => {
                Ok(None)
            }
            Err(error) => Err(self.gone("group", &error)),
        }
    }

    fn consumers(&mut self, seen: &Seen, environment: &[(OsString, OsString)]) -> Result<(), Gone> {
        let point = if seen.consumers > CONSUMERS_ASKED_MAX {
            let text = format!("{} of them", seen.consumers);
            Point::doubt(
                text,
                "CONSUMER_EXPIRY_MS has those of other software removed",
            )
        } else {
            match inspect::consumers(&mut self.link, &self.keys) {
                Ok(consumers) => Point::good(described(&consumers)),
                Err(error) if error.class == ErrorClass::Permission => return Ok(()),
                Err(error) => return Err(self.gone("consumers", &error)),
            }
        };
        self.points.add("consumers", point);
        let variable = |name: &str| {
            let found = environment
                .iter()
                .find(|(other, _)| other == OsStr::new(name));
            found
                .and_then(|(_, value)| value.to_str())
                .map(str::to_owned)
        };
        let (name, source) = container_name::consumer_name(
            variable,
            self.settings.consumer.name.as_deref(),
            &self.settings.service.name,
            &Roots::default(),
        );
        let point = match server::name_is_held(&mut self.link, &self.keys, &name) {
            Ok(false) => Point::good(format!("{name} (from {source}) is free")),
            Ok(true) => Point::good(format!(
                "{name} (from {source}) is in use by a running weir: one more of that name calls itself {name}-2 or higher"
            )),
            Err(error) if error.class == ErrorClass::Permission => return Ok(()),
            Err(error) => return Err(self.gone("name", &error)),
        };
        self.points.add("name", point);
        Ok(())
    }
}

fn count_names(all: &[rights::Right<'_>]) -> usize {
    let mut names: Vec<&str> = all.iter().map(|right| right.name).collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

fn described(consumers: &Consumers) -> String {
    let shown: Vec<String> = consumers
        .shown
        .iter()
        .take(CONSUMERS_SHOWN)
        .map(|consumer| {
            let idle = consumer.idle_ms / 1_000;
            format!(
                "{} ({} pending, idle {idle} s)",
                consumer.name, consumer.pending
            )
        })
        .collect();
    let rest = consumers.total - shown.len() as u64;
    match (shown.is_empty(), rest) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(", "),
        (false, rest) => format!("{}, and {rest} more", shown.join(", ")),
    }
}
