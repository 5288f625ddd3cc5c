//! Tables on both sides of each limit of the health judgement.

use super::*;

/// The moment of every judgement here.
const NOW: Millis = 100_000_000;
const LIMIT: Millis = 5000;
const LIMITS: HealthLimits = HealthLimits {
    degraded_window: 300_000,
    lag_warn: 10_000,
    dead_letter_max_length: 1000,
};

fn working(age: Millis) -> LoopState {
    LoopState {
        beat: NOW - age,
        activity: Activity::Working,
        reason: None,
        limit: LIMIT,
    }
}

fn doing(activity: Activity, age: Millis, reason: Option<Reason>) -> LoopState {
    LoopState {
        activity,
        reason,
        ..working(age)
    }
}

/// An idle service, connected and at work.
fn idle() -> Observations {
    let mut observed = Observations {
        phase: Phase::Running,
        ..Observations::default()
    };
    observed.redis.last_ok = Some(NOW - 900);
    for which in [Loop::Reader, Loop::Dispatcher, Loop::Settler] {
        observed.loops.insert(which, working(900));
    }
    observed
}

fn judged(change: impl FnOnce(&mut Observations)) -> HealthReport {
    let mut observed = idle();
    change(&mut observed);
    assess(&observed, NOW, &LIMITS)
}

#[test]
fn idle_is_healthy() {
    let report = judged(|_| {});
    assert_eq!(report.status, Status::Healthy);
    assert!(report.ready && report.consumer_active);
    assert!(report.failing.is_empty() && report.codes().is_empty());
}

#[test]
fn a_pause_is_healthy_and_ready_while_the_reader_shows_that_it_lives() {
    let paused = |age| {
        judged(|observed| {
            observed.paused = Some(crate::domain::pause::Paused::default());
            let state = doing(Activity::Paused, age, None);
            observed.loops.insert(Loop::Reader, state);
        })
    };
    let report = paused(LIMIT);
    assert_eq!(report.status, Status::Healthy);
    assert!(report.ready && report.codes().is_empty());
    assert!(!report.consumer_active, "nothing is taken from the stream");
    let report = paused(LIMIT + 1);
    assert_eq!(report.codes(), ["reader_stalled"]);
    assert!(!report.ready);
}

#[test]
fn nothing_observed_is_starting_and_not_ready() {
    let report = assess(&Observations::default(), NOW, &LIMITS);
    assert!(!report.ready && !report.consumer_active);
    assert_eq!(report.status, Status::Unhealthy);
    assert_eq!(report.codes(), ["starting"]);
    assert_eq!(
        report.not_ready_because(),
        "Dependencies unhealthy: redis, eventStream"
    );
}

#[test]
fn connected_but_not_joined_is_the_stream_alone() {
    let report = judged(|observed| {
        observed.phase = Phase::Starting;
        observed.loops.clear();
    });
    assert_eq!(report.failing, [Dependency::EventStream]);
    assert_eq!(report.codes(), ["starting"]);
    assert_eq!(
        report.not_ready_because(),
        "Dependencies unhealthy: eventStream"
    );
}

#[test]
fn redis_is_judged_by_age_on_both_sides_of_each_limit() {
    for (last_ok_age, asking_age, reason, code) in [
        (Some(0), None, None, None),
        (Some(2900), None, None, None),
        // The monitor hangs: time alone turns readiness.
        (Some(2901), None, None, Some("redis_timeout")),
        (Some(1000), Some(1500), None, None),
        (Some(1000), Some(1501), None, Some("redis_timeout")),
        (None, Some(100), None, Some("starting")),
        (None, Some(1501), None, Some("redis_timeout")),
        (
            None,
            None,
            Some(Reason::RedisUnreachable),
            Some("redis_unreachable"),
        ),
        // A failed PING counts at once, however fresh the last good one is.
        (
            Some(1000),
            None,
            Some(Reason::RedisUnreachable),
            Some("redis_unreachable"),
        ),
        (
            Some(1000),
            Some(1501),
            Some(Reason::RedisCredentials),
            Some("redis_credentials"),
        ),
        (
            Some(900_000),
            None,
            Some(Reason::RedisUnavailable),
            Some("redis_unavailable"),
        ),
    ] {
        let report = judged(|observed| {
            observed.redis.last_ok = last_ok_age.map(|age| NOW - age);
            observed.redis.asking_since = asking_age.map(|age| NOW - age);
            observed.redis.reason = reason;
        });
        let case = format!("{last_ok_age:?} {asking_age:?} {reason:?}");
        assert_eq!(report.codes(), Vec::from_iter(code), "{case}");
        assert_eq!(report.ready, code.is_none(), "{case}");
        if code.is_some() {
            // The stream lives in Redis.
            assert_eq!(report.failing, [Dependency::Redis, Dependency::EventStream]);
            assert_eq!(report.status, Status::Unhealthy, "{case}");
            assert!(!report.consumer_active, "{case}");
        }
    }
}

