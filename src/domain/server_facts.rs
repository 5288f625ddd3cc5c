//! What a Redis server says of itself in `INFO`, as far as it matters to a stream that must not vanish; and what follows from it.
//!
//! Read by `weir check --connect`. Managed servers leave lines out: what is not told is `None`, never taken for a no.

use std::fmt;

/// The oldest version weir works with.
pub const VERSION_MIN: (u32, u32) = (6, 2);

/// The clocks of this machine and of Redis may differ by so much, milliseconds: test events and delays are that exact.
pub const SKEW_NOTED_MS: u64 = 1_000;

/// From here on times in the log and ids no longer fit together, milliseconds.
pub const SKEW_WRONG_MS: u64 = 60_000;

/// The lines of `INFO` that are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerFacts {
    /// `valkey`, or `redis` where nothing else is said.
    pub software: String,
    /// Its version.
    pub version: Option<String>,
    /// `master` or `slave`.
    pub role: Option<String>,
    /// Cluster mode.
    pub cluster: Option<bool>,
    /// Most memory, bytes; 0 is no bound.
    pub maxmemory: Option<u64>,
    /// What goes when memory is full.
    pub policy: Option<String>,
    /// The append-only file is on.
    pub appendonly: Option<bool>,
    /// The last write to it succeeded.
    pub appendonly_ok: Option<bool>,
    /// The last snapshot succeeded.
    pub snapshot_ok: Option<bool>,
    /// When the last snapshot was written, or the server started, seconds since 1970.
    pub snapshot_unix_s: Option<u64>,
    /// Writes since then.
    pub unsaved: Option<u64>,
    /// How long it runs, seconds.
    pub uptime_s: Option<u64>,
}

/// What follows from a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// As it should be.
    Good(String),
    /// Worth knowing; weir works.
    Doubt {
        /// What is so.
        what: String,
        /// What to do about it.
        fix: String,
    },
    /// Events can be lost, or weir cannot work.
    Bad {
        /// What is so.
        what: String,
        /// What to do about it.
        fix: String,
    },
}

fn good(what: impl fmt::Display) -> Finding {
    Finding::Good(what.to_string())
}

fn doubt(what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding::Doubt {
        what: what.into(),
        fix: fix.into(),
    }
}

fn bad(what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding::Bad {
        what: what.into(),
        fix: fix.into(),
    }
}

