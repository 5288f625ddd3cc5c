//! The publisher against a scripted writer: what is sent, what is tried again, and that everybody is answered once.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::bounded;

use super::*;
use crate::domain::entry_id::EntryId;
use crate::http::app::Asked;
use crate::http::exchange::Token;
use crate::runtime::shutdown::{ShutdownTrigger, shutdown_pair};

/// What the scripted writer does at one attempt.
enum Act {
    /// No connection.
    Away(bool),
    /// Answers each event by its position.
    Write(fn(usize) -> Written),
    Panic,
}

/// Does its acts in turn, the last one for ever, and keeps what it was given.
struct Script {
    acts: VecDeque<Act>,
    batches: Arc<Mutex<Vec<Vec<String>>>>,
}

fn trouble(hopeless: bool) -> Trouble {
    Trouble {
        reason: Reason::RedisUnreachable,
        hopeless,
        text: "scripted".into(),
    }
}

impl EventWriter for Script {
    fn prepare(&mut self) -> Result<(), Trouble> {
        let Some(Act::Away(hopeless)) = self.acts.front() else {
            return Ok(());
        };
        let hopeless = *hopeless;
        if self.acts.len() > 1 {
            self.acts.pop_front();
        }
        Err(trouble(hopeless))
    }

    fn write(&mut self, events: &[&Publication]) -> Vec<Written> {
        let name = |publication: &&Publication| match publication {
            Publication::Event(fields) => fields[0].1.clone(),
            Publication::Batch(batch) => batch.events[0][0].1.clone(),
            Publication::Timed(timed) => timed.fields()[0].1.clone(),
            Publication::Letters(letters) => format!("{letters:?}"),
        };
        let names = events.iter().map(name).collect();
        self.batches.lock().unwrap().push(names);
        let act = if self.acts.len() > 1 {
            self.acts.pop_front()
        } else {
            None
        };
        match act.as_ref().or(self.acts.front()) {
            Some(Act::Write(answer)) => (0..events.len()).map(answer).collect(),
            _ => panic!("the writer breaks"),
        }
    }
}

fn done(position: usize) -> Written {
    Written::Done(published(position as u64))
}

struct Rig {
    queue: Sender<PublishRequest>,
    answers: Receiver<Published>,
    pool: Sender<Published>,
    batches: Arc<Mutex<Vec<Vec<String>>>>,
    trigger: ShutdownTrigger,
    start: Box<dyn FnOnce() -> JoinHandle<()>>,
}

fn rig(acts: impl IntoIterator<Item = Act>) -> Rig {
    let (queue, requests) = bounded(QUEUE_MAX);
    let (pool, answers) = bounded(QUEUE_MAX);
    let (trigger, shutdown) = shutdown_pair();
    let batches = Arc::new(Mutex::new(Vec::new()));
    let script = Script {
        acts: acts.into_iter().collect(),
        batches: Arc::clone(&batches),
    };
    let start = move || {
        std::thread::Builder::new()
            .spawn(move || run(script, &requests, &shutdown).unwrap())
            .unwrap()
    };
    Rig {
        queue,
        answers,
        pool,
        batches,
        trigger,
        start: Box::new(start),
    }
}

impl Rig {
    fn request(&self, name: &str, now: Millis) -> PublishRequest {
        let ticket = Ticket {
            token: Token {
                place: 0,
                generation: 0,
            },
            correlation_id: name.into(),
            asked: Asked::Trigger,
            head_only: false,
        };
        let pool = self.pool.clone();
        PublishRequest::new(
            vec![("event", name.into())],
            ReplyTo::Http { ticket, pool },
            now,
        )
    }

    fn ask(&self, name: &str) {
        self.queue
            .try_send(self.request(name, clock::now()))
            .unwrap();
    }

    fn answer(&self) -> (String, PublishOutcome) {
        let published = self.answers.recv_timeout(Duration::from_secs(10)).unwrap();
        (published.ticket.correlation_id, published.outcome)
    }

    /// Starts the publisher on what is queued, closes the queue, and waits until it has ended.
    fn run_to_the_end(self) -> (Vec<(String, PublishOutcome)>, Vec<Vec<String>>) {
        let publisher = (self.start)();
        drop(self.queue);
        drop(self.pool);
        let answers = self
            .answers
            .iter()
            .map(|published| (published.ticket.correlation_id, published.outcome))
            .collect();
        let _ = publisher.join();
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        (answers, batches.clone())
    }
}