#[test]
fn a_loop_that_makes_no_step_in_its_time_is_stalled() {
    for (which, code) in [
        (Loop::Reader, "reader_stalled"),
        (Loop::Dispatcher, "dispatcher_stalled"),
        (Loop::Settler, "settler_stalled"),
    ] {
        for (age, stalled) in [(0, false), (LIMIT, false), (LIMIT + 1, true)] {
            let report = judged(|observed| {
                observed.loops.insert(which, working(age));
            });
            assert_eq!(report.ready, !stalled, "{which:?} {age}");
            if stalled {
                assert_eq!(report.codes(), [code]);
                assert_eq!(report.failing, [Dependency::EventStream]);
            }
        }
        let report = judged(|observed| {
            observed
                .loops
                .insert(which, doing(Activity::Ended, 0, None));
        });
        assert_eq!(report.codes(), [code], "ended unasked");
        let report = judged(|observed| {
            observed.loops.remove(&which);
        });
        assert_eq!(report.codes(), ["starting"], "no sign of life yet");
    }
}

#[test]
fn a_full_pool_is_healthy_only_while_the_others_make_progress() {
    let full = |dispatcher_age, settler_age| {
        judged(|observed| {
            observed.loops.insert(
                Loop::Reader,
                doing(Activity::WaitingForPermits, 900_000, None),
            );
            observed
                .loops
                .insert(Loop::Dispatcher, working(dispatcher_age));
            observed.loops.insert(Loop::Settler, working(settler_age));
        })
    };
    let report = full(LIMIT, LIMIT);
    assert!(report.ready && report.consumer_active);
    assert_eq!(report.status, Status::Healthy);
    assert_eq!(full(LIMIT + 1, 0).codes(), ["dispatcher_stalled"]);
    assert_eq!(full(0, LIMIT + 1).codes(), ["settler_stalled"]);
    // Nobody but the reader has permits to wait for.
    let report = judged(|observed| {
        observed.loops.insert(
            Loop::Settler,
            doing(Activity::WaitingForPermits, LIMIT + 1, None),
        );
    });
    assert_eq!(report.codes(), ["settler_stalled"]);
}

#[test]
fn waiting_for_redis_names_its_reason_once_however_long_it_lasts() {
    for (reason, code) in [
        (None, "redis_unreachable"),
        (Some(Reason::RedisPermission), "redis_permission"),
        (Some(Reason::StreamWrongType), "stream_wrong_type"),
    ] {
        for age in [0, 100 * LIMIT] {
            let report = judged(|observed| {
                for which in [Loop::Reader, Loop::Settler] {
                    observed
                        .loops
                        .insert(which, doing(Activity::WaitingForRedis, age, reason));
                }
            });
            assert_eq!(report.codes(), [code]);
            assert_eq!(report.failing, [Dependency::EventStream]);
            assert_eq!(report.status, Status::Unhealthy);
        }
    }
}

#[test]
fn what_the_monitor_reads_of_the_group_counts_only_where_nothing_can_be_read() {
    let report = judged(|observed| observed.group.reason = Some(Reason::StreamWrongType));
    assert_eq!(report.codes(), ["stream_wrong_type"]);
    assert!(!report.ready);
    let report = judged(|observed| observed.group.reason = Some(Reason::RedisPermission));
    assert_eq!(report.codes(), ["redis_permission"]);
    assert!(report.ready);
    assert_eq!(report.status, Status::Degraded);
}

