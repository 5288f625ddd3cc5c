//! The checker: what the records and Redis together prove wrong. Pure: evidence in, violations out.

use std::collections::{HashMap, HashSet};

use weir::domain::entry_id::EntryId;

use super::fleet::{Ending, Life};
use super::recorder::Script;
use super::records::{Call, Outcome};
use super::report::Summary;

/// A success may stay unacknowledged for this long, milliseconds: one round trip, and the scheduling of a loaded machine.
const UNACKNOWLEDGED_MS: u64 = 1_500;

/// Something was done to Redis, a link or a replica that may lead to a second call.
#[derive(Debug, Clone, Copy)]
pub struct Disturbance {
    /// Only this life, or all of them.
    pub life: Option<u32>,
    /// Boot-time clock, milliseconds.
    pub from: u64,
    pub to: u64,
}

/// An event that must have come to its end.
#[derive(Debug, Clone)]
pub struct Expected {
    pub id: EntryId,
    /// Empty when it is not known any more, because the stream has gone.
    pub event: String,
}

/// A dead letter.
#[derive(Debug, Clone)]
pub struct Letter {
    pub id: EntryId,
    pub reason: String,
}

/// Everything that is known of a run.
#[derive(Debug, Default)]
pub struct Evidence {
    pub expected: Vec<Expected>,
    pub letters: Vec<Letter>,
    pub calls: Vec<Call>,
    pub lives: Vec<Life>,
    pub disturbances: Vec<Disturbance>,
    /// Entries that a life's log shows as taken over.
    pub taken_over: HashSet<(u32, EntryId)>,
    /// Lives whose breaker opened: the calls that probe are not counted as attempts.
    pub probing: HashSet<u32>,
}

/// What holds in a scenario.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Redis kept its data: order within each life.
    pub order: bool,
    /// Nothing was disturbed: every attempt's number is the number of calls.
    pub attempts_exact: bool,
    /// Who does not kill does not die: dead letters only where the script says so.
    pub bystanders_live: bool,
    /// Calls of one aggregate never overlap within a process.
    pub alone_in_aggregate: bool,
    pub deliveries_max: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            order: true,
            attempts_exact: false,
            bystanders_live: true,
            alone_in_aggregate: true,
            deliveries_max: 5,
        }
    }
}

/// Judges a run.
pub fn check(evidence: &Evidence, rules: Rules, summary: &mut Summary) {
    let mut by_entry: HashMap<EntryId, Vec<&Call>> = HashMap::new();
    let mut by_lane: HashMap<(u32, &str), Vec<&Call>> = HashMap::new();
    for call in &evidence.calls {
        by_entry.entry(call.id).or_default().push(call);
        by_lane
            .entry((call.life, &call.aggregate))
            .or_default()
            .push(call);
    }
    summary.calls = evidence.calls.len();
    summary.dead_letters = evidence.letters.len();
    let handled: HashSet<EntryId> = evidence
        .calls
        .iter()
        .filter(|call| call.done())
        .map(|call| call.id)
        .collect();
    summary.handled = handled.len();
    check_endings(evidence, rules, &handled, summary);
    check_lives(evidence, summary);
    check_thaws(evidence, &by_entry, summary);
    for calls in by_entry.values() {
        check_entry(evidence, rules, calls, summary);
    }
    for calls in by_lane.values() {
        if rules.alone_in_aggregate {
            check_overlap(calls, summary);
        }
        if rules.order {
            check_order(evidence, rules, calls, &by_entry, summary);
        }
    }
    summary.violations.sort();
}

/// Each event was handled, or is a dead letter where that is its right end.
fn check_endings(
    evidence: &Evidence,
    rules: Rules,
    handled: &HashSet<EntryId>,
    summary: &mut Summary,
) {
    let mut letters: HashMap<EntryId, &Letter> = HashMap::new();
    for letter in &evidence.letters {
        if letters.insert(letter.id, letter).is_some() {
            summary
                .violations
                .push(format!("{} has two dead letters", letter.id));
        }
    }
    for Expected { id, event } in &evidence.expected {
        let letter = letters.get(id);
        if !handled.contains(id) && letter.is_none() {
            summary.violations.push(format!(
                "{id} ({event}) was neither handled nor dead-lettered: lost"
            ));
        }
        if !rules.bystanders_live || event.is_empty() {
            continue;
        }
        let succeeds = Script::of(event).succeeds(rules.deliveries_max);
        if let (true, Some(letter)) = (succeeds, letter) {
            summary.violations.push(format!(
                "{id} ({event}) would have succeeded and is a dead letter: {}",
                letter.reason
            ));
        }
        if !succeeds && handled.contains(id) {
            summary
                .violations
                .push(format!("{id} ({event}) cannot succeed and did"));
        }
    }
}

