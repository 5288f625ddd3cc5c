//! The scheduler against a queue that the test answers: what it asks for, when, and what it does with every outcome.

use std::sync::LazyLock;

use crate::domain::entry_id::EntryId;
use crate::domain::schedule::document::parse;
use crate::runtime::shutdown::shutdown_pair;

use super::*;

/// A moment on a full second, milliseconds since 1970.
const START: u64 = 1_751_154_013_000;

fn every_second(count: usize) -> Vec<Schedule> {
    let all: Vec<String> = (0..count)
        .map(|n| format!(r#"{{"name":"s{n}","every":"1s","event":"e","aggregateId":"1"}}"#))
        .collect();
    parse(&format!("[{}]", all.join(",")), 1_000).unwrap()
}

/// A scheduler whose publisher is the test.
struct Rig<'a> {
    scheduler: Scheduler<'a>,
    requests: Receiver<PublishRequest>,
}

/// Counts that no test reads.
static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::default);

fn rig<'a>(
    schedules: &'a [Schedule],
    queue: &'a Sender<PublishRequest>,
    requests: &Receiver<PublishRequest>,
) -> Rig<'a> {
    let (answers, _) = bounded(UNDER_WAY_MAX + 1);
    Rig {
        scheduler: Scheduler::new(schedules, "orders", queue, answers, &METRICS),
        requests: requests.clone(),
    }
}

fn moved(next_due: Option<u64>, redis: u64) -> PublishOutcome {
    PublishOutcome::Timed(TimedAnswer::Moved {
        moved: 0,
        next_due_unix_ms: next_due,
        redis_unix_ms: redis,
    })
}

fn told(fate: TickFate, redis: u64) -> PublishOutcome {
    PublishOutcome::Timed(TimedAnswer::Tick {
        fate,
        redis_unix_ms: redis,
    })
}

const PUBLISHED: TickFate = TickFate::Published(EntryId { ms: 1, seq: 0 });

impl Rig<'_> {
    /// Lets it work at a moment, and takes what it asked for: ticks, and whether delayed events are to be moved.
    fn asked(&mut self, local: u64) -> (Vec<u64>, bool) {
        self.scheduler.ask(local);
        let (mut ticks, mut moves) = (Vec::new(), false);
        while let Ok(request) = self.requests.try_recv() {
            match request.publication() {
                Publication::Timed(Timed::Tick(tick)) => ticks.push(tick.tick_unix_ms),
                Publication::Timed(Timed::Move) => moves = true,
                other => panic!("{other:?}"),
            }
            request.defuse();
        }
        (ticks, moves)
    }

    fn move_is(&mut self, outcome: &PublishOutcome, local: u64) {
        let order = Order::Move {
            asked_unix_ms: local,
        };
        self.scheduler.note(order, outcome, local);
    }

    fn tick_is(&mut self, tick: u64, outcome: &PublishOutcome, local: u64) {
        let order = Order::Tick {
            schedule: 0,
            tick_unix_ms: tick,
            asked_unix_ms: local,
        };
        self.scheduler.note(order, outcome, local);
    }

    /// The first answer: its clock is Redis'.
    fn begin(&mut self) {
        assert_eq!(self.asked(START), (vec![], true));
        self.move_is(&moved(None, START), START);
    }
}

#[test]
fn nothing_ticks_before_the_clock_of_redis_is_known() {
    let (queue, requests) = bounded(300);
    let schedules = every_second(1);
    let mut rig = rig(&schedules, &queue, &requests);
    assert_eq!(rig.asked(START), (vec![], true));
    assert_eq!(
        rig.asked(START + 5_000),
        (vec![], false),
        "one move at a time"
    );
    // This machine is five seconds ahead: the tick of its time is none yet.
    rig.move_is(&moved(None, START + 100), START + 5_100);
    assert_eq!(rig.asked(START + 5_100), (vec![], false));
    assert_eq!(rig.asked(START + 5_999), (vec![], false));
    assert_eq!(rig.asked(START + 6_000), (vec![START + 1_000], true));
}

#[test]
fn each_tick_is_asked_for_once_and_again_only_after_a_failure() {
    let (queue, requests) = bounded(300);
    let schedules = every_second(1);
    let mut rig = rig(&schedules, &queue, &requests);
    rig.begin();
    assert_eq!(rig.asked(START + 1_000).0, [START + 1_000]);
    assert!(rig.asked(START + 1_500).0.is_empty());
    rig.tick_is(
        START + 1_000,
        &told(PUBLISHED, START + 1_600),
        START + 1_600,
    );
    assert!(rig.asked(START + 1_600).0.is_empty());
    assert_eq!(rig.asked(START + 2_000).0, [START + 2_000]);
    for outcome in [
        PublishOutcome::OutcomeUnknown,
        PublishOutcome::Unavailable(Reason::RedisUnreachable),
        PublishOutcome::Refused(Reason::RedisPermission),
    ] {
        rig.tick_is(START + 2_000, &outcome, START + 2_010);
    }
    assert_eq!(rig.scheduler.failures, 3);
    assert!(rig.asked(START + 2_500).0.is_empty(), "after a pause");
    assert_eq!(rig.asked(START + 3_000).0, [START + 3_000], "or the next");
    rig.tick_is(
        START + 3_000,
        &told(TickFate::Known, START + 3_001),
        START + 3_001,
    );
    assert_eq!((rig.scheduler.failures, rig.scheduler.under_way), (0, 0));
}

