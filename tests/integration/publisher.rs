//! The publisher's loop over its real link: what clients are told while Redis goes away, hangs, comes back or refuses.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use weir::config::settings::{PasswordSource, RedisAddress, RedisSettings};
use weir::domain::health::Reason;
use weir::domain::publishing::PublishOutcome;
use weir::domain::test_event::{self, TestEventSource};
use weir::redis_io::keys::Keys;
use weir::redis_io::publish::StreamWriter;
use weir::runtime::clock;
use weir::runtime::shutdown::{ShutdownTrigger, shutdown_pair};
use weir::threads::publisher::{self, PublishRequest, QUEUE_MAX, ReplyTo};
use weir::threads::scheduler::Order;

use crate::support::TestRedis;
use crate::support::redis_client::OUR_FIELDS;

/// Longer than a connection counts as proved by its last use.
const UNPROVED: Duration = Duration::from_millis(200);

/// Longer than any answer may take: patience, one connect and one reply timeout.
const ANSWER_MAX: Duration = Duration::from_secs(8);

struct Publisher {
    queue: Sender<PublishRequest>,
    trigger: Arc<ShutdownTrigger>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    fn start(redis: &TestRedis) -> Self {
        let settings = RedisSettings {
            address: RedisAddress::Tcp {
                host: "127.0.0.1".into(),
                port: redis.port(),
            },
            user: None,
            password: PasswordSource::None,
            tls: None,
            db: 0,
            connect_timeout: Duration::from_secs(10),
            reply_timeout: Duration::from_secs(2),
        };
        let (queue, requests) = bounded(QUEUE_MAX);
        let (trigger, shutdown) = shutdown_pair();
        let writer = StreamWriter::new(&settings, "orders", &Keys::new("event-stream", "orders"));
        let thread = std::thread::spawn(move || {
            publisher::run(writer, &requests, &shutdown).unwrap();
        });
        Self {
            queue,
            trigger: Arc::new(trigger),
            thread: Some(thread),
        }
    }

    fn ask(&self, correlation_id: &str) -> Receiver<(Order, PublishOutcome)> {
        let (answers, outcome) = bounded(1);
        let fields = test_event::fields(
            "orders",
            TestEventSource::Http,
            clock::unix_ms(),
            correlation_id,
            None,
        );
        let request = PublishRequest::new(
            fields,
            ReplyTo::Scheduler {
                order: Order::Move { asked_unix_ms: 0 },
                answers,
            },
            clock::now(),
        );
        self.queue.try_send(request).unwrap();
        outcome
    }