/// Kills and their hits; calls that never ended though nobody killed them.
fn check_lives(evidence: &Evidence, summary: &mut Summary) {
    // What stands outside a replica may go on when it has been killed.
    let outlives = |call: &&Call| {
        let end = evidence.lives[call.life as usize - 1].end;
        let Some((ended, _)) = call.ended else {
            return true;
        };
        end.is_some_and(|(_, at)| ended.ms > at)
    };
    let open: HashSet<u32> = evidence
        .calls
        .iter()
        .filter(outlives)
        .map(|call| call.life)
        .collect();
    for life in &evidence.lives {
        let Life { number, seat, end } = life;
        match end.map(|(ending, _)| ending) {
            Some(Ending::Killed) => {
                summary.kills += 1;
                summary.hits += usize::from(open.contains(number));
            }
            Some(Ending::ByHandler | Ending::Stopped(Some(0))) => {}
            Some(Ending::Stopped(status)) => summary.violations.push(format!(
                "life {number} ({seat}) did not stop cleanly: status {status:?}"
            )),
            Some(Ending::Surprise(status)) => summary.violations.push(format!(
                "life {number} ({seat}) ended by itself: status {status:?}"
            )),
            None => summary
                .violations
                .push(format!("life {number} ({seat}) has no end")),
        }
        if matches!(end, Some((Ending::Stopped(_), _))) && open.contains(number) {
            summary.violations.push(format!(
                "life {number} ({seat}) stopped in good order while a call ran"
            ));
        }
    }
    if summary.hits * 2 < summary.kills {
        summary.violations.push(format!(
            "only {} of {} kills hit a running call: the run proves too little",
            summary.hits, summary.kills
        ));
    }
}

/// A replica back from a freeze begins nothing that another has finished meanwhile.
fn check_thaws(
    evidence: &Evidence,
    by_entry: &HashMap<EntryId, Vec<&Call>>,
    summary: &mut Summary,
) {
    for Disturbance { life, from, to } in &evidence.disturbances {
        let Some(life) = life else { continue };
        let begun_after = |call: &&Call| call.life == *life && call.began.ms > *to;
        for call in evidence.calls.iter().filter(begun_after) {
            let finished = by_entry[&call.id].iter().find(|other| {
                other.life != *life
                    && other.done()
                    && other
                        .ended
                        .is_some_and(|(end, _)| (*from..*to).contains(&end.ms))
            });
            if let Some(other) = finished {
                summary.violations.push(format!(
                    "life {life} came back from its freeze and began {}, which life {} had finished",
                    call.id, other.life
                ));
            }
        }
    }
}

/// Repetitions and counts of one entry.
fn check_entry(evidence: &Evidence, rules: Rules, calls: &[&Call], summary: &mut Summary) {
    let mut successes = 0;
    for (index, call) in calls.iter().enumerate() {
        let number = index as u32 + 1;
        let counted = calls[..index]
            .iter()
            .filter(|earlier| !evidence.probing.contains(&earlier.life))
            .count();
        if rules.order
            && (call.attempt as usize) <= counted
            && explains(evidence, call, call).is_none()
        {
            summary.violations.push(format!(
                "{}: call {number} was told that it is attempt {}: calls were forgotten",
                call.id, call.attempt
            ));
        }
        // Where a breaker opened, calls that probe are not counted: fewer is right then, more never is.
        let probed = calls[..index]
            .iter()
            .any(|earlier| evidence.probing.contains(&earlier.life));
        let inexact = call.attempt > number || (call.attempt < number && !probed);
        if rules.attempts_exact && inexact {
            summary.violations.push(format!(
                "{}: call {number} was told that it is attempt {} though nothing was disturbed",
                call.id, call.attempt
            ));
        }
        let settled_or_running = |earlier: &&&Call| {
            earlier
                .ended
                .is_none_or(|(end, outcome)| end.line > call.began.line || outcome == Outcome::Done)
        };
        if let Some(earlier) = calls[..index].iter().rev().find(settled_or_running)
            && explains(evidence, earlier, call).is_none()
        {
            summary.violations.push(format!(
                "{} was called in life {} at {} and again in life {} at {}, and nothing explains it",
                call.id, earlier.life, earlier.began.ms, call.life, call.began.ms
            ));
        }
        successes += usize::from(call.done());
    }
    summary.duplicates += successes.saturating_sub(1);
}

