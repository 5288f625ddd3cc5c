//! What every connection of a gate shares, and the answers the gate makes itself.
//!
//! Used by the gate's loop and its connections.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use mio::Registry;
use mio::net::TcpStream;
use nanoid::{alphabet, rngs};

use crate::domain::correlation;
use crate::runtime::clock;
use crate::runtime::metrics::http::Asked;

use super::answer;
use super::count::Counting;
use super::exchange::Queued;
use super::gate::{AnswerHealth, Judge, RenderError};
use super::limits::GateLimits;

/// The random part of a fresh correlation id, characters: 72 bits.
const RANDOM_CHARACTERS: usize = 12;

/// What every connection of a gate shares.
pub(super) struct Common {
    pub(super) limits: GateLimits,
    pub(super) judge: Judge,
    pub(super) render: RenderError,
    pub(super) health: AnswerHealth,
    pub(super) queue: Sender<Queued>,
    pub(super) registry: Registry,
    /// Where bytes arrive before they are somebody's.
    pub(super) scratch: Vec<u8>,
    /// The time of this pass.
    pub(super) now: Instant,
    /// No connection is kept alive any more.
    pub(super) stopping: bool,
    /// Counts the requests read to their end, so that a late answer never meets another request.
    pub(super) generation: u64,
    pub(super) counting: Counting,
}

/// An answer of the gate's own.
pub(super) fn error_answer(
    status: u16,
    detail: &str,
    correlation_id: Option<String>,
    headers: &[(&str, String)],
    head_only: bool,
    common: &Common,
) -> Vec<u8> {
    let correlation_id = correlation_id.unwrap_or_else(fresh_correlation_id);
    (common.render)(status, detail, &correlation_id, headers, head_only)
}

pub(super) fn fresh_correlation_id() -> String {
    let random = nanoid::format(rngs::thread_local, &alphabet::SAFE, RANDOM_CHARACTERS);
    correlation::fresh(clock::unix_ms(), &random)
}

/// Tells a newcomer, as far as its socket takes it at once, that there is no place.
pub(super) fn turn_away_newcomer(stream: &TcpStream, common: &Common) -> io::Result<usize> {
    let bytes = error_answer(503, "all places are taken", None, &[], false, common);
    common
        .counting
        .answered(Asked::default(), &bytes, Duration::ZERO);
    let mut stream = stream;
    stream.write(&answer::add_close(bytes))
}
