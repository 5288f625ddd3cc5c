//! The three circles with every channel at capacity 1: whatever the order of things, nothing locks, nothing is lost, lanes keep their order.

mod gated;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};

use super::*;
use crate::domain::backoff::Backoff;
use crate::domain::entry_codec;
use crate::domain::entry_id::EntryId;
use crate::domain::event::Event;
use crate::domain::lanes::ahead::AHEAD_MAX;
use crate::domain::lanes::{Arrival, Fetched, LANE_HELD_MAX, LaneKey, Origin, PARKED_MAX};
use crate::handlers::{Call, Handler, HandlerError, HandlerResult};
use crate::runtime::bell::Bell;
use crate::runtime::calls::Calls;
use crate::runtime::post::Post;
use crate::runtime::thread::{EndReport, Ending, spawn};
use crate::threads::worker;

const ENTRIES: u64 = 600;
const AGGREGATES: u64 = 7;
const WORKERS: usize = 3;

/// Fails, panics and rejects now and then, and notes the order of first calls in each aggregate.
#[derive(Default)]
struct Moody {
    first_calls: Mutex<BTreeMap<String, Vec<EntryId>>>,
    unreached: Mutex<BTreeSet<EntryId>>,
}

impl Handler for Moody {
    fn handle(&self, event: &Event, call: Call) -> HandlerResult {
        if call.attempt == 1 && !self.unreached.lock().unwrap().contains(&event.id()) {
            let mut calls = self.first_calls.lock().unwrap();
            calls
                .entry(event.aggregate_id().to_owned())
                .or_default()
                .push(event.id());
        }
        match (event.id().ms % 50, call.attempt) {
            (10, 1) => panic!("as now and then"),
            (20, 1 | 2) => Err(HandlerError::Retry {
                reason: "later".into(),
                not_before: None,
            }),
            (30, _) => Err(HandlerError::Reject {
                reason: "never".into(),
            }),
            // Such a call does not count, so the next is a first one too.
            (40, 1) if self.unreached.lock().unwrap().insert(event.id()) => {
                Err(HandlerError::Unreached {
                    reason: "down".into(),
                })
            }
            _ => Ok(()),
        }
    }

    fn is_quick(&self) -> bool {
        true
    }
}

/// Whose event an id stands for.
type AggregateOf = fn(u64) -> String;

fn arrival(ms: u64, aggregate_of: AggregateOf) -> Arrival<Body> {
    let id = EntryId { ms, seq: 0 };
    let aggregate = aggregate_of(ms);
    let fields = vec![
        (b"event".to_vec(), b"e".to_vec()),
        (b"aggregateId".to_vec(), aggregate.clone().into_bytes()),
    ];
    let event = entry_codec::decode(id, fields, 1024).unwrap();
    Arrival {
        id,
        lane: LaneKey::Aggregate(Arc::from(aggregate)),
        bytes: event.bytes(),
        body: Body::Event(event),
        count: 1,
        origin: Origin::Fresh,
        leased_at: clock::now(),
        verdict: None,
    }
}

/// What the stream answers for an entry.
fn fetched(id: EntryId, aggregate_of: AggregateOf) -> Fetched<Body> {
    let Arrival { body, bytes, .. } = arrival(id.ms, aggregate_of);
    Fetched {
        id,
        body,
        bytes,
        verdict: None,
    }
}

/// Sends all entries, as many at a time as there are permits.
fn read_all(
    permits: &Receiver<usize>,
    to_dispatcher: &Post<FromReader>,
    entries: u64,
    aggregate_of: AggregateOf,
) -> Result<(), ThreadError> {
    let mut next = 1;
    while next <= entries {
        let granted = permits.recv()? as u64;
        let last = entries.min(next + granted - 1);
        let arrivals = (next..=last).map(|ms| arrival(ms, aggregate_of)).collect();
        to_dispatcher.send(FromReader::Batch {
            generation: 1,
            arrivals,
        })?;
        next = last + 1;
    }
    Ok(())
}

/// What was acknowledged, and what was written as a dead letter.
type Settled = Mutex<(BTreeSet<EntryId>, BTreeSet<EntryId>)>;

/// Answers every order as a Redis would that never fails; notes what was settled and how.
fn settle_all(
    orders: &Receiver<Order<Body>>,
    to_dispatcher: &Post<FromSettler>,
    settled: &Settled,
    aggregate_of: AggregateOf,
) -> Result<(), ThreadError> {
    to_dispatcher.send(FromSettler::Joined(1))?;
    while let Ok(order) = orders.recv() {
        let at = clock::now();
        // Once it has drained the dispatcher needs no answer.
        let _ = to_dispatcher.send(match order {
            Order::Acknowledge(ids) | Order::AcknowledgeUnhandled(ids) => {
                settled.lock().unwrap().0.extend(&ids);
                FromSettler::Confirmed(ids)
            }
            Order::DeadLetter { entry, .. } => {
                settled.lock().unwrap().1.insert(entry.id);
                FromSettler::Confirmed(vec![entry.id])
            }
            Order::Count(counts) => FromSettler::Counted {
                ids: counts.into_iter().map(|count| count.0).collect(),
                at,
            },
            Order::Renew(ids) => FromSettler::Renewed { ids, at },
            Order::Fetch(ids) => FromSettler::Fetched(
                ids.into_iter()
                    .map(|id| fetched(id, aggregate_of))
                    .collect(),
            ),
            Order::AcknowledgeGone(ids) => FromSettler::NotOurs(ids),
            Order::Release(released) => {
                FromSettler::Released(released.iter().map(|entry| entry.id).collect())
            }
        });
    }
    Ok(())
}