#[test]
fn draining_is_not_ready_at_once_and_ended_loops_are_as_asked() {
    let report = judged(|observed| observed.phase = Phase::Draining);
    assert!(!report.ready);
    assert_eq!(report.status, Status::Degraded);
    assert_eq!(report.codes(), ["shutting_down"]);
    assert_eq!(report.not_ready_because(), "Shutting down");
    assert!(report.consumer_active);

    let report = judged(|observed| {
        observed.phase = Phase::Draining;
        for which in [Loop::Reader, Loop::Dispatcher, Loop::Settler] {
            observed
                .loops
                .insert(which, doing(Activity::Ended, 100 * LIMIT, None));
        }
    });
    assert_eq!(report.codes(), ["shutting_down"]);
    assert!(report.failing.is_empty() && !report.consumer_active);

    let report = judged(|observed| {
        observed.phase = Phase::Draining;
        observed.redis.reason = Some(Reason::RedisUnreachable);
    });
    assert_eq!(report.codes(), ["shutting_down", "redis_unreachable"]);
    assert_eq!(
        report.not_ready_because(),
        "Dependencies unhealthy: redis, eventStream"
    );
}

#[test]
fn each_cause_of_degradation_ends_where_its_limit_says() {
    type Change = fn(&mut Observations);
    let window_open = NOW - 299_999;
    assert!(window_open < NOW);
    let cases: [(Change, Option<&str>); 22] = [
        (
            |o| o.last_dead_letter = Some(NOW - 299_999),
            Some("dead_letters"),
        ),
        (|o| o.last_dead_letter = Some(NOW - 300_000), None),
        (|o| o.group.lag = Some(10_001), Some("lag_high")),
        (|o| o.group.lag = Some(10_000), None),
        (|o| o.breaker_open = true, Some("breaker_open")),
        (
            |o| o.aggregates_blocking = true,
            Some("aggregates_blocking"),
        ),
        (
            |o| o.dead_letter_blocked = true,
            Some("dead_letter_blocked"),
        ),
        (
            |o| o.group.dead_letter_length = Some(800),
            Some("dead_letter_filling"),
        ),
        (|o| o.group.dead_letter_length = Some(799), None),
        (
            |o| o.group.dead_letter_length = Some(u64::MAX),
            Some("dead_letter_filling"),
        ),
        (
            |o| o.restarts.push_back((NOW - 299_999, "reader".into())),
            Some("thread_restarted"),
        ),
        (
            |o| o.restarts.push_back((NOW - 300_000, "reader".into())),
            None,
        ),
        (
            |o| o.repaired = Some((NOW - 299_999, "group missing".into())),
            Some("group_repaired"),
        ),
        (
            |o| o.repaired = Some((NOW - 300_000, "group missing".into())),
            None,
        ),
        (|o| o.trimmed = Some(NOW - 299_999), Some("entries_trimmed")),
        (|o| o.trimmed = Some(NOW - 300_000), None),
        (
            |o| o.trim_blocked = Some(blocked_since(NOW - TRIM_BLOCKED_MS)),
            Some("trim_blocked_by_group"),
        ),
        (
            |o| o.trim_blocked = Some(blocked_since(NOW - TRIM_BLOCKED_MS + 1)),
            None,
        ),
        (|o| o.last_message_unix_ms = Some(1), None),
        (|o| o.held = 1000, None),
        (|o| o.group.pending = Some(u64::MAX), None),
        (|o| o.dead_letters = 7, None),
    ];
    for (number, (change, code)) in cases.into_iter().enumerate() {
        let report = judged(change);
        assert!(report.ready, "case {number}");
        assert_eq!(report.codes(), Vec::from_iter(code), "case {number}");
        let status = if code.is_some() {
            Status::Degraded
        } else {
            Status::Healthy
        };
        assert_eq!(report.status, status, "case {number}");
    }
}

#[test]
fn without_a_bound_the_dead_letter_stream_cannot_fill() {
    let mut observed = idle();
    observed.group.dead_letter_length = Some(u64::MAX);
    let limits = HealthLimits {
        dead_letter_max_length: 0,
        ..LIMITS
    };
    assert_eq!(assess(&observed, NOW, &limits).status, Status::Healthy);
}

#[test]
fn what_blocks_is_named_before_what_degrades() {
    let report = judged(|observed| {
        observed.redis.reason = Some(Reason::RedisTimeout);
        observed.group.lag = Some(1_000_000);
        observed.breaker_open = true;
    });
    assert_eq!(
        report.codes(),
        ["redis_timeout", "breaker_open", "lag_high"]
    );
}

fn blocked_since(since: Millis) -> super::super::TrimBlocked {
    super::super::TrimBlocked {
        group: "slow".into(),
        since,
        since_unix_ms: 0,
    }
}
