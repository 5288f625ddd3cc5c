//! What each worker is calling right now: a place for each, written by its worker alone, read by whoever wants to know.
//!
//! A place is locked for the time of a copy: the worker never waits for more than that, and only while somebody looks. Its texts keep
//! their memory, so noting a call allocates nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::Millis;
use crate::domain::entry_id::EntryId;

/// A handler call that has begun and not ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunningCall {
    /// The entry.
    pub id: EntryId,
    /// The event's name.
    pub event: String,
    /// What it happened to.
    pub aggregate_id: String,
    /// 1 for the first call of the entry.
    pub attempt: u32,
    /// When it began.
    pub began: Millis,
}

/// One worker's place; on a cache line of its own, because workers write side by side.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Place {
    call: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    running: bool,
    call: RunningCall,
}

/// Everybody's places; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    places: Arc<[Place]>,
}

impl Calls {
    /// A place for each of so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            places: (0..workers).map(|_| Place::default()).collect(),
        }
    }

    /// The place of the worker with this number, counted from 0; one beyond the last notes nothing.
    pub fn place(&self, number: usize) -> CallPlace {
        CallPlace {
            calls: self.clone(),
            number,
        }
    }

    /// What runs, the oldest first.
    pub fn running(&self) -> Vec<RunningCall> {
        let noted = self.places.iter().filter_map(|place| {
            let noted = lock(place);
            noted.running.then(|| noted.call.clone())
        });
        let mut running: Vec<RunningCall> = noted.collect();
        running.sort_unstable_by_key(|call| (call.began, call.id));
        running
    }
}

/// A worker's own place.
#[derive(Debug, Clone)]
pub struct CallPlace {
    calls: Calls,
    number: usize,
}

impl CallPlace {
    /// A call begins. What was noted before has ended.
    pub fn begin(&self, id: EntryId, event: &str, aggregate_id: &str, attempt: u32, began: Millis) {
        let Some(place) = self.calls.places.get(self.number) else {
            return;
        };
        let mut noted = lock(place);
        noted.running = true;
        let call = &mut noted.call;
        call.id = id;
        call.attempt = attempt;
        call.began = began;
        call.event.clear();
        call.event.push_str(event);
        call.aggregate_id.clear();
        call.aggregate_id.push_str(aggregate_id);
    }

    /// Nothing runs here any more.
    pub fn end(&self) {
        if let Some(place) = self.calls.places.get(self.number) {
            lock(place).running = false;
        }
    }
}

fn lock(place: &Place) -> MutexGuard<'_, Noted> {
    place.call.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_shown_oldest_first_and_what_ended_is_not() {
        let calls = Calls::new(3);
        assert_eq!(calls.running(), []);
        let id = |ms| EntryId { ms, seq: 0 };
        let places: Vec<CallPlace> = (0..4).map(|number| calls.place(number)).collect();
        places[0].begin(id(1), "order.created", "order-1", 1, 500);
        places[1].begin(id(2), "order.paid", "order-2", 3, 400);
        places[2].begin(id(3), "gone", "order-3", 1, 300);
        places[2].end();
        places[3].begin(id(4), "nobody", "order-4", 1, 200);
        places[3].end();
        let shown: Vec<_> = calls
            .running()
            .into_iter()
            .map(|call| (call.id.ms, call.event, call.aggregate_id, call.attempt))
            .collect();
        assert_eq!(
            shown,
            [
                (2, "order.paid".to_owned(), "order-2".to_owned(), 3),
                (1, "order.created".to_owned(), "order-1".to_owned(), 1),
            ]
        );
        places[1].begin(id(5), "x", "y", 1, 600);
        assert_eq!(calls.running()[1].event, "x", "it replaces what was noted");
    }
}
