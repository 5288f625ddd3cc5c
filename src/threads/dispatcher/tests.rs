//! The three circles with every channel at capacity 1: whatever the order of things, nothing locks, nothing is lost, lanes keep their order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::*;
use crate::domain::backoff::Backoff;
use crate::domain::entry_codec;
use crate::domain::entry_id::EntryId;
use crate::domain::event::Event;
use crate::domain::lanes::{Arrival, Fetched, LaneKey, Origin};
use crate::handlers::{Call, Handler, HandlerError, HandlerResult};
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

fn arrival(ms: u64) -> Arrival<Body> {
    let id = EntryId { ms, seq: 0 };
    let aggregate = format!("a-{}", ms % AGGREGATES);
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
fn fetched(id: EntryId) -> Fetched<Body> {
    let Arrival { body, bytes, .. } = arrival(id.ms);
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
    to_dispatcher: &Sender<FromReader>,
) -> Result<(), ThreadError> {
    let mut next = 1;
    while next <= ENTRIES {
        let granted = permits.recv()? as u64;
        let last = ENTRIES.min(next + granted - 1);
        let arrivals = (next..=last).map(arrival).collect();
        to_dispatcher.send(FromReader::Batch {
            generation: 1,
            arrivals,
        })?;
        next = last + 1;
    }
    Ok(())
}

/// Answers every order as a Redis would that never fails; notes what was settled and how.
fn settle_all(
    orders: &Receiver<Order<Body>>,
    to_dispatcher: &Sender<FromSettler>,
    settled: &Mutex<(BTreeSet<EntryId>, BTreeSet<EntryId>)>,
) -> Result<(), ThreadError> {
    to_dispatcher.send(FromSettler::Joined(1))?;
    while let Ok(order) = orders.recv() {
        let at = clock::now();
        // Once it has drained the dispatcher needs no answer.
        let _ = to_dispatcher.send(match order {
            Order::Acknowledge(ids) => {
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
            Order::Fetch(ids) => FromSettler::Fetched(ids.into_iter().map(fetched).collect()),
            Order::AcknowledgeGone(ids) => FromSettler::NotOurs(ids),
            Order::Release(released) => {
                FromSettler::Released(released.iter().map(|entry| entry.id).collect())
            }
        });
    }
    Ok(())
}

#[test]
fn with_every_channel_at_capacity_one_all_is_settled_in_order() {
    let (reports_tx, ends) = bounded::<EndReport>(16);
    let (to_dispatcher, from_reader) = bounded(1);
    let (permits_tx, permits) = bounded(1);
    let (jobs_tx, jobs) = bounded(WORKERS);
    let (reports, from_workers) = bounded(1);
    let (orders_tx, orders) = bounded(1);
    let (from_settler_tx, from_settler) = bounded(1);
    let (control, control_rx) = bounded(1);
    let handler = Arc::new(Moody::default());
    let settled = Arc::new(Mutex::new((BTreeSet::new(), BTreeSet::new())));
    let parts = DispatcherParts {
        from_reader,
        reports: from_workers,
        from_settler,
        control: control_rx,
        jobs: jobs_tx,
        permits: permits_tx,
        orders: orders_tx,
        limits: LaneLimits {
            workers: WORKERS,
            max_in_flight: 6,
            max_in_flight_bytes: 1_000_000,
            lane_held_max: 50,
            parked_max: 100_000,
            claim_idle: 60_000,
            max_deliveries: 5,
            retry: Backoff {
                base: Duration::from_millis(1),
                max: Duration::from_millis(2),
            },
            batch: true,
        },
        board: Board::default(),
    };
    spawn("dispatcher", reports_tx.clone(), move || run(parts)).unwrap();
    for number in 0..WORKERS {
        let (jobs, reports, handler) = (
            jobs.clone(),
            reports.clone(),
            Arc::clone(&handler) as Arc<dyn Handler>,
        );
        spawn(&format!("worker-{number}"), reports_tx.clone(), move || {
            worker::run(&jobs, &reports, &handler)
        })
        .unwrap();
    }
    let notes = Arc::clone(&settled);
    spawn("settler", reports_tx.clone(), move || {
        settle_all(&orders, &from_settler_tx, &notes)
    })
    .unwrap();
    spawn("reader", reports_tx, move || {
        read_all(&permits, &to_dispatcher)
    })
    .unwrap();

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
    assert!(acknowledged.len() + dead.len() > (ENTRIES - 10).try_into().unwrap());
    for (aggregate, ids) in &*handler.first_calls.lock().unwrap() {
        assert!(ids.is_sorted(), "{aggregate}: {ids:?}");
    }
}