/// The threads of the three circles, with the given handler and entries and every channel at capacity 1.
struct Circles {
    ends: Receiver<EndReport>,
    control: Post<Control>,
    settled: Arc<Settled>,
    board: Board,
    /// What waits for a worker.
    jobs: Receiver<Job<Body>>,
}

fn limits(max_in_flight: usize) -> LaneLimits {
    LaneLimits {
        workers: WORKERS,
        max_in_flight,
        max_in_flight_bytes: 1_000_000,
        lane_held_max: LANE_HELD_MAX,
        parked_max: PARKED_MAX,
        claim_idle: 60_000,
        max_deliveries: 5,
        retry: Backoff {
            base: Duration::from_millis(1),
            max: Duration::from_millis(2),
        },
        batch: true,
    }
}

fn start(
    handler: &Arc<dyn Handler>,
    limits: LaneLimits,
    entries: u64,
    aggregate_of: AggregateOf,
) -> Circles {
    start_with_room(handler, limits, entries, aggregate_of, WORKERS)
}

/// The same with room for so many jobs.
fn start_with_room(
    handler: &Arc<dyn Handler>,
    limits: LaneLimits,
    entries: u64,
    aggregate_of: AggregateOf,
    jobs_max: usize,
) -> Circles {
    let (reports_tx, ends) = bounded::<EndReport>(16);
    let (to_dispatcher, from_reader) = bounded(1);
    let (permits_tx, permits) = bounded(1);
    let (jobs_tx, jobs) = bounded(jobs_max);
    let (reports, from_workers) = bounded(1);
    let (orders_tx, orders) = bounded(1);
    let (from_settler_tx, from_settler) = bounded(1);
    let (control, control_rx) = bounded(1);
    let settled = Arc::new(Settled::default());
    let (bell, board) = (Bell::default(), Board::default());
    let to_dispatcher = Post::new(to_dispatcher, &bell);
    let from_settler_tx = Post::new(from_settler_tx, &bell);
    let (control, reports) = (Post::new(control, &bell), Post::new(reports, &bell));
    let parts = DispatcherParts {
        bell,
        from_reader,
        reports: from_workers,
        from_settler,
        control: control_rx,
        jobs: jobs_tx,
        jobs_back: jobs.clone(),
        permits: permits_tx,
        orders: orders_tx,
        limits,
        board: board.clone(),
    };
    spawn("dispatcher", reports_tx.clone(), move || run(parts)).unwrap();
    let waiting = jobs.clone();
    let calls = Calls::new(WORKERS);
    for number in 0..WORKERS {
        let (jobs, reports, handler) = (jobs.clone(), reports.clone(), Arc::clone(handler));
        let board = board.clone();
        let place = calls.place(number);
        spawn(&format!("worker-{number}"), reports_tx.clone(), move || {
            worker::run(&jobs, &reports, &handler, board.metrics(), number, &place)
        })
        .unwrap();
    }
    let notes = Arc::clone(&settled);
    spawn("settler", reports_tx.clone(), move || {
        settle_all(&orders, &from_settler_tx, &notes, aggregate_of)
    })
    .unwrap();
    spawn("reader", reports_tx, move || {
        read_all(&permits, &to_dispatcher, entries, aggregate_of)
    })
    .unwrap();
    Circles {
        ends,
        control,
        settled,
        board,
        jobs: waiting,
    }
}

#[test]
fn with_every_channel_at_capacity_one_all_is_settled_in_order() {
    let handler = Arc::new(Moody::default());
    let Circles {
        ends,
        control,
        settled,
        board,
        ..
    } = start(
        &(Arc::clone(&handler) as Arc<dyn Handler>),
        limits(6),
        ENTRIES,
        |ms| format!("a-{}", ms % AGGREGATES),
    );
    let end = || {
        ends.recv_timeout(Duration::from_mins(1))
            .expect("no thread is locked")
    };
    let first = end();
    assert_eq!(first.name, "reader", "{first}");
    control.send(Control::Drain).unwrap();
    for _ in 0..WORKERS + 2 {
        let report = end();
        assert!(matches!(report.ending, Ending::Returned), "{report}");
    }
    let observed = board.snapshot();
    assert_eq!((observed.held, observed.parked), (0, 0), "the last word");
    let (acknowledged, dead) = &*settled.lock().unwrap();
    for ms in 1..=ENTRIES {
        let id = EntryId { ms, seq: 0 };
        let rejected = ms % 50 == 30;
        // What had not begun when it drained was released.
        assert!(
            !acknowledged.contains(&id) || !rejected,
            "{id} was rejected"
        );
        assert!(!dead.contains(&id) || rejected, "{id} was no reject");
    }
    // What waits behind a failed one when the drain comes is released too.
    assert!(acknowledged.len() + dead.len() > (ENTRIES * 9 / 10).try_into().unwrap());
    for (aggregate, ids) in &*handler.first_calls.lock().unwrap() {
        assert!(ids.is_sorted(), "{aggregate}: {ids:?}");
    }
}