impl ServerFacts {
    /// Reads the answer of `INFO`; lines that are not known are left out.
    pub fn parse(info: &str) -> Self {
        let line = |name: &str| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            lines
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.trim().to_owned())
        };
        let number = |name: &str| line(name).and_then(|value| value.parse().ok());
        let flag = |name: &str, yes: &str| line(name).map(|value| value == yes);
        let valkey = line("valkey_version");
        Self {
            software: if valkey.is_some() { "Valkey" } else { "Redis" }.to_owned(),
            version: valkey.or_else(|| line("redis_version")),
            role: line("role"),
            cluster: flag("cluster_enabled", "1"),
            maxmemory: number("maxmemory"),
            policy: line("maxmemory_policy"),
            appendonly: flag("aof_enabled", "1"),
            appendonly_ok: flag("aof_last_write_status", "ok"),
            snapshot_ok: flag("rdb_last_bgsave_status", "ok"),
            snapshot_unix_s: number("rdb_last_save_time"),
            unsaved: number("rdb_changes_since_last_save"),
            uptime_s: number("uptime_in_seconds"),
        }
    }

    /// Version and role.
    pub fn server(&self) -> Finding {
        let Some(version) = &self.version else {
            return doubt(
                "it does not tell its version",
                "weir needs Redis 6.2 or newer, or Valkey",
            );
        };
        let name = format!("{} {version}", self.software);
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        if found < VERSION_MIN {
            return bad(name, "weir needs Redis 6.2 or newer, or Valkey: upgrade it");
        }
        if self.role.as_deref() == Some("slave") {
            return bad(
                format!("{name}, a replica: it refuses writes"),
                "set REDIS_HOST and REDIS_PORT to the primary",
            );
        }
        if self.cluster == Some(true) {
            return doubt(
                format!("{name} in cluster mode"),
                "weir speaks to one server: this works only while this node has the stream's slot",
            );
        }
        good(name)
    }

    /// What goes when memory is full.
    pub fn eviction(&self) -> Finding {
        const FIX: &str = "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf";
        let Some(policy) = &self.policy else {
            return doubt(
                "it does not tell maxmemory-policy",
                "see to it that it is noeviction",
            );
        };
        let what = match self.maxmemory {
            Some(0) => format!("{policy}, no maxmemory"),
            Some(bytes) => format!("{policy} at maxmemory {bytes}"),
            None => policy.clone(),
        };
        match policy.as_str() {
            "noeviction" => good(what),
            // Nothing goes while there is no bound.
            _ if self.maxmemory == Some(0) => {
                doubt(format!("{what}: nothing goes as long as that is so"), FIX)
            }
            policy if policy.starts_with("volatile-") => doubt(
                format!(
                    "{what}: names that replicas hold and answers kept for Idempotency-Key may go"
                ),
                FIX,
            ),
            _ => bad(
                format!("{what}: when memory is full the whole stream may go"),
                FIX,
            ),
        }
    }

    /// What is left after a crash of the server; `now_unix_s` by its own clock.
    pub fn persistence(&self, now_unix_s: Option<u64>) -> Finding {
        const FIX: &str = "CONFIG SET appendonly yes, and the same in redis.conf";
        if self.appendonly == Some(true) {
            return match self.appendonly_ok {
                Some(false) => bad(
                    "appendonly yes, but the last write to the file failed",
                    "look at the disk of the Redis server and at its log",
                ),
                _ => good("appendonly yes"),
            };
        }
        let Some(false) = self.appendonly else {
            return doubt("it does not tell", "see to it that appendonly is yes");
        };
        if self.snapshot_ok == Some(false) {
            return bad(
                "appendonly no, and the last snapshot failed",
                format!("look at the disk of the Redis server and at its log; then {FIX}"),
            );
        }
        let age = |at: u64| now_unix_s.map(|now| now.saturating_sub(at));
        let lost = match (
            self.snapshot_unix_s.and_then(age),
            self.uptime_s,
            self.unsaved,
        ) {
            // The moment of the start stands for a snapshot there.
            (Some(age), Some(uptime), Some(unsaved)) if unsaved > 0 && age >= uptime => {
                format!(
                    "no snapshot since it started {uptime} s ago, {unsaved} writes are in memory only"
                )
            }
            (Some(age), _, Some(unsaved)) => {
                format!("the last snapshot is {age} s old, {unsaved} writes are in memory only")
            }
            _ => "snapshots at most".to_owned(),
        };
        doubt(format!("appendonly no: {lost}"), FIX)
    }
}

