//! An application whose board and publisher are in a test's hands.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::tz::TimeZone;
use zeroize::Zeroizing;

use super::access::Access;
use super::app::{App, Inside, Moment, NotAccepted, PublishOrder};
use super::exchange::{Method, Request, Token};
use super::overview::Beside;
use super::respond::Reply;
use super::route::handle;
use super::status::Asker;
use crate::config::settings::{PublishingSettings, ServiceIdentity};
use crate::domain::health::{Activity, HealthLimits, Loop, LoopState, Phase};
use crate::domain::mask::{AggregateIds, Masking};
use crate::domain::rate_limit::RateLimit;
use crate::runtime::board::Board;
use crate::runtime::calls::Calls;
use crate::runtime::shutdown::{ShutdownTrigger, shutdown_pair};

/// The one key of a test app.
pub(crate) const API_KEY: &str = "test-key-0123456789";

pub(crate) const AT: Moment = Moment {
    now: 100_000,
    unix_ms: 1_751_154_013_653,
};

/// An app whose publisher accepts `room` orders and keeps them.
pub(crate) struct TestApp {
    pub(crate) app: App,
    pub(crate) orders: Arc<Mutex<Vec<PublishOrder>>>,
    /// Who has asked for the status.
    pub(crate) askers: Arc<Mutex<Vec<Asker>>>,
    pub(crate) shutdown: ShutdownTrigger,
}

pub(crate) fn test_app(room: usize) -> TestApp {
    let orders = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&orders);
    let askers = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&askers);
    let (trigger, shutdown) = shutdown_pair();
    let board = Board::default();
    board.update(|observed| {
        observed.phase = Phase::Running;
        observed.consumer = Some("orders-1".into());
        observed.redis.last_ok = Some(AT.now - 500);
        observed.redis.latency_us = Some(1234);
        observed.redis.last_check_unix_ms = Some(AT.unix_ms - 500);
        for which in [Loop::Reader, Loop::Dispatcher, Loop::Settler] {
            let state = LoopState {
                beat: AT.now,
                activity: Activity::Working,
                reason: None,
                limit: 5000,
            };
            observed.loops.insert(which, state);
        }
    });
    let app = App {
        board,
        identity: ServiceIdentity {
            name: "orders".into(),
            version: "1.2.3".into(),
            environment: "test".into(),
        },
        timezone: TimeZone::UTC,
        stream: "event-stream".into(),
        group: "orders".into(),
        health_limits: HealthLimits {
            degraded_window: 300_000,
            lag_warn: 10_000,
            dead_letter_max_length: 0,
        },
        event_max_bytes: 10_240,
        access: Access::new(&PublishingSettings {
            keys: vec![Zeroizing::new(API_KEY.to_owned())],
            rate: 1000,
            idempotency_ttl: Duration::from_mins(1),
        }),
        idempotency_ttl: Duration::from_mins(1),
        delayed_max: 7,
        started: AT.now - 61_999,
        shutdown,
        trigger_limit: Mutex::new(RateLimit::new(1000)),
        letters_pace: Mutex::default(),
        publish: Box::new(move |order| {
            let mut orders = kept.lock().unwrap();
            if orders.len() == room {
                return Err(NotAccepted);
            }
            orders.push(order);
            Ok(())
        }),
        beside: Beside::default(),
        inside: Inside {
            survey: Box::new(move |asker| {
                let mut askers = asked.lock().unwrap();
                if askers.len() == room {
                    return Err(NotAccepted);
                }
                askers.push(asker);
                Ok(())
            }),
            calls: Calls::new(2),
            masking: Masking {
                aggregate_ids: AggregateIds::Full,
            },
        },
    };
    TestApp {
        app,
        orders,
        askers,
        shutdown: trigger,
    }
}

pub(crate) fn request(method: Method, path: &str) -> Request {
    Request {
        token: Token {
            place: 3,
            generation: 7,
        },
        method,
        path: path.to_owned(),
        query: None,
        headers: Vec::new(),
        body: Vec::new(),
        peer: None,
        correlation_id: "test-123".into(),
    }
}

pub(crate) fn get(test: &TestApp, path: &str) -> Reply {
    handle(&test.app, &request(Method::Get, path), AT).expect("answered at once")
}

pub(crate) fn body(reply: &Reply) -> &str {
    str::from_utf8(&reply.body).unwrap()
}

pub(crate) fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply
        .headers
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}
