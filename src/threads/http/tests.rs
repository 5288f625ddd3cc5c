//! The pool with both ends in memory: jobs in, bytes out.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::bounded;
use jiff::tz::TimeZone;
use zeroize::Zeroizing;

use super::*;
use crate::config::settings::{PublishingSettings, ServiceIdentity};
use crate::domain::entry_id::EntryId;
use crate::domain::health::{HealthLimits, Phase};
use crate::domain::mask::{AggregateIds, Masking};
use crate::domain::rate_limit::RateLimit;
use crate::http::access::Access;
use crate::http::app::Inside;
use crate::http::overview::Beside;
use crate::runtime::board::Board;
use crate::runtime::calls::Calls;
use crate::runtime::shutdown::shutdown_pair;

/// The key of a client that may publish.
const API_KEY: &str = "test-key-0123456789";

/// A pool of one real worker between the gate's queue and a list of answers.
struct Pool {
    gate: Sender<Queued>,
    requests: Receiver<PublishRequest>,
    answers: Receiver<Answer>,
    app: Arc<App>,
    worker: JoinHandle<()>,
}

fn app(publish: PublishFn) -> App {
    let (_trigger, shutdown) = shutdown_pair();
    // The trigger is dropped, which lowers nothing: the flag stays down.
    let board = Board::default();
    board.update(|observed| {
        observed.phase = Phase::Running;
        observed.redis.last_ok = Some(clock::now() + 60_000);
    });
    App {
        board,
        identity: ServiceIdentity {
            name: "orders".into(),
            version: "1.0.0".into(),
            environment: "test".into(),
        },
        timezone: TimeZone::UTC,
        stream: "event-stream".into(),
        group: "orders".into(),
        health_limits: HealthLimits {
            degraded_window: 1000,
            lag_warn: 1000,
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
        started: 0,
        shutdown,
        trigger_limit: Mutex::new(RateLimit::new(1000)),
        letters_pace: Mutex::default(),
        publish,
        beside: Beside::default(),
        inside: Inside {
            survey: Box::new(|_| Err(NotAccepted)),
            calls: Calls::new(1),
            masking: Masking {
                aggregate_ids: AggregateIds::Full,
            },
        },
    }
}

fn pool(publish: Option<PublishFn>, queue_max: usize) -> Pool {
    let (gate, from_gate) = bounded(64);
    let (pool, published) = bounded(64);
    let (queue, requests) = bounded(queue_max);
    let (out, answers) = bounded(64);
    let app = Arc::new(app(
        publish.unwrap_or_else(|| publish_through(queue, pool, Arc::default()))
    ));
    let inbox = Inbox {
        requests: from_gate,
        published,
        surveyed: never(),
    };
    let shared = Arc::clone(&app);
    let worker = std::thread::Builder::new()
        .spawn(move || run(inbox, &shared, |answer| out.send(answer).unwrap()).unwrap())
        .unwrap();
    Pool {
        gate,
        requests,
        answers,
        app,
        worker,
    }
}

fn request(place: usize, method: Method, path: &str) -> Queued {
    Queued::new(plain_request(place, method, path))
}

fn plain_request(place: usize, method: Method, path: &str) -> Request {
    Request {
        token: Token {
            place,
            generation: 1,
        },
        method,
        path: path.into(),
        query: None,
        headers: Vec::new(),
        body: Vec::new(),
        peer: None,
        correlation_id: format!("client-{place}"),
    }
}

impl Pool {
    fn answer(&self) -> (usize, String) {
        let answer = self.answers.recv_timeout(Duration::from_secs(10)).unwrap();
        (answer.token.place, String::from_utf8(answer.bytes).unwrap())
    }

    fn end(self) {
        drop(self.gate);
        self.worker.join().unwrap();
    }
}

#[test]
fn requests_are_answered_with_their_token_and_correlation_id() {
    let pool = pool(None, 1);
    pool.gate.send(request(1, Method::Get, "/")).unwrap();
    let (place, text) = pool.answer();
    assert_eq!(place, 1);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with('}'));
    assert!(text.contains("\r\nX-Correlation-ID: client-1\r\n"));
    pool.gate.send(request(2, Method::Head, "/")).unwrap();
    let (place, text) = pool.answer();
    assert_eq!(place, 2);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\n"));
    pool.end();
}

