//! Every limit of the gate: name, default, reason. Read by the gate; set by the service, and by tests that cannot wait a minute.
//!
//! The values come from measurements under attack (November 2026: 2,000 hostile connections, 2 cores). Deadlines are absolute: bytes
//! that trickle in do not move them.

use std::fmt;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Most places in the table, if the descriptors allow it: more did not help honest clients and costs memory.
pub const CONNECTIONS_MAX: usize = 512;

/// Fewer places than this leave nothing between the places kept for loopback and the first flood: start-up is refused.
pub const CONNECTIONS_MIN: usize = 16;

/// Descriptors left for everything that is not a client connection: logs, libraries, name lookups, the poll itself.
pub const DESCRIPTORS_KEPT: usize = 64;

/// The limits of one gate.
#[derive(Debug, Clone)]
pub struct GateLimits {
    /// Places in the table. Default 512; see [`GateLimits::for_this_process`].
    pub connections: usize,
    /// Places only loopback may take, so that `weir healthcheck` gets through. Default 8.
    pub loopback_places: usize,
    /// Connections accepted in one pass, so that a storm of them cannot hold up those already here. Default 64.
    pub accepts_per_pass: usize,
    /// A request head, bytes, the empty line included; more is 431. Default 8 KiB.
    pub head_bytes_max: usize,
    /// Header lines of a request; more is 431. Default 64.
    pub headers_max: usize,
    /// The request target, bytes; more is 414. Default 2 KiB.
    pub uri_bytes_max: usize,
    /// A request body, bytes, whatever the route allows; more is 413. Default 1 MiB.
    pub body_bytes_max: usize,
    /// Requests answered on one connection, then it is closed; so that no client keeps a place for ever. Default 1000.
    pub requests_per_connection_max: u64,
    /// An answer of a worker, bytes; more becomes a 502. Default 2 MiB, so that one fits the budget beside others.
    pub answer_bytes_max: usize,
    /// Everything held for clients together (partial heads and bodies, queued requests, unsent answers), bytes; beyond
    /// it the oldest goes first. Default 4 MiB.
    pub held_bytes_max: usize,
    /// Discarded after an answer that closes, bytes, so that the client can read its answer before it meets a reset. Default 256 KiB.
    pub linger_bytes_max: usize,
    /// For a head, from the accept or its first byte; then 408. Default 5 s.
    pub head_timeout: Duration,
    /// A head younger than this is evicted last of all: it is most likely an honest client that has just connected. Default 250 ms.
    pub young_head: Duration,
    /// For a body, from the end of its head; then 408. Default 10 s.
    pub body_timeout: Duration,
    /// For the answer of a worker, the queue included; then 504, or 503 when no worker had begun. Default 10 s.
    pub wait_timeout: Duration,
    /// For the client to take its answer; then the connection is dropped. Default 10 s.
    pub write_timeout: Duration,
    /// Between two requests. Default 60 s, above what common proxies keep: else they meet connections about to close.
    pub idle_timeout: Duration,
    /// For discarding, see [`GateLimits::linger_bytes_max`]. Default 1 s.
    pub linger_timeout: Duration,
    /// For heads and bodies once the gate is stopping. Default 1 s.
    pub stopping_timeout: Duration,
    /// How often deadlines are looked at while somebody is connected, so how late they may be. Default 100 ms.
    pub sweep_interval: Duration,
}

impl Default for GateLimits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            loopback_places: 8,
            accepts_per_pass: 64,
            head_bytes_max: 8 * 1024,
            headers_max: 64,
            uri_bytes_max: 2 * 1024,
            body_bytes_max: 1024 * 1024,
            requests_per_connection_max: 1000,
            answer_bytes_max: 2 * 1024 * 1024,
            held_bytes_max: 4 * 1024 * 1024,
            linger_bytes_max: 256 * 1024,
            head_timeout: Duration::from_secs(5),
            young_head: Duration::from_millis(250),
            body_timeout: Duration::from_secs(10),
            wait_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            linger_timeout: Duration::from_secs(1),
            stopping_timeout: Duration::from_secs(1),
            sweep_interval: Duration::from_millis(100),
        }
    }
}

impl GateLimits {
    /// The defaults, with as many places as this process may open descriptors for. `reserve` is what the rest of the service needs
    /// (connections to Redis, handlers' connections, pipes of commands).
    ///
    /// Raises the soft limit of open files towards the hard one, only as far as needed: a limit of millions makes child
    /// processes slow that close everything they inherit.
    ///
    /// # Errors
    /// [`LimitError::TooFewDescriptors`]: the operator must raise the limit of open files.
    pub fn for_this_process(reserve: usize) -> Result<Self, LimitError> {
        let wanted = CONNECTIONS_MAX + DESCRIPTORS_KEPT + reserve;
        let connections = places_for(raise_descriptors(wanted), reserve)?;
        Ok(Self {
            connections,
            ..Self::default()
        })
    }

