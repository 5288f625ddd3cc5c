//! The webhook handler against a real HTTP server: what it sends, what answers mean, and what a target that misbehaves costs.

mod answers;
mod reach;
mod select;
mod sent;

use std::time::Duration;

use crate::support::redis_client::STREAM;
use crate::support::test_service::{SERVICE_NAME, ServiceOptions};
use crate::support::{Target, TestRedis, TestService, wait_until};

const SOON: Duration = Duration::from_secs(20);

/// A service that sends to `target`, and tries again at once.
fn configure(redis: &TestRedis, target: &Target) -> ServiceOptions {
    TestService::configure(redis)
        .variable("HANDLER_URL", target.url())
        .variable("RETRY_BACKOFF_MS", "10")
        .variable("RETRY_BACKOFF_MAX_MS", "50")
}

#[track_caller]
fn wait_settled(redis: &TestRedis) {
    wait_until("everything settled", SOON, || {
        redis.settled(STREAM, SERVICE_NAME)
    });
}

/// `weir-reason` and `weir-error` of all dead letters with their events' names.
fn dead_letters(redis: &TestRedis) -> Vec<(String, String, String)> {
    let letters = redis.dead_letters();
    letters
        .iter()
        .map(|letter| {
            let text = |name| letter.text(name).unwrap_or_default();
            (text("event"), text("weir-reason"), text("weir-error"))
        })
        .collect()
}
