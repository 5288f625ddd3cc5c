//! What is shared with the integration tests: a Redis of one's own, processes, ports, waiting.
#![allow(dead_code, reason = "each test binary uses its part")]

#[path = "../integration/support/certs.rs"]
pub mod certs;
#[path = "../integration/support/http.rs"]
pub mod http;
#[path = "../integration/support/ports.rs"]
pub mod ports;
#[path = "../integration/support/process.rs"]
pub mod process;
#[path = "../integration/support/redis_client.rs"]
pub mod redis_client;
#[path = "../integration/support/test_redis.rs"]
pub mod test_redis;
#[path = "../integration/support/wait.rs"]
pub mod wait;
