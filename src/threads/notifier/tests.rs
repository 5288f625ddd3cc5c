//! The loop, with a closure in the manager's place.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::*;
use crate::domain::Millis;
use crate::domain::health::{Activity, Loop, Phase};

/// Longest wait on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

const LIMITS: HealthLimits = HealthLimits {
    degraded_window: 300_000,
    lag_warn: 10_000,
    dead_letter_max_length: 0,
};

/// A board on which everything is well, and stays so for the length of a test.
fn healthy() -> Board {
    let board = Board::default();
    board.update(|observed| {
        observed.phase = Phase::Running;
        observed.redis.last_ok = Some(Millis::MAX);
        for which in [Loop::Reader, Loop::Dispatcher, Loop::Settler, Loop::Main] {
            observed.loops.entry(which).or_default().beat = Millis::MAX;
        }
    });
    board
}

/// A notifier thread and what it tells.
struct Fixture {
    board: Board,
    notifier: Notifier,
    told: Receiver<Vec<Notice>>,
    refuse: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn start(watchdog: Option<Duration>) -> Fixture {
    let board = healthy();
    let (notifier, parts) = connect(&board, LIMITS, watchdog);
    let (tx, told) = bounded(1_000);
    let refuse = Arc::new(AtomicBool::new(false));
    let refused = Arc::clone(&refuse);
    let thread = std::thread::Builder::new()
        .spawn(move || {
            run_telling(&parts, |notices| {
                if refused.load(Ordering::SeqCst) {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                tx.send(notices.to_vec()).map_err(io::Error::other)
            })
            .expect("it ends well");
        })
        .expect("a thread starts");
    Fixture {
        board,
        notifier,
        told,
        refuse,
        thread: Some(thread),
    }
}

impl Fixture {
    /// Waits for this notice.
    fn wait_for(&self, wanted: &Notice) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let notices = self.told.recv_timeout(left);
            let notices = notices.unwrap_or_else(|_| panic!("waited in vain for {wanted:?}"));
            if notices.contains(wanted) {
                return;
            }
        }
    }

    /// Signs of life in the coming time.
    fn fed_within(&self, time: Duration) -> usize {
        let deadline = Instant::now() + time;
        let mut fed = 0;
        while let Ok(notices) = self.told.recv_deadline(deadline) {
            fed += usize::from(notices.contains(&Notice::Watchdog));
        }
        fed
    }

    fn end(&mut self) {
        self.notifier.finish("done");
        self.thread
            .take()
            .expect("not ended yet")
            .join()
            .expect("it ends well");
    }
}

#[test]
fn what_main_tells_goes_out_and_the_last_word_ends_it() {
    let mut fixture = start(None);
    fixture.notifier.tell(Life::Running);
    fixture.wait_for(&Notice::Ready);
    fixture.end();
    fixture.wait_for(&Notice::Status("ended: done".to_owned()));
}

#[test]
fn the_watchdog_starves_while_a_loop_makes_no_progress_and_is_fed_again_when_it_does() {
    let mut fixture = start(Some(Duration::from_millis(100)));
    fixture.notifier.tell(Life::Running);
    fixture.wait_for(&Notice::Watchdog);
    // At work since the machine was started, without a sign of life.
    let beat = |beat| {
        fixture.board.update(|observed| {
            let state = observed.loops.entry(Loop::Settler).or_default();
            (state.beat, state.activity, state.limit) = (beat, Activity::Working, 1);
        });
    };
    beat(0);
    // One look may have been under way.
    fixture.fed_within(Duration::from_millis(200));
    assert_eq!(fixture.fed_within(Duration::from_millis(500)), 0);
    beat(u64::MAX);
    fixture.wait_for(&Notice::Watchdog);
    fixture.end();
}

#[test]
fn what_could_not_be_told_is_told_again() {
    let mut fixture = start(Some(Duration::from_millis(50)));
    fixture.refuse.store(true, Ordering::SeqCst);
    fixture.notifier.tell(Life::Running);
    assert_eq!(fixture.fed_within(Duration::from_millis(100)), 0);
    fixture.refuse.store(false, Ordering::SeqCst);
    fixture.wait_for(&Notice::Ready);
    fixture.end();
}

#[test]
fn a_manager_that_takes_nothing_holds_up_the_end_for_a_moment_only() {
    let board = Board::default();
    // Nobody runs the loop: as if it were inside a send that does not return.
    let (notifier, _parts) = connect(&board, LIMITS, None);
    let begun = Instant::now();
    notifier.tell(Life::Running);
    notifier.finish("done");
    let took = begun.elapsed();
    assert!(took >= LAST_WORD && took < LAST_WORD + PATIENCE, "{took:?}");
}

#[test]
fn it_ends_when_main_has_gone_without_a_word() {
    let mut fixture = start(None);
    fixture.notifier = Notifier::default();
    fixture
        .thread
        .take()
        .expect("not ended yet")
        .join()
        .expect("it ends well");
}

#[test]
fn without_a_manager_telling_leads_nowhere() {
    let notifier = Notifier::default();
    notifier.tell(Life::Running);
    notifier.finish("done");
}
