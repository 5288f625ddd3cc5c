//! Pure rules: values in, values out. No IO, no clock, no threads, no logging; imports std, serde, `serde_json` and jiff only.

pub mod correlation;
pub mod entry_codec;
pub mod entry_id;
pub mod event;
pub mod health;

/// Milliseconds on the boot-time clock (Linux `CLOCK_BOOTTIME`): never jumps, goes on while the machine is suspended. All
/// leases, deadlines and ages inside weir are in this unit, passed as an argument to code that decides.
pub type Millis = u64;
