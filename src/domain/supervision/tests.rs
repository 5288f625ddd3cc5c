//! What is told over a whole life, and what is kept back.

use super::*;
use crate::domain::health::{Activity, HealthLimits, LoopState, Phase, Reason, assess};

const LIMITS: HealthLimits = HealthLimits {
    degraded_window: 300_000,
    lag_warn: 10,
    dead_letter_max_length: 0,
};

/// A service at work at `now`.
fn at_work(now: Millis) -> Observations {
    let mut observed = Observations {
        phase: Phase::Running,
        ..Observations::default()
    };
    observed.redis.last_ok = Some(now);
    for which in [Loop::Reader, Loop::Dispatcher, Loop::Settler, Loop::Main] {
        let state = LoopState {
            beat: now,
            activity: Activity::Working,
            reason: None,
            limit: 5_000,
        };
        observed.loops.insert(which, state);
    }
    observed
}

fn tell(teller: &mut Teller, life: Life, observed: &Observations, now: Millis) -> Vec<Notice> {
    teller.due(life, observed, &assess(observed, now, &LIMITS), now)
}

fn status(text: &str) -> Notice {
    Notice::Status(text.to_owned())
}

#[test]
fn a_life_from_start_to_end_is_told_in_order() {
    let mut teller = Teller::new(None);
    let nothing = Observations::default();
    let first = Life::Starting {
        attempt: 1,
        attempts: 3,
        until: 9_000,
    };
    let second = Life::Starting {
        attempt: 2,
        attempts: 3,
        until: 10_500,
    };
    let extend = Notice::Extend(EXTEND_BY_MS);
    for (now, life, expected) in [
        (
            0,
            first,
            vec![
                extend.clone(),
                status("starting: reaching Redis, attempt 1 of 3"),
            ],
        ),
        (4_999, first, vec![]),
        (5_000, first, vec![extend.clone()]),
        // Its time is over: no more is asked for.
        (10_000, first, vec![]),
        (
            10_000,
            second,
            vec![
                extend.clone(),
                status("starting: reaching Redis, attempt 2 of 3"),
            ],
        ),
        (
            11_000,
            Life::Joining,
            vec![extend.clone(), status("starting: joining the group")],
        ),
    ] {
        assert_eq!(tell(&mut teller, life, &nothing, now), expected, "{now}");
    }
    let mut observed = at_work(12_000);
    assert_eq!(
        tell(&mut teller, Life::Running, &observed, 12_000),
        [Notice::Ready, status("ready; held 0, handled 0")]
    );
    assert_eq!(tell(&mut teller, Life::Running, &observed, 14_000), []);
    observed.phase = Phase::Draining;
    observed.held = 3;
    let stopping = Life::Stopping { until: 40_000 };
    assert_eq!(
        tell(&mut teller, stopping, &observed, 14_500),
        [Notice::Stopping, extend.clone(), status("stopping; held 3")]
    );
    for state in observed.loops.values_mut() {
        state.beat = 19_000;
    }
    assert_eq!(tell(&mut teller, stopping, &observed, 19_499), []);
    assert_eq!(tell(&mut teller, stopping, &observed, 19_500), [extend]);
    assert_eq!(
        tell(&mut teller, Life::Ended("done"), &observed, 19_501),
        [status("ended: done")]
    );
}

#[test]
fn the_start_is_complete_when_health_says_ready_for_the_first_time() {
    let mut teller = Teller::new(None);
    let mut observed = at_work(0);
    let reader = observed.loops.remove(&Loop::Reader).unwrap();
    assert_eq!(
        tell(&mut teller, Life::Running, &observed, 0),
        [
            Notice::Extend(EXTEND_BY_MS),
            status("not ready: starting; held 0, handled 0")
        ]
    );
    assert_eq!(teller.pause(), LOOK_JOINING_MS);
    observed.loops.insert(Loop::Reader, reader);
    assert_eq!(
        tell(&mut teller, Life::Running, &observed, 1_000),
        [Notice::Ready, status("ready; held 0, handled 0")]
    );
    assert_eq!(teller.pause(), LOOK_EVERY_MS);
    // Once is enough, whatever becomes of Redis.
    observed.redis.reason = Some(Reason::RedisUnreachable);
    let notices = tell(&mut teller, Life::Running, &observed, 2_000);
    assert_eq!(notices.len(), 1, "{notices:?}");
    observed.redis.reason = None;
    let notices = tell(&mut teller, Life::Running, &observed, 2_500);
    assert_eq!(notices, []);
}

#[test]
fn a_start_that_was_given_up_is_told_as_its_end() {
    let mut teller = Teller::new(Some(10_000));
    assert_eq!(
        tell(
            &mut teller,
            Life::Ended("no Redis"),
            &Observations::default(),
            0
        ),
        [Notice::Stopping, status("ended: no Redis")]
    );
}

#[test]
fn the_watchdog_is_fed_at_half_its_period_and_not_before() {
    let mut teller = Teller::new(Some(30_000));
    for (now, fed) in [
        (0, true),
        (14_999, false),
        (15_000, true),
        (29_999, false),
        (30_000, true),
    ] {
        let notices = tell(&mut teller, Life::Running, &at_work(now), now);
        assert_eq!(notices.contains(&Notice::Watchdog), fed, "{now}");
    }
}

