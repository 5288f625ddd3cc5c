//! Handlers that keep their calls waiting: what stands ahead of them, and what waits beside them.

use super::*;

/// The calls of events beyond this one wait at a gate.
const UNGATED: u64 = 200;

struct Gated {
    begun: AtomicUsize,
    /// Open once its sender is gone.
    gate: Receiver<()>,
}

impl Handler for Gated {
    fn handle(&self, event: &Event, _call: Call) -> HandlerResult {
        if event.id().ms > UNGATED {
            self.begun.fetch_add(1, Ordering::Relaxed);
            let _ = self.gate.recv();
        }
        Ok(())
    }
}

/// The circles with single calls and so many events behind the gate, which opens when the sender is dropped.
fn start_gated(gated: u64, jobs_max: usize) -> (Sender<()>, Arc<Gated>, Circles) {
    let (closed, gate) = bounded(0);
    let handler = Arc::new(Gated {
        begun: AtomicUsize::new(0),
        gate,
    });
    let bounds = LaneLimits {
        batch: false,
        ..limits(100)
    };
    let circles = start_with_room(
        &(Arc::clone(&handler) as Arc<dyn Handler>),
        bounds,
        UNGATED + gated,
        |ms| ms.to_string(),
        jobs_max,
    );
    (closed, handler, circles)
}

#[test]
fn jobs_that_wait_for_a_worker_are_taken_back_when_it_drains() {
    let (closed, handler, circles) = start_gated(30, WORKERS * (1 + AHEAD_MAX));
    let wait_for = |what: &str, condition: &dyn Fn() -> bool| {
        let deadline = clock::now() + 30_000;
        while !condition() {
            assert!(clock::now() < deadline, "{what}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    };
    wait_for("all workers are busy and there is more", &|| {
        handler.begun.load(Ordering::Relaxed) == WORKERS && !circles.jobs.is_empty()
    });
    circles.control.send(Control::Drain).unwrap();
    wait_for("they are taken back", &|| circles.jobs.is_empty());
    drop(closed);
    for _ in 0..WORKERS + 3 {
        let report = circles.ends.recv_timeout(Duration::from_mins(1)).unwrap();
        let reader = report.name == "reader";
        assert!(
            reader || matches!(report.ending, Ending::Returned),
            "{report}"
        );
    }
    assert_eq!(handler.begun.load(Ordering::Relaxed), WORKERS);
    let acknowledged = circles.settled.lock().unwrap().0.len();
    assert_eq!(acknowledged as u64, UNGATED + WORKERS as u64);
}

#[test]
fn what_is_done_is_acknowledged_while_another_call_hangs() {
    // One hangs from the beginning to the end.
    let (closed, handler, circles) = start_gated(1, WORKERS);
    // Far below the time after which leases are renewed, which takes everything along.
    let deadline = clock::now() + 10_000;
    while circles.settled.lock().unwrap().0.len() as u64 != UNGATED {
        assert!(clock::now() < deadline, "the last ones wait for more");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert_eq!(handler.begun.load(Ordering::Relaxed), 1, "it hangs");
    drop(closed);
    circles.control.send(Control::Drain).unwrap();
    for _ in 0..WORKERS + 3 {
        let report = circles.ends.recv_timeout(Duration::from_mins(1)).unwrap();
        assert!(matches!(report.ending, Ending::Returned), "{report}");
    }
}