    fn publish(&self) -> PublishOutcome {
        self.ask("test-123").recv_timeout(ANSWER_MAX).unwrap().1
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.trigger.request();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}

#[test]
fn an_event_is_in_the_stream_under_the_id_that_is_answered() {
    let redis = TestRedis::start();
    let publisher = Publisher::start(&redis);
    let PublishOutcome::Published(id) = publisher.publish() else {
        panic!("not published");
    };
    let entries = redis.entries("event-stream");
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].id, id.to_string());
    assert_eq!(entries[0].names(), OUR_FIELDS);
    assert_eq!(entries[0].text("event").as_deref(), Some("test-event"));
    let headers = entries[0].text("headers").unwrap();
    assert!(headers.contains(r#""correlation-id":"test-123""#));
}

#[test]
fn two_hundred_requests_are_each_published_once() {
    let redis = TestRedis::start();
    let publisher = Publisher::start(&redis);
    let outcomes: Vec<_> = (0..200).map(|n| publisher.ask(&n.to_string())).collect();
    let mut ids: Vec<_> = outcomes
        .iter()
        .map(
            |outcome| match outcome.recv_timeout(ANSWER_MAX).unwrap().1 {
                PublishOutcome::Published(id) => id,
                other => panic!("{other:?}"),
            },
        )
        .collect();
    assert!(ids.is_sorted(), "written in the order of the queue");
    ids.dedup();
    assert_eq!(ids.len(), 200);
    assert_eq!(redis.length("event-stream"), 200);
}

#[test]
fn a_restarted_redis_costs_no_event_its_certainty() {
    let mut redis = TestRedis::start();
    let publisher = Publisher::start(&redis);
    assert!(matches!(publisher.publish(), PublishOutcome::Published(_)));
    redis.kill();
    std::thread::sleep(UNPROVED);
    let begin = Instant::now();
    assert_eq!(
        publisher.publish(),
        PublishOutcome::Unavailable(Reason::RedisUnreachable)
    );
    let waited = begin.elapsed();
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    redis.restart();
    assert!(matches!(publisher.publish(), PublishOutcome::Published(_)));
    assert_eq!(redis.length("event-stream"), 1);
}

#[test]
fn an_old_connection_is_proved_before_an_event_is_risked_on_it() {
    let mut redis = TestRedis::start();
    let publisher = Publisher::start(&redis);
    assert!(matches!(publisher.publish(), PublishOutcome::Published(_)));
    redis.kill();
    redis.restart();
    std::thread::sleep(UNPROVED);
    assert!(matches!(publisher.publish(), PublishOutcome::Published(_)));
}

#[test]
fn a_short_absence_is_waited_out() {
    let mut redis = TestRedis::start();
    let publisher = Publisher::start(&redis);
    std::thread::sleep(UNPROVED);
    redis.kill();
    let outcome = publisher.ask("patient");
    redis.restart();
    let outcome = outcome.recv_timeout(ANSWER_MAX).unwrap().1;
    assert!(
        matches!(
            outcome,
            PublishOutcome::Published(_)
                // A machine so busy that the restart took longer than the publisher's patience.
                | PublishOutcome::Unavailable(Reason::RedisUnreachable)
        ),
        "{outcome:?}"
    );
}

#[test]
fn a_hanging_redis_leaves_the_outcome_open_and_nothing_is_sent_twice() {
    let mut redis = TestRedis::start();
    let publisher = Publisher::start(&redis);
    assert!(matches!(publisher.publish(), PublishOutcome::Published(_)));
    redis.freeze();
    let begin = Instant::now();
    let outcomes: Vec<_> = (0..50).map(|n| publisher.ask(&n.to_string())).collect();
    for outcome in outcomes {
        let outcome = outcome.recv_timeout(ANSWER_MAX).unwrap().1;
        assert!(
            !matches!(outcome, PublishOutcome::Published(_)),
            "{outcome:?}"
        );
    }
    let waited = begin.elapsed();
    assert!(waited < ANSWER_MAX, "{waited:?}");
    redis.thaw();
    assert!(matches!(publisher.publish(), PublishOutcome::Published(_)));
    // What had been sent before the hang was noticed may have arrived, each event once.
    let entries = redis.entries("event-stream");
    let mut headers: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry.text("headers"))
        .filter(|headers| !headers.contains("test-123"))
        .collect();
    let found = headers.len();
    headers.sort();
    headers.dedup();
    assert_eq!(headers.len(), found);
}

#[test]
fn what_only_a_person_can_mend_is_refused_with_its_reason() {
    let redis = TestRedis::start();
    let publisher = Publisher::start(&redis);
    let client = &redis;
    let _: String = client.run(&["SET", "event-stream", "text"]);
    assert_eq!(
        publisher.publish(),
        PublishOutcome::Refused(Reason::StreamWrongType)
    );
    let _: i64 = client.run(&["DEL", "event-stream"]);
    assert!(matches!(publisher.publish(), PublishOutcome::Published(_)));
    redis.set_user("default", &["-xadd"]);
    assert_eq!(
        publisher.publish(),
        PublishOutcome::Refused(Reason::RedisPermission)
    );
    redis.set_user("default", &["+xadd"]);
    redis.set_password("a new one");
    redis.drop_connections();
    std::thread::sleep(UNPROVED);
    assert_eq!(
        publisher.publish(),
        PublishOutcome::Refused(Reason::RedisCredentials)
    );
}

#[test]
fn a_full_redis_is_waited_for_and_then_called_unavailable() {
    let redis = TestRedis::start();
    let publisher = Publisher::start(&redis);
    let client = &redis;
    let _: String = client.run(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(
        publisher.publish(),
        PublishOutcome::Unavailable(Reason::RedisUnavailable)
    );
    let _: String = client.run(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(matches!(publisher.publish(), PublishOutcome::Published(_)));
}
