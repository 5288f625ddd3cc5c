//! Pure rules: values in, values out. No IO, no clock, no threads, no logging; imports std, serde, `serde_json`, jiff, croner,
//! foldhash and `miniz_oxide` only.

pub mod backlog;
pub mod backoff;
pub mod base64;
pub mod breaker;
pub mod container_id;
pub mod correlation;
pub mod delayed;
pub mod digest;
pub mod disposition;
pub mod entry_codec;
pub mod entry_id;
pub mod escape;
pub mod event;
pub mod event_json;
pub mod event_line;
pub mod fields;
pub mod gathering;
pub mod globs;
mod headers;
pub mod health;
pub mod joining;
mod json_members;
pub mod lanes;
pub mod letters;
pub mod lot;
pub mod mask;
pub mod outgoing;
pub mod packed;
pub mod pause;
pub mod place;
pub mod publishing;
pub mod rate_limit;
pub mod recent;
pub mod retried;
pub mod schedule;
pub mod server_facts;
pub mod supervision;
pub mod test_event;
#[cfg(test)]
mod test_support;
pub mod timed;
pub mod timestamp;
pub mod trace_context;
pub mod webhook;
pub mod wire;
pub mod zones;

/// Milliseconds on the boot-time clock (Linux `CLOCK_BOOTTIME`): never jumps, goes on while the machine is suspended. All
/// leases, deadlines and ages inside weir are in this unit, passed as an argument to code that decides.
pub type Millis = u64;