/// Fails one aggregate until told otherwise, and notes in which order its events succeed.
#[derive(Default)]
struct FailsOne {
    recovered: AtomicBool,
    succeeded: Mutex<Vec<EntryId>>,
}

impl Handler for FailsOne {
    fn handle(&self, event: &Event, _call: Call) -> HandlerResult {
        if event.aggregate_id() != "bad" {
            return Ok(());
        }
        if !self.recovered.load(Ordering::Relaxed) {
            return Err(HandlerError::Retry {
                reason: "as always".into(),
                not_before: None,
            });
        }
        self.succeeded.lock().unwrap().push(event.id());
        Ok(())
    }

    fn is_quick(&self) -> bool {
        true
    }
}

#[test]
fn an_aggregate_that_keeps_failing_holds_back_nobody_else_and_comes_back_in_order() {
    const BACKLOG: u64 = 3_000;
    const OTHERS: u64 = 600;
    /// One event of others comes after every five of the failing one.
    fn aggregate(ms: u64) -> String {
        if ms.is_multiple_of(6) {
            format!("a-{}", ms / 6 % AGGREGATES)
        } else {
            "bad".into()
        }
    }
    let handler = Arc::new(FailsOne::default());
    let bounds = LaneLimits {
        max_deliveries: u32::MAX,
        retry: Backoff {
            base: Duration::from_millis(50),
            max: Duration::from_millis(50),
        },
        ..limits(100)
    };
    let circles = start(
        &(Arc::clone(&handler) as Arc<dyn Handler>),
        bounds,
        BACKLOG + OTHERS,
        aggregate,
    );
    let acknowledged = || {
        let settled = circles.settled.lock().unwrap();
        let (bad, others): (Vec<u64>, Vec<u64>) = settled
            .0
            .iter()
            .map(|id| id.ms)
            .partition(|ms| aggregate(*ms) == "bad");
        (bad.len() as u64, others.len() as u64)
    };
    let wait_for = |what: &str, expected: (u64, u64)| {
        let deadline = clock::now() + 30_000;
        while acknowledged() != expected {
            assert!(clock::now() < deadline, "{what}: {:?}", acknowledged());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    };
    wait_for("the others flow while one aggregate fails", (0, OTHERS));
    // The board is written every 100 ms.
    let deadline = clock::now() + 5_000;
    while circles.board.snapshot().parked < BACKLOG - LANE_HELD_MAX as u64 {
        assert!(clock::now() < deadline, "{:?}", circles.board.snapshot());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert!(!circles.board.snapshot().aggregates_blocking);
    handler.recovered.store(true, Ordering::Relaxed);
    wait_for("all of it comes back", (BACKLOG, OTHERS));
    let succeeded = handler.succeeded.lock().unwrap().clone();
    assert!(succeeded.is_sorted() && succeeded.len() as u64 == BACKLOG);
    circles.control.send(Control::Drain).unwrap();
    for _ in 0..WORKERS + 3 {
        let report = circles.ends.recv_timeout(Duration::from_mins(1)).unwrap();
        assert!(matches!(report.ending, Ending::Returned), "{report}");
    }
}

#[test]
fn at_rest_it_says_for_how_long_and_the_first_message_ends_that() {
    let (to_dispatcher, from_reader) = bounded(1);
    let (_reports, from_workers) = bounded(1);
    let (_settler, from_settler) = bounded(1);
    let (_control, control) = bounded(1);
    let (jobs, jobs_back) = bounded(WORKERS);
    let (permits, _permits) = bounded(1);
    let (orders, _orders) = bounded(1);
    let (bell, board) = (Bell::default(), Board::default());
    let to_dispatcher = Post::new(to_dispatcher, &bell);
    let parts = DispatcherParts {
        bell,
        from_reader,
        reports: from_workers,
        from_settler,
        control,
        jobs,
        jobs_back,
        permits,
        orders,
        limits: limits(10),
        board: board.clone(),
    };
    let (reports, _ends) = bounded::<EndReport>(1);
    spawn("dispatcher", reports, move || run(parts)).unwrap();
    let wait_for = |limit: Duration, busy: bool| {
        let wanted = clock::millis(limit);
        for _ in 0..1_000 {
            if busy {
                let _ = to_dispatcher.try_send(FromReader::Started);
            }
            let state = board.snapshot().loops.get(&Loop::Dispatcher).copied();
            if state.is_some_and(|state| state.limit == wanted) {
                return true;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        false
    };
    let resting = STALL_AFTER + REST_MAX;
    assert!(wait_for(resting, false), "nothing comes");
    assert!(wait_for(STALL_AFTER, true), "it is judged as at work");
    assert!(wait_for(resting, false), "nothing comes any more");
}
