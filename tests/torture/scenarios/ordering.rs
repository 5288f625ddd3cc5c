//! `ORDER_BY`: what runs in which order, and what beside each other, with four workers and retries in between.

use std::collections::HashMap;
use std::time::Duration;

use weir::domain::entry_id::EntryId;

use crate::Plan;
use crate::arena::ArenaOptions;
use crate::feeder::{Fields, event};
use crate::records::Call;
use crate::report::Summary;

/// The field that names the lane in [`field`].
const FIELD: &str = "customer";
/// What has no lane of that name.
const ALONE: &str = "";
const EVENTS: u32 = 80;
const WORKERS: usize = 4;

/// Plain parallelism: one aggregate's calls run beside each other, and a retry holds nobody back.
pub fn none(name: &'static str, plan: Plan) -> Summary {
    let events =
        (0..EVENTS).map(|number| (event(script(number), "the-only-one"), ALONE.to_owned()));
    let (mut summary, most) = run(name, plan, "none", events.collect());
    if most < WORKERS {
        summary
            .violations
            .push(format!("at most {most} calls ran at once"));
    }
    summary
}

/// Strict order over all aggregates: one call at a time, retries included.
pub fn stream(name: &'static str, plan: Plan) -> Summary {
    let events = (0..EVENTS).map(|number| {
        let fields = event(script(number), format!("aggregate-{number}"));
        (fields, "the stream".to_owned())
    });
    run(name, plan, "stream", events.collect()).0
}

/// The order is that of another field; what has no such field has a lane of its own.
pub fn field(name: &'static str, plan: Plan) -> Summary {
    let events = (0..EVENTS).map(|number| {
        // The aggregate says nothing: each has events of all customers.
        let mut fields = event(script(number), format!("aggregate-{}", number / 8));
        if number % 8 == 7 {
            return (fields, ALONE.to_owned());
        }
        let customer = format!("customer-{}", number % 5);
        fields.push((FIELD, customer.clone()));
        (fields, customer)
    });
    let (mut summary, most) = run(name, plan, FIELD, events.collect());
    if most < 2 {
        summary
            .violations
            .push("different values of the field never ran at once".to_owned());
    }
    summary
}

fn script(number: u32) -> &'static str {
    match number % 9 {
        4 => "fail:1",
        8 => "fail:3",
        _ => "sleep:10",
    }
}

/// One replica works these entries, of which each belongs to a lane; answers the most calls that ran at once.
fn run(
    name: &'static str,
    plan: Plan,
    order_by: &str,
    events: Vec<(Fields, String)>,
) -> (Summary, usize) {
    let mut options = ArenaOptions::new(name, 1);
    options.settings = vec![
        ("ORDER_BY", order_by.to_owned()),
        ("WORKERS", WORKERS.to_string()),
        // Twenty aggregates that fail together are not a target that is down: the waits spread them.
        ("RETRY_BACKOFF_MS", "60".to_owned()),
    ];
    let mut arena = options.build(plan, |port| port);
    arena.rules.attempts_exact = true;
    // Aggregates are not what counts here; the lanes are looked at below.
    arena.rules.order = false;
    arena.rules.alone_in_aggregate = false;
    let (fields, lanes): (Vec<Fields>, Vec<String>) = events.into_iter().unzip();
    let ids = arena.feeder.publish_all(&fields);
    let lanes: HashMap<EntryId, String> = ids.iter().copied().zip(lanes).collect();
    arena.fleet.start(0);
    let all = |calls: &[Call]| calls.iter().filter(|call| call.done()).count() == ids.len();
    arena.wait_for(Duration::from_secs(30), all);
    let calls = arena.calls();
    let mut summary = arena.finish();
    let most = most_at_once(&calls);
    let retries = calls.len() - ids.len().min(calls.len());
    summary
        .notes
        .push(format!("{retries} retries, at most {most} at once"));
    if retries == 0 {
        summary.violations.push("nothing was retried".to_owned());
    }
    let mut by_lane: HashMap<&str, Vec<&Call>> = HashMap::new();
    for call in &calls {
        by_lane.entry(&lanes[&call.id]).or_default().push(call);
    }
    for (lane, calls) in by_lane.into_iter().filter(|(lane, _)| *lane != ALONE) {
        for pair in calls.windows(2) {
            let [before, after] = pair else { continue };
            if before.id > after.id {
                let (early, late) = (after.id, before.id);
                summary
                    .violations
                    .push(format!("{late} of {lane} overtook {early}"));
            }
            if before.id < after.id && !before.done() {
                let (early, late) = (before.id, after.id);
                summary
                    .violations
                    .push(format!("{late} of {lane} began before {early} was done"));
            }
            if before
                .ended
                .is_none_or(|(end, _)| end.line > after.began.line)
            {
                summary
                    .violations
                    .push(format!("{} of {lane} ran beside {}", after.id, before.id));
            }
        }
    }
    (summary, most)
}

fn most_at_once(calls: &[Call]) -> usize {
    let runs_at = |line: usize| {
        let began = calls.iter().filter(|call| call.began.line <= line);
        began
            .filter(|call| call.ended.is_none_or(|(end, _)| end.line > line))
            .count()
    };
    calls
        .iter()
        .map(|call| runs_at(call.began.line))
        .max()
        .unwrap_or(0)
}