#[test]
fn a_tick_that_is_early_for_redis_waits_by_its_clock() {
    let (queue, requests) = bounded(300);
    let schedules = every_second(1);
    let mut rig = rig(&schedules, &queue, &requests);
    rig.begin();
    // The clock of this machine is set three seconds forward.
    assert_eq!(rig.asked(START + 3_500).0, [START + 3_000]);
    rig.tick_is(
        START + 3_000,
        &told(TickFate::Early, START + 500),
        START + 3_500,
    );
    assert!(rig.asked(START + 3_501).0.is_empty());
    assert_eq!(rig.asked(START + 4_000).0, [START + 1_000]);
}

#[test]
fn many_schedules_leave_room_in_the_queue_for_clients() {
    let (queue, requests) = bounded(300);
    let schedules = every_second(UNDER_WAY_MAX + 10);
    let mut rig = rig(&schedules, &queue, &requests);
    rig.begin();
    assert_eq!(rig.asked(START + 1_000).0.len(), UNDER_WAY_MAX);
    assert!(rig.asked(START + 1_001).0.is_empty());
    rig.tick_is(
        START + 1_000,
        &told(PUBLISHED, START + 1_002),
        START + 1_002,
    );
    assert_eq!(rig.asked(START + 1_002).0.len(), 1);
}

#[test]
fn a_full_or_closed_queue_costs_nothing_but_time() {
    let (queue, requests) = bounded(1);
    let schedules = every_second(2);
    let mut rig = rig(&schedules, &queue, &requests);
    rig.begin();
    rig.scheduler.moving = true;
    // One has room, the other is tried again a second later.
    assert_eq!(rig.asked(START + 1_000).0.len(), 1);
    assert_eq!((rig.scheduler.under_way, rig.scheduler.failures), (1, 1));
    drop(requests);
    rig.requests = crossbeam_channel::never();
    rig.scheduler.ask(START + 2_000);
    assert_eq!((rig.scheduler.under_way, rig.scheduler.failures), (1, 2));
}

#[test]
fn delayed_events_are_looked_at_when_the_monitor_rings_and_when_one_is_due() {
    let (queue, requests) = bounded(300);
    let mut rig = rig(&[], &queue, &requests);
    assert!(rig.asked(START).1, "at first");
    rig.move_is(&moved(None, START), START);
    assert!(!rig.asked(START + 3_600_000).1);
    assert_eq!(rig.scheduler.ask(START + 3_600_000), REST_MAX);
    let rung = START + 4_000_000;
    rig.scheduler.look_soon();
    assert!(rig.asked(rung).1);
    rig.move_is(&moved(Some(rung + 300), rung), rung);
    assert_eq!(rig.scheduler.ask(rung), Duration::from_millis(300));
    assert!(!rig.asked(rung + 299).1);
    assert!(rig.asked(rung + 300).1);
    // More were due than one pass moves.
    rig.move_is(&moved(Some(rung + 300), rung + 300), rung + 300);
    assert!(rig.asked(rung + 300).1);
    // One that is due much later is the monitor's to see.
    rig.move_is(&moved(Some(rung + 60_000), rung + 301), rung + 301);
    assert!(!rig.asked(rung + 50_000).1);
    rig.scheduler.look_soon();
    assert!(rig.asked(rung + 57_100).1);
    // Whatever becomes of a look, there is another one; not at once.
    let failed = rung + 57_200;
    for outcome in [
        PublishOutcome::Unavailable(Reason::RedisTimeout),
        PublishOutcome::Refused(Reason::RedisPermission),
        PublishOutcome::OutcomeUnknown,
    ] {
        rig.move_is(&outcome, failed);
        assert!(!rig.asked(failed).1);
    }
    assert!(rig.asked(failed + 1_000).1);
}

#[test]
fn where_there_are_schedules_each_second_tells_the_clock_of_redis() {
    let (queue, requests) = bounded(300);
    let schedules = parse(
        r#"[{"name":"s","every":"1h","event":"e","aggregateId":"1"}]"#,
        1_000,
    )
    .unwrap();
    let mut rig = rig(&schedules, &queue, &requests);
    rig.begin();
    assert!(!rig.asked(START + 999).1);
    assert!(rig.asked(START + 1_000).1);
    rig.move_is(&moved(None, START + 1_001), START + 1_001);
    assert!(!rig.asked(START + 1_999).1);
    assert!(rig.asked(START + 2_000).1);
}

#[test]
fn a_missing_right_to_delayed_events_does_not_keep_schedules_from_ticking() {
    let (queue, requests) = bounded(300);
    let schedules = every_second(1);
    let mut rig = rig(&schedules, &queue, &requests);
    assert!(rig.asked(START).1);
    rig.move_is(&PublishOutcome::Refused(Reason::RedisPermission), START);
    assert_eq!(rig.asked(START + 1_000).0, [START + 1_000]);
}

#[test]
fn it_works_until_shutdown_is_requested() {
    let (queue, requests) = bounded(300);
    let (trigger, shutdown) = shutdown_pair();
    let schedules = [Schedule::test_event("orders", Duration::from_millis(20))];
    let thread = std::thread::Builder::new()
        .spawn(move || {
            run(
                &schedules,
                "orders",
                &queue,
                &METRICS,
                &Bell::default(),
                &shutdown,
            )
        })
        .unwrap();
    let mut ticks = 0;
    while ticks < 3 {
        let request = requests.recv_timeout(Duration::from_secs(10)).unwrap();
        let now = clock::unix_ms();
        if matches!(request.publication(), Publication::Timed(Timed::Move)) {
            request.answer(moved(None, now));
        } else {
            ticks += 1;
            request.answer(told(PUBLISHED, now));
        }
    }
    trigger.request();
    thread.join().unwrap().unwrap();
    // The sender went with the scheduler: nothing comes after it.
    while requests.try_recv().is_ok() {}
    assert!(requests.recv().is_err());
}