/// What explains a call of `later` after (or beside) `earlier`.
fn explains(evidence: &Evidence, earlier: &Call, later: &Call) -> Option<&'static str> {
    let life = &evidence.lives[earlier.life as usize - 1];
    // The end is noted a little after it came.
    if let Some((ending, at)) = life.end
        && ending.is_crash()
        && at <= later.began.ms + UNACKNOWLEDGED_MS
        && earlier
            .ended
            .is_none_or(|(end, _)| end.ms + UNACKNOWLEDGED_MS >= at)
    {
        return Some("its replica died");
    }
    let until = later.ended.map_or(later.began.ms, |(end, _)| end.ms);
    evidence
        .disturbances
        .iter()
        .any(|disturbance| {
            disturbance
                .life
                .is_none_or(|life| life == earlier.life || life == later.life)
                && disturbance.from <= until + UNACKNOWLEDGED_MS
                && earlier.ended.map_or(earlier.began.ms, |(end, _)| end.ms)
                    <= disturbance.to + UNACKNOWLEDGED_MS
        })
        .then_some("a disturbance")
}

/// Calls of one aggregate never overlap within a process.
fn check_overlap(calls: &[&Call], summary: &mut Summary) {
    for pair in calls.windows(2) {
        let [before, after] = pair else { continue };
        if before
            .ended
            .is_none_or(|(end, _)| end.line > after.began.line)
        {
            summary.violations.push(format!(
                "{} began while {} of the same aggregate ran in life {}",
                after.id, before.id, after.life
            ));
        }
    }
}

/// First handlings of fresh entries come in id order, and nothing overtakes an entry that has begun and failed.
fn check_order(
    evidence: &Evidence,
    rules: Rules,
    calls: &[&Call],
    by_entry: &HashMap<EntryId, Vec<&Call>>,
    summary: &mut Summary,
) {
    let mut seen: HashSet<EntryId> = HashSet::new();
    let mut highest: Option<EntryId> = None;
    let mut before: Option<&Call> = None;
    for call in calls {
        let first = seen.insert(call.id);
        // An entry that nobody had before is told that this is its first attempt.
        let fresh = call.attempt == 1 && !evidence.taken_over.contains(&(call.life, call.id));
        if first && fresh {
            if let Some(highest) = highest.filter(|highest| *highest > call.id) {
                summary.violations.push(format!(
                    "{} of {} was handled after {highest} in life {}",
                    call.id, call.aggregate, call.life
                ));
            }
            highest = highest.max(Some(call.id));
        }
        if let Some(failed) = before
            && failed.id != call.id
            && matches!(failed.ended, Some((_, Outcome::Failed)))
            && failed.attempt < rules.deliveries_max
            && !went_elsewhere(evidence, failed, call, by_entry)
        {
            summary.violations.push(format!(
                "{} of {} overtook {}, which had failed and was to be called again, in life {}",
                call.id, call.aggregate, failed.id, call.life
            ));
        }
        before = Some(call);
    }
}

/// Whether another life called the failed entry before the overtaking call, or had taken it over and called it later: then it was no
/// longer this life's to call.
fn went_elsewhere(
    evidence: &Evidence,
    failed: &Call,
    overtaking: &Call,
    by_entry: &HashMap<EntryId, Vec<&Call>>,
) -> bool {
    by_entry[&failed.id].iter().any(|call| {
        call.life != failed.life
            && call.began.line > failed.began.line
            && (call.began.line < overtaking.began.line
                || evidence.taken_over.contains(&(call.life, call.id)))
    })
}
