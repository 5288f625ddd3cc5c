//! Free ports of 127.0.0.1.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// First port handed out. Below the range the kernel takes for outgoing connections (32768 and up on Linux): a client that
/// tries again and again to reach a closed port in that range can end up connected to itself.
const FIRST: u32 = 20_000;
/// How many ports are tried in turn.
const COUNT: u32 = 12_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port nobody listened on a moment ago. Another process may take it before the caller does: then try another.
pub fn free() -> u16 {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    let start = std::process::id()
        .wrapping_mul(7_919)
        .wrapping_add(nanos / 1_000);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port =
            u16::try_from(FIRST + start.wrapping_add(step * 13) % COUNT).expect("below 65536");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