    /// Whether the limits agree with each other.
    ///
    /// # Errors
    /// [`LimitError::Contradiction`] names the pair that does not.
    pub fn check(&self) -> Result<(), LimitError> {
        for (good, problem) in [
            (
                self.connections > self.loopback_places,
                "connections must exceed loopback_places",
            ),
            (
                self.body_bytes_max <= self.held_bytes_max / 4,
                "body_bytes_max must be at most a quarter of held_bytes_max",
            ),
            (
                self.answer_bytes_max <= self.held_bytes_max / 2,
                "answer_bytes_max must be at most half of held_bytes_max",
            ),
            (
                self.uri_bytes_max < self.head_bytes_max,
                "uri_bytes_max must be below head_bytes_max",
            ),
            (
                self.head_bytes_max <= self.held_bytes_max / 16,
                "head_bytes_max must be at most a sixteenth of held_bytes_max",
            ),
            (
                self.accepts_per_pass > 0,
                "accepts_per_pass must be above zero",
            ),
            (
                !self.sweep_interval.is_zero(),
                "sweep_interval must be above zero",
            ),
        ] {
            if !good {
                return Err(LimitError::Contradiction(problem));
            }
        }
        Ok(())
    }
}

/// Why the limits cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitError {
    /// The process may open too few files.
    TooFewDescriptors {
        /// What it may open.
        allowed: usize,
        /// The least the gate and the rest of the service need.
        needed: usize,
    },
    /// Two limits contradict each other.
    Contradiction(&'static str),
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewDescriptors { allowed, needed } => write!(
                f,
                "the limit of open files is {allowed}, at least {needed} are needed"
            ),
            Self::Contradiction(problem) => write!(f, "limits of the gate: {problem}"),
        }
    }
}

impl std::error::Error for LimitError {}

/// How many places `allowed` descriptors are good for.
fn places_for(allowed: usize, reserve: usize) -> Result<usize, LimitError> {
    let places = allowed
        .saturating_sub(DESCRIPTORS_KEPT + reserve)
        .min(CONNECTIONS_MAX);
    if places < CONNECTIONS_MIN {
        return Err(LimitError::TooFewDescriptors {
            allowed,
            needed: CONNECTIONS_MIN + DESCRIPTORS_KEPT + reserve,
        });
    }
    Ok(places)
}

/// Raises the soft limit of open files to `wanted` as far as the hard one allows; answers what holds then.
fn raise_descriptors(wanted: usize) -> usize {
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    let limit = getrlimit(Resource::Nofile);
    // `None` stands for "no limit".
    let current = limit.current.unwrap_or(u64::MAX);
    let target = wanted.min(limit.maximum.unwrap_or(u64::MAX));
    let raised = current < target
        && setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(target),
                maximum: limit.maximum,
            },
        )
        .is_ok();
    usize::try_from(if raised { target } else { current }).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_follow_the_descriptors() {
        for (allowed, reserve, places) in [
            (1024, 32, Some(512)),
            (608, 32, Some(512)),
            (607, 32, Some(511)),
            (112, 32, Some(16)),
            (111, 32, None),
            (0, 0, None),
            (usize::MAX, 0, Some(512)),
        ] {
            assert_eq!(places_for(allowed, reserve).ok(), places, "{allowed}");
        }
        assert_eq!(
            places_for(100, 32),
            Err(LimitError::TooFewDescriptors {
                allowed: 100,
                needed: 112
            })
        );
    }

    #[test]
    fn the_defaults_agree_with_each_other_and_contradictions_are_named() {
        assert_eq!(GateLimits::default().check(), Ok(()));
        let limits = GateLimits {
            body_bytes_max: 1024 * 1024 + 1,
            ..GateLimits::default()
        };
        assert!(limits.check().is_err());
        let limits = GateLimits {
            loopback_places: 512,
            ..GateLimits::default()
        };
        assert!(limits.check().is_err());
    }

    #[test]
    fn this_process_gets_a_usable_table() {
        let limits = GateLimits::for_this_process(32).expect("tests have descriptors");
        assert!((CONNECTIONS_MIN..=CONNECTIONS_MAX).contains(&limits.connections));
        assert_eq!(limits.check(), Ok(()));
    }
}