fn published(seq: u64) -> PublishOutcome {
    PublishOutcome::Published(EntryId { ms: 1, seq })
}

#[test]
fn what_is_queued_is_written_in_one_go_and_answered_one_by_one() {
    let rig = rig([Act::Write(done)]);
    for name in ["a", "b", "c"] {
        rig.ask(name);
    }
    let (answers, batches) = rig.run_to_the_end();
    assert_eq!(batches, [["a", "b", "c"]]);
    let expected = [("a", 0), ("b", 1), ("c", 2)];
    assert_eq!(
        answers,
        expected.map(|(name, seq)| (name.into(), published(seq)))
    );
}

#[test]
fn a_batch_has_its_bound() {
    let rig = rig([Act::Write(done)]);
    for number in 0..=BATCH_MAX {
        rig.ask(&number.to_string());
    }
    let (answers, batches) = rig.run_to_the_end();
    let sizes: Vec<_> = batches.iter().map(Vec::len).collect();
    assert_eq!(sizes, [BATCH_MAX, 1]);
    assert_eq!(answers.len(), BATCH_MAX + 1);
}

#[test]
fn what_was_sent_and_not_answered_is_never_sent_again() {
    let rig = rig([
        Act::Write(|position| match position {
            0 => done(0),
            _ => Written::Unknown(trouble(false)),
        }),
        Act::Write(done),
    ]);
    for name in ["a", "b", "c"] {
        rig.ask(name);
    }
    let (answers, batches) = rig.run_to_the_end();
    assert_eq!(batches.len(), 1);
    assert_eq!(answers[0].1, published(0));
    assert_eq!(answers[1].1, PublishOutcome::OutcomeUnknown);
    assert_eq!(answers[2].1, PublishOutcome::OutcomeUnknown);
}

#[test]
fn what_was_certainly_not_written_is_tried_again_in_order() {
    let rig = rig([
        Act::Away(false),
        Act::Write(|position| match position {
            1 => done(7),
            _ => Written::NotWritten(trouble(false)),
        }),
        Act::Away(false),
        Act::Write(done),
    ]);
    for name in ["a", "b", "c"] {
        rig.ask(name);
    }
    let (answers, batches) = rig.run_to_the_end();
    assert_eq!(batches, [vec!["a", "b", "c"], vec!["a", "c"]]);
    let expected = [("b", 7), ("a", 0), ("c", 1)];
    assert_eq!(
        answers,
        expected.map(|(name, seq)| (name.into(), published(seq)))
    );
}

#[test]
fn what_only_a_person_can_mend_is_refused_at_once() {
    let refused = PublishOutcome::Refused(Reason::RedisUnreachable);
    let no_way_in = rig([Act::Away(true), Act::Write(done)]);
    no_way_in.ask("a");
    let (answers, batches) = no_way_in.run_to_the_end();
    assert_eq!(answers, [("a".into(), refused.clone())]);
    assert!(batches.is_empty());

    let not_this_one = rig([Act::Write(|position| match position {
        0 => Written::NotWritten(trouble(true)),
        _ => done(1),
    })]);
    not_this_one.ask("a");
    not_this_one.ask("b");
    let (answers, batches) = not_this_one.run_to_the_end();
    assert_eq!(answers, [("a".into(), refused), ("b".into(), published(1))]);
    assert_eq!(batches.len(), 1);
}

#[test]
fn patience_ends_and_those_who_came_later_go_on_waiting() {
    let rig = rig([Act::Away(false), Act::Away(false), Act::Write(done)]);
    let now = clock::now();
    // Accepted so long ago that not even the first attempt is theirs.
    let old = rig.request("old", now.saturating_sub(PATIENCE_MS));
    rig.queue.try_send(old).unwrap();
    let older = rig.request("soon", now.saturating_sub(PATIENCE_MS - 20));
    rig.queue.try_send(older).unwrap();
    rig.ask("new");
    let (answers, batches) = rig.run_to_the_end();
    let names: Vec<_> = answers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["old", "soon", "new"]);
    assert_eq!(
        answers[0].1,
        PublishOutcome::Unavailable(Reason::RedisTimeout)
    );
    assert_eq!(
        answers[1].1,
        PublishOutcome::Unavailable(Reason::RedisUnreachable)
    );
    assert_eq!(answers[2].1, published(0));
    assert_eq!(batches, [["new"]]);
}