#[test]
fn a_trigger_waits_for_the_publisher_and_no_worker_waits_with_it() {
    let pool = pool(None, 1);
    pool.gate
        .send(request(1, Method::Post, "/trigger-test-event"))
        .unwrap();
    let waiting = pool.requests.recv_timeout(Duration::from_secs(10)).unwrap();
    pool.gate.send(request(2, Method::Get, "/")).unwrap();
    assert_eq!(pool.answer().0, 2, "the one worker of this queue is free");
    waiting_is_published(waiting);
    let (place, text) = pool.answer();
    assert_eq!(place, 1);
    assert!(text.starts_with("HTTP/1.1 202 Accepted\r\n"), "{text}");
    assert!(text.ends_with(r#""stream":"event-stream","streamId":"7-0"}"#));
    pool.end();
}

/// Plays the publisher for one request.
fn waiting_is_published(request: PublishRequest) {
    struct OneId;
    impl crate::threads::publisher::EventWriter for OneId {
        fn prepare(&mut self) -> Result<(), crate::threads::publisher::Trouble> {
            Ok(())
        }
        fn write(
            &mut self,
            _: &[&crate::domain::publishing::Publication],
        ) -> Vec<crate::threads::publisher::Written> {
            vec![crate::threads::publisher::Written::Done(
                PublishOutcome::Published(EntryId { ms: 7, seq: 0 }),
            )]
        }
    }
    let (queue, requests) = bounded(1);
    queue.send(request).unwrap();
    drop(queue);
    let (_trigger, shutdown) = shutdown_pair();
    crate::threads::publisher::run(OneId, &requests, &shutdown).unwrap();
}

#[test]
fn a_full_publish_queue_is_answered_at_once_and_once() {
    let pool = pool(None, 0);
    pool.gate
        .send(request(1, Method::Post, "/trigger-test-event"))
        .unwrap();
    let (place, text) = pool.answer();
    assert_eq!(place, 1);
    assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert!(text.contains("\r\nRetry-After: 1\r\n"));
    let answers = pool.answers.clone();
    pool.end();
    assert!(answers.try_recv().is_err(), "one answer only");
}

#[test]
fn a_panic_costs_one_client_a_500_and_nobody_else_anything() {
    let pool = pool(Some(Box::new(|_| panic!("in the routes"))), 1);
    for place in 1..4 {
        pool.gate
            .send(request(place, Method::Post, "/trigger-test-event"))
            .unwrap();
        let (answered, text) = pool.answer();
        assert_eq!(answered, place);
        assert!(text.starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
        assert!(text.contains("\r\nContent-Type: application/problem+json\r\n"));
        assert!(!text.contains("in the routes"), "the inside stays inside");
    }
    pool.gate.send(request(9, Method::Get, "/")).unwrap();
    assert!(pool.answer().1.starts_with("HTTP/1.1 200 OK\r\n"));
    pool.end();
}

#[test]
fn health_needs_no_worker() {
    let app = app(Box::new(|_| Err(NotAccepted)));
    let answered = |method, path| {
        let bytes = health(&app, &plain_request(3, method, path));
        String::from_utf8(bytes).unwrap()
    };
    let text = answered(Method::Get, "/health/live");
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nOK"));
    assert!(text.contains("\r\nX-Correlation-ID: client-3\r\n"));
    let text = answered(Method::Head, "/health/live");
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\n"));
}

#[test]
fn a_request_the_gate_has_taken_back_is_not_begun() {
    let pool = pool(None, 9);
    let given_up = request(1, Method::Get, "/");
    assert!(given_up.take().is_some());
    pool.gate.send(given_up).unwrap();
    pool.gate.send(request(2, Method::Get, "/")).unwrap();
    assert_eq!(pool.answer().0, 2);
    pool.end();
}

#[test]
fn what_is_queued_when_the_gate_goes_is_still_answered() {
    let pool = pool(None, 9);
    for place in 0..20 {
        pool.gate.send(request(place, Method::Get, "/")).unwrap();
    }
    let answers = pool.answers.clone();
    assert_eq!(pool.app.group, "orders");
    pool.end();
    assert_eq!(answers.try_iter().count(), 20);
}