/// The clock of Redis and ours. `waited_ms` is how long its answer took: so much of the difference means nothing.
pub fn clock_skew(ours_unix_ms: u64, redis_unix_ms: u64, waited_ms: u64) -> Finding {
    const FIX: &str = "set both clocks by NTP (timedatectl set-ntp true)";
    let apart = ours_unix_ms
        .abs_diff(redis_unix_ms)
        .saturating_sub(waited_ms);
    let side = if ours_unix_ms > redis_unix_ms {
        "behind"
    } else {
        "ahead of"
    };
    match apart {
        0..SKEW_NOTED_MS => good(format!("Redis' clock and ours are {apart} ms apart")),
        SKEW_NOTED_MS..SKEW_WRONG_MS => {
            doubt(format!("Redis' clock is {apart} ms {side} ours"), FIX)
        }
        _ => bad(
            format!(
                "Redis' clock is {apart} ms {side} ours: schedules, delayed events and ages are wrong by as much"
            ),
            FIX,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(finding: &Finding) -> &'static str {
        match finding {
            Finding::Good(_) => "good",
            Finding::Doubt { .. } => "doubt",
            Finding::Bad { .. } => "bad",
        }
    }

    #[test]
    fn info_is_read_line_by_line_and_what_is_missing_is_not_known() {
        let facts = ServerFacts::parse(
            "# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:9\r\n# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n\
             aof_enabled:0\r\nrdb_last_bgsave_status:err\r\nrole:master\r\n",
        );
        assert_eq!(facts.version.as_deref(), Some("7.0.15"));
        assert_eq!(facts.software, "Redis");
        assert_eq!((facts.uptime_s, facts.maxmemory), (Some(9), Some(0)));
        assert_eq!(
            (facts.appendonly, facts.snapshot_ok),
            (Some(false), Some(false))
        );
        assert_eq!((facts.cluster, facts.unsaved), (None, None));
        let valkey = ServerFacts::parse("redis_version:7.2.4\r\nvalkey_version:9.0.1\r\n");
        assert_eq!(valkey.server(), good("Valkey 9.0.1"));
        for finding in [
            ServerFacts::default().server(),
            ServerFacts::default().eviction(),
            ServerFacts::default().persistence(None),
        ] {
            assert_eq!(kind(&finding), "doubt");
        }
    }

    #[test]
    fn old_servers_replicas_and_clusters_are_told_apart() {
        let server = |version: &str, role: &str, cluster: bool| {
            let facts = ServerFacts {
                version: Some(version.to_owned()),
                role: Some(role.to_owned()),
                cluster: Some(cluster),
                ..ServerFacts::default()
            };
            kind(&facts.server())
        };
        for (version, role, cluster, expected) in [
            ("6.2.0", "master", false, "good"),
            ("6.1.9", "master", false, "bad"),
            ("5.0.14", "master", false, "bad"),
            ("10.0", "master", false, "good"),
            ("7.0.15", "slave", false, "bad"),
            ("7.0.15", "master", true, "doubt"),
        ] {
            assert_eq!(server(version, role, cluster), expected, "{version} {role}");
        }
    }

    #[test]
    fn only_what_may_take_the_stream_is_bad() {
        let eviction = |policy: &str, maxmemory| {
            let facts = ServerFacts {
                policy: Some(policy.to_owned()),
                maxmemory,
                ..ServerFacts::default()
            };
            kind(&facts.eviction())
        };
        for (policy, maxmemory, expected) in [
            ("noeviction", Some(0), "good"),
            ("noeviction", Some(100), "good"),
            ("allkeys-lru", Some(100), "bad"),
            ("allkeys-random", None, "bad"),
            ("allkeys-lru", Some(0), "doubt"),
            ("volatile-ttl", Some(100), "doubt"),
        ] {
            assert_eq!(
                eviction(policy, maxmemory),
                expected,
                "{policy} {maxmemory:?}"
            );
        }
    }

    #[test]
    fn persistence_tells_how_much_a_crash_would_take() {
        let base = ServerFacts {
            appendonly: Some(false),
            snapshot_ok: Some(true),
            snapshot_unix_s: Some(1_000),
            unsaved: Some(7),
            uptime_s: Some(500),
            ..ServerFacts::default()
        };
        let text = |facts: &ServerFacts, now| match facts.persistence(Some(now)) {
            Finding::Good(what) | Finding::Doubt { what, .. } | Finding::Bad { what, .. } => what,
        };
        assert_eq!(
            text(&base, 1_499),
            "appendonly no: the last snapshot is 499 s old, 7 writes are in memory only"
        );
        assert_eq!(
            text(&base, 1_500),
            "appendonly no: no snapshot since it started 500 s ago, 7 writes are in memory only"
        );
        let on = |ok| ServerFacts {
            appendonly: Some(true),
            appendonly_ok: Some(ok),
            ..base.clone()
        };
        assert_eq!(on(true).persistence(None), good("appendonly yes"));
        assert_eq!(kind(&on(false).persistence(None)), "bad");
        let failed = ServerFacts {
            snapshot_ok: Some(false),
            ..base
        };
        assert_eq!(kind(&failed.persistence(None)), "bad");
    }

    #[test]
    fn clocks_are_judged_on_both_sides_of_each_limit() {
        for (ours, redis, waited, expected) in [
            (10_000, 10_999, 0, "good"),
            (10_000, 11_000, 0, "doubt"),
            (11_000, 10_000, 0, "doubt"),
            (11_000, 10_000, 1, "good"),
            (100_000, 159_999, 0, "doubt"),
            (100_000, 160_000, 0, "bad"),
            (160_000, 100_000, 0, "bad"),
        ] {
            assert_eq!(
                kind(&clock_skew(ours, redis, waited)),
                expected,
                "{ours} {redis} {waited}"
            );
        }
    }
}
