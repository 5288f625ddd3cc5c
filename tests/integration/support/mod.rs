//! What every behaviour's tests use: a Redis of their own, a running weir, an HTTP client that sends literal bytes.
//!
//! Nothing here asserts a behaviour of weir; it only starts, stops, sends, reads and waits, each with a deadline.

pub mod certs;
pub mod exposition;
pub mod hostile;
pub mod http;
pub mod http_client;
pub mod manager;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod redis_client;
pub mod settings;
pub mod target;
pub mod test_gate;
pub mod test_redis;
pub mod test_service;
pub mod unix_http;
pub mod wait;
pub mod writer;

pub use target::{Reply, Target};
pub use test_redis::TestRedis;
pub use test_service::TestService;
pub use wait::{wait_until, within};