#[test]
fn without_a_watchdog_nothing_is_fed() {
    let mut teller = Teller::new(None);
    for now in [0, 60_000] {
        let notices = tell(&mut teller, Life::Running, &at_work(now), now);
        assert!(!notices.contains(&Notice::Watchdog));
    }
}

#[test]
fn a_stalled_loop_gets_no_sign_of_life_out_and_is_named() {
    for which in [Loop::Reader, Loop::Dispatcher, Loop::Settler, Loop::Main] {
        let mut teller = Teller::new(Some(4_000));
        let mut observed = at_work(10_000);
        observed.loops.get_mut(&which).unwrap().beat = 0;
        let notices = tell(&mut teller, Life::Running, &observed, 10_000);
        assert!(!notices.contains(&Notice::Watchdog), "{which:?}");
        let text = format!(
            "stalled: {}; the watchdog is not fed; held 0, handled 0",
            which.name()
        );
        assert!(notices.contains(&status(&text)), "{notices:?}");
        // It goes on: so does the watchdog's food, at once.
        let notices = tell(&mut teller, Life::Running, &at_work(10_001), 10_001);
        assert!(notices.contains(&Notice::Watchdog), "{which:?}");
    }
}

#[test]
fn an_idle_service_and_one_without_redis_are_alive() {
    let mut idle = at_work(0);
    idle.loops.get_mut(&Loop::Reader).unwrap().activity = Activity::WaitingForPermits;
    let mut alone = at_work(0);
    alone.redis.reason = Some(Reason::RedisUnreachable);
    for which in [Loop::Reader, Loop::Settler] {
        let state = alone.loops.get_mut(&which).unwrap();
        state.activity = Activity::WaitingForRedis;
        state.reason = Some(Reason::RedisUnreachable);
    }
    // Hours later, only main and dispatcher have been round their loops.
    let now = 10_000_000;
    for mut observed in [idle, alone] {
        for which in [Loop::Dispatcher, Loop::Main] {
            observed.loops.get_mut(&which).unwrap().beat = now;
        }
        observed.loops.get_mut(&Loop::Settler).unwrap().beat = now;
        let notices = tell(
            &mut Teller::new(Some(30_000)),
            Life::Running,
            &observed,
            now,
        );
        assert!(notices.contains(&Notice::Watchdog), "{observed:?}");
    }
}

#[test]
fn a_stop_is_alive_until_its_time_is_over() {
    for (now, alive) in [(0, true), (999, true), (1_000, false)] {
        let mut teller = Teller::new(Some(30_000));
        let stopping = Life::Stopping { until: 1_000 };
        let notices = tell(&mut teller, stopping, &at_work(now), now);
        assert_eq!(notices.contains(&Notice::Watchdog), alive, "{now}");
        assert_eq!(
            notices.contains(&Notice::Extend(EXTEND_BY_MS)),
            alive,
            "{now}"
        );
    }
}

#[test]
fn joining_asks_for_time_only_while_the_loops_make_progress() {
    let mut observed = at_work(10_000);
    observed.phase = Phase::Starting;
    for (beat, expected) in [(5_000, true), (4_999, false)] {
        observed.loops.get_mut(&Loop::Settler).unwrap().beat = beat;
        let notices = tell(&mut Teller::new(None), Life::Joining, &observed, 10_000);
        assert_eq!(
            notices.contains(&Notice::Extend(EXTEND_BY_MS)),
            expected,
            "{beat}"
        );
    }
}

#[test]
fn states_are_told_once_a_second_at_most_and_figures_every_ten() {
    let mut teller = Teller::new(None);
    let mut observed = at_work(0);
    let mut told = |observed: &mut Observations, now: Millis| {
        for state in observed.loops.values_mut() {
            state.beat = now;
        }
        if observed.redis.reason.is_none() {
            observed.redis.last_ok = Some(now);
        }
        tell(&mut teller, Life::Running, observed, now)
            .into_iter()
            .find_map(|notice| match notice {
                Notice::Status(text) => Some(text),
                _ => None,
            })
    };
    assert_eq!(
        told(&mut observed, 0).as_deref(),
        Some("ready; held 0, handled 0")
    );
    observed.handled = 5;
    assert_eq!(told(&mut observed, 9_999), None);
    observed.group.lag = Some(4);
    assert_eq!(
        told(&mut observed, 10_000).as_deref(),
        Some("ready; held 0, handled 5, lag 4")
    );
    observed.redis.reason = Some(Reason::RedisTimeout);
    assert_eq!(told(&mut observed, 10_999), None);
    assert_eq!(
        told(&mut observed, 11_000).as_deref(),
        Some("not ready: redis_timeout; held 0, handled 5, lag 4")
    );
    observed.redis.reason = None;
    observed.group.lag = Some(11);
    assert_eq!(
        told(&mut observed, 12_000).as_deref(),
        Some("ready, degraded: lag_high; held 0, handled 5, lag 11")
    );
    // A hundred changes in a second are one line.
    let lines = (0..100)
        .filter(|step| {
            observed.group.lag = Some(if step % 2 == 0 { 1 } else { 20 });
            told(&mut observed, 12_001 + step * 9).is_some()
        })
        .count();
    assert_eq!(lines, 0);
}

#[test]
fn it_looks_often_enough_for_every_watchdog() {
    for (watchdog, pause) in [
        (None, 1_000),
        (Some(30_000), 1_000),
        (Some(2_000), 500),
        (Some(1), 10),
    ] {
        assert_eq!(Teller::new(watchdog).pause(), pause, "{watchdog:?}");
    }
}