#[test]
fn a_stop_finishes_what_was_accepted() {
    let rig = rig([Act::Write(done)]);
    for number in 0..QUEUE_MAX {
        rig.ask(&number.to_string());
    }
    rig.trigger.request();
    let publisher = (rig.start)();
    publisher.join().unwrap();
    let answers: Vec<_> = rig.answers.try_iter().collect();
    assert_eq!(answers.len(), QUEUE_MAX);
    assert!(
        answers
            .iter()
            .all(|published| matches!(published.outcome, PublishOutcome::Published(_)))
    );
}

#[test]
fn a_stop_without_redis_keeps_nobody_waiting() {
    let mut rig = rig([Act::Away(false)]);
    rig.ask("a");
    let started = clock::now();
    let publisher = std::mem::replace(&mut rig.start, Box::new(|| unreachable!()))();
    // Wherever the stop finds the publisher, its sleep ends.
    rig.trigger.request();
    assert_eq!(
        rig.answer(),
        (
            "a".into(),
            PublishOutcome::Unavailable(Reason::RedisUnreachable)
        )
    );
    publisher.join().unwrap();
    assert!(clock::now() - started < PATIENCE_MS);
}

#[test]
fn a_panic_leaves_nobody_without_an_answer() {
    let rig = rig([Act::Panic]);
    for number in 0..=BATCH_MAX {
        rig.ask(&number.to_string());
    }
    let (answers, _) = rig.run_to_the_end();
    assert_eq!(answers.len(), BATCH_MAX + 1);
    let unknown = answers
        .iter()
        .filter(|(_, outcome)| *outcome == PublishOutcome::OutcomeUnknown);
    assert_eq!(unknown.count(), BATCH_MAX, "those that were being written");
    let last = answers.last().unwrap().1.clone();
    assert_eq!(last, PublishOutcome::Unavailable(Reason::ShuttingDown));
}

#[test]
fn a_request_dropped_on_the_way_is_answered_and_a_defused_one_is_not() {
    let rig = rig([Act::Write(done)]);
    drop(rig.request("a", 0));
    rig.request("b", 0).defuse();
    assert_eq!(
        rig.answer(),
        (
            "a".into(),
            PublishOutcome::Unavailable(Reason::ShuttingDown)
        )
    );
    assert!(rig.answers.is_empty());
}

#[test]
fn a_restarted_publisher_goes_on_with_the_same_queue() {
    let (queue, requests) = bounded(QUEUE_MAX);
    let mut broken = rig([Act::Panic]);
    broken.queue = queue;
    for number in 0..=BATCH_MAX {
        broken.ask(&number.to_string());
    }
    let (_trigger, shutdown) = shutdown_pair();
    let script = |act| Script {
        acts: VecDeque::from([act]),
        batches: Arc::clone(&broken.batches),
    };
    let first = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        run(script(Act::Panic), &requests, &shutdown)
    }));
    assert!(first.is_err());
    let second = script(Act::Write(done));
    drop(std::mem::replace(&mut broken.queue, bounded(1).0));
    run(second, &requests, &shutdown).unwrap();
    let answers: Vec<_> = broken.answers.try_iter().collect();
    assert_eq!(answers.len(), BATCH_MAX + 1);
    assert_eq!(answers.last().unwrap().outcome, published(0));
}

#[test]
fn what_waits_has_a_weight_and_what_is_answered_has_none() {
    let scales = Scales::default();
    let rig = rig([Act::Write(done)]);
    let all = scales.put(QUEUE_BYTES_MAX).unwrap();
    assert!(scales.put(1).is_none());
    let request = rig.request("a", clock::now()).weighing(all);
    rig.queue.try_send(request).unwrap();
    let (answers, _) = rig.run_to_the_end();
    assert_eq!(answers.len(), 1);
    let half = scales.put(QUEUE_BYTES_MAX / 2).unwrap();
    assert!(scales.put(QUEUE_BYTES_MAX / 2 + 1).is_none());
    let rest = scales.put(QUEUE_BYTES_MAX / 2);
    assert!(rest.is_some());
    drop((half, rest));
    assert!(scales.put(QUEUE_BYTES_MAX).is_some());
    assert!(scales.put(usize::MAX).is_none());
}
