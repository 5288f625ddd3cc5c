//! Wiring: settings, logging, channels, threads; then waiting, and the written order of stopping.
//!
//! Knows every thread and what each is told; holds no state of theirs.

mod calls;
mod dump;
mod supervisor;
mod wiring;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{error, info, warn};

use crate::config::Loaded;
use crate::config::settings::{HandlerChoice, Settings};
use crate::domain::Millis;
use crate::domain::health::{Activity, Loop, Phase};
use crate::domain::supervision::Life;
use crate::exit_status::ExitStatus;
use crate::handlers::Handler;
use crate::handlers::choice::{self, ChoiceError};
use crate::http::gate::{GateHandle, Reserved};
use crate::http::route;
use crate::redis_io::connection;
use crate::redis_io::keys::Keys;
use crate::runtime::bell::Bell;
use crate::runtime::board::Board;
use crate::runtime::calls::Calls as RunningCalls;
use crate::runtime::clock;
use crate::runtime::logging::{self, LogHandle};
use crate::runtime::metrics::Metrics;
use crate::runtime::service_manager::{self, ListenerError};
use crate::runtime::shutdown::{ShutdownTrigger, shutdown_pair};
use crate::runtime::thread::{EndReport, ThreadError, chain};
use crate::threads::dispatcher::survey::{DispatcherLine, dispatcher_line};
use crate::threads::monitor::{self, MonitorParts};
use crate::threads::notifier::{self, Notifier};
use crate::threads::shared::{GroupMemory, ReaderLine};
use crate::threads::signals::{self, SignalEvent};
use crate::threads::start::{Reached, reach_redis};
use calls::{Calls, tend};
use dump::dump;
use supervisor::{Supervisor, Unasked};
use wiring::{
    Inner, Ways, reserve_address, start_consuming, start_http, start_notifier, start_publishing,
};

const CONTEXT: &str = "main";

/// The words for a start that failed.
const NOT_STARTED: &str = "service could not be started";

/// Main looks around every [`supervisor::IDLE_WAIT`]; after so long without that something holds it up.
const MAIN_STALL_AFTER: Duration = Duration::from_secs(15);

/// What main itself does after the drain deadline takes no longer, lines and last word included.
const LAST_STEPS: Duration = Duration::from_secs(5);

/// The last lines get at most this long to reach standard output.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest any answer that is under way at the stop may take to be sent.
const GATE_STOP: Duration = Duration::from_secs(2);

/// Runs the service with the handler of its configuration until it is stopped.
pub fn run(loaded: Loaded) -> ExitStatus {
    Service::new(loaded).run()
}

/// A service that is ready to run.
pub struct Service {
    loaded: Loaded,
    handler: Option<Arc<dyn Handler>>,
    application: Option<&'static str>,
}

impl Service {
    /// A service with these settings and the handler they choose.
    pub fn new(loaded: Loaded) -> Self {
        Self {
            loaded,
            handler: None,
            application: None,
        }
    }

    /// A handler in Rust instead of the one that the settings choose; an `Arc` of one will do as well. `EVENTS` holds for it too, and it
    /// sees test events.
    pub fn handler(mut self, handler: impl Handler + 'static) -> Self {
        self.handler = Some(Arc::new(handler));
        self
    }

    /// Shows log records of the crate this module (`module_path!()`) belongs to from `LOG_LEVEL` on. Those of other crates are shown
    /// from WARN on. All are masked alike.
    pub fn logs_of(mut self, module: &'static str) -> Self {
        self.application = module.split("::").next();
        self
    }

    /// Runs until a signal or a failure ends it. To be called once in a process, by its main thread: it registers signal
    /// handlers and the logger, and orphans fall to the main thread when this is process 1.
    pub fn run(self) -> ExitStatus {
        let Self {
            loaded,
            handler,
            application,
        } = self;
        // First of all: descriptors that were handed to us are known by their numbers.
        let given = service_manager::take_listener();
        let settings = Arc::new(loaded.settings);
        let (reports_tx, reports) = bounded(supervisor::REPORTS_MAX);
        let log = match logging::start(
            &settings.log,
            &settings.service,
            reports_tx.clone(),
            application,
        ) {
            Ok(log) => log,
            Err(failure) => {
                let _ = writeln!(
                    std::io::stderr(),
                    "weir: logging could not be started: {}",
                    chain(&failure)
                );
                return ExitStatus::Internal;
            }
        };
        for warning in &loaded.warnings {
            warn!(target: "config", variable = warning.variable(); "{warning}");
        }
        let handler = match handler {
            Some(handler) => {
                if !matches!(settings.handler.choice, HandlerChoice::Log) {
                    warn!(target: "config", "the handler of the configuration has no effect: this program has its own");
                }
                Ok(choice::filtered(handler, &settings, true))
            }
            None => choice::chosen(&settings),
        };
        let status = match handler {
            Ok(handler) => run_logged(&settings, given, &handler, reports_tx, reports),
            Err(failure) => {
                error!(target: CONTEXT, error = chain(&failure); "handler could not be made");
                match failure {
                    ChoiceError::Settings(_) => ExitStatus::Configuration,
                    ChoiceError::System(_) => ExitStatus::Internal,
                }
            }
        };
        flush(&log);
        status
    }
}

fn flush(log: &LogHandle) {
    // A reader of standard output that has stalled must not keep a stopped service from ending.
    let _ = log.flush(FLUSH_TIMEOUT);
}

fn run_logged(
    settings: &Arc<Settings>,
    given: Result<Option<TcpListener>, ListenerError>,
    handler: &Arc<dyn Handler>,
    reports_tx: Sender<EndReport>,
    reports: Receiver<EndReport>,
) -> ExitStatus {
    let started = clock::now();
    connection::install_tls_provider();
    let (signal_events, signals_rx) = bounded(signals::QUEUE_MAX);
    let registered = match signals::start(&signal_events, reports_tx.clone()) {
        Ok(registered) => registered,
        Err(failure) => return failed("signal handlers could not be registered", &failure),
    };
    let board = Board::counting(Metrics::new(settings.delivery.workers, &route::labels()));
    let mut supervisor = Supervisor::new(reports_tx, reports);
    let notifier = match start_notifier(settings, &board, &mut supervisor) {
        Ok(notifier) => notifier,
        Err(failure) => return failed(NOT_STARTED, failure.as_ref()),
    };
    let status = match door(settings, given) {
        Ok(reserved) => {
            let begun = Begun {
                settings: Arc::clone(settings),
                handler: Arc::clone(handler),
                board,
                supervisor,
                notifier: notifier.clone(),
                line: ReaderLine::default(),
                started,
            };
            begun.serve(reserved, &signals_rx)
        }
        Err(status) => status,
    };
    registered.unregister();
    info!(target: CONTEXT, exitStatus = status.code(), uptimeMs = clock::now() - started; "stopped");
    notifier.finish(status.meaning());
    status
}

/// The address at which HTTP will be served, or the status with which the start fails.
fn door(
    settings: &Settings,
    given: Result<Option<TcpListener>, ListenerError>,
) -> Result<Reserved, ExitStatus> {
    let given = given.map_err(|failure| {
        failed(NOT_STARTED, &failure);
        ExitStatus::Configuration
    })?;
    reserve_address(settings, given).map_err(|failure| failed(NOT_STARTED, failure.as_ref()))
}

/// What is there before Redis was reached.
struct Begun {
    settings: Arc<Settings>,
    handler: Arc<dyn Handler>,
    board: Board,
    supervisor: Supervisor,
    notifier: Notifier,
    line: ReaderLine,
    started: Millis,
}

impl Begun {
    /// Redis first, then everything else. The address is ours already, and answers only once Redis has been reached.
    fn serve(self, reserved: Reserved, signals: &Receiver<SignalEvent>) -> ExitStatus {
        let settings = Arc::clone(&self.settings);
        let keys = Arc::new(Keys::new(
            &settings.consumer.stream,
            &settings.consumer.group,
        ));
        match reach_redis(&settings, &keys, &self.line, signals, &self.notifier) {
            Reached::Stopped => ExitStatus::Success,
            Reached::GivenUp(status) => status,
            Reached::Ready => match Running::start(self, keys, reserved) {
                Ok(running) => running.until_stopped(signals),
                Err(failure) => failed(NOT_STARTED, failure.as_ref()),
            },
        }
    }
}

fn failed(what: &'static str, failure: &(dyn std::error::Error + 'static)) -> ExitStatus {
    error!(target: CONTEXT, error = chain(failure); "{what}");
    ExitStatus::Internal
}

/// Everything main holds while the service runs: flags and channel ends it needs for stopping.
struct Running {
    settings: Arc<Settings>,
    keys: Arc<Keys>,
    handler: Arc<dyn Handler>,
    board: Board,
    supervisor: Supervisor,
    notifier: Notifier,
    /// Ends reading.
    stop_reading: ShutdownTrigger,
    /// Ends writes over HTTP, the schedule and the publisher.
    stop_writing: ShutdownTrigger,
    /// Ends the monitor.
    stop_monitor: ShutdownTrigger,
    dispatcher: DispatcherLine,
    under_way: RunningCalls,
    memory: GroupMemory,
    gate: GateHandle,
    address: SocketAddr,
    started: Millis,
    announced: bool,
}

impl Running {
    fn start(begun: Begun, keys: Arc<Keys>, reserved: Reserved) -> Result<Self, ThreadError> {
        let Begun {
            settings,
            handler,
            board,
            mut supervisor,
            notifier,
            line,
            started,
        } = begun;
        notifier.tell(Life::Joining);
        // Redis has just answered: health need not wait for the monitor's first look.
        let (now, unix_ms) = (clock::now(), clock::unix_ms());
        board.update(|observed| {
            observed.redis.last_ok = Some(now);
            observed.redis.last_check_unix_ms = Some(unix_ms);
        });
        let (stop_reading, reading) = shutdown_pair();
        let (stop_writing, writing) = shutdown_pair();
        let (stop_monitor, monitoring) = shutdown_pair();
        let (memory, due_soon) = (GroupMemory::default(), Bell::default());

        let monitor = MonitorParts {
            settings: Arc::clone(&settings),
            keys: Arc::clone(&keys),
            board: board.clone(),
            line: line.clone(),
            due_soon: due_soon.clone(),
            stop_reading: reading.clone(),
            stop: monitoring,
        };
        supervisor.start_restartable("monitor", move || {
            let parts = monitor.clone();
            move || monitor::run(parts)
        })?;
        let publish_queue = start_publishing(
            &settings,
            &keys,
            &board,
            &mut supervisor,
            &due_soon,
            &writing,
        )?;
        let to_dispatch = Bell::default();
        let (dispatcher, control) = dispatcher_line(&to_dispatch);
        let under_way = RunningCalls::new(settings.delivery.workers);
        let ways = Ways {
            publisher: publish_queue,
            dispatcher: dispatcher.clone(),
            calls: under_way.clone(),
        };
        let (gate, address) = start_http(
            &settings,
            reserved,
            &board,
            &mut supervisor,
            ways,
            writing,
            started,
        )?;
        info!(target: CONTEXT, port = address.port(), address:% = address.ip(); "listening");
        let inner = Inner {
            control,
            to_dispatch,
            calls: under_way.clone(),
            line,
            memory: memory.clone(),
        };
        start_consuming(
            &settings,
            &keys,
            &board,
            &handler,
            &mut supervisor,
            inner,
            reading,
        )?;
        Ok(Self {
            settings,
            keys,
            handler,
            board,
            supervisor,
            notifier,
            stop_reading,
            stop_writing,
            stop_monitor,
            dispatcher,
            under_way,
            memory,
            gate,
            address,
            started,
            announced: false,
        })
    }

    /// Waits for a signal or for a thread that ends unasked, then stops everything in order.
    fn until_stopped(mut self, signals: &Receiver<SignalEvent>) -> ExitStatus {
        let mut status = ExitStatus::Success;
        loop {
            let limit = clock::millis(MAIN_STALL_AFTER);
            self.board.beat(Loop::Main, Activity::Working, None, limit);
            self.announce();
            let wait = supervisor::IDLE_WAIT;
            let wait = tend(self.handler.as_ref()).map_or(wait, |next| wait.min(next));
            let joined = self.memory.joined();
            match self.supervisor.wait(signals, wait, joined, &self.board) {
                supervisor::Event::Nothing => {}
                supervisor::Event::Signal(SignalEvent::Dump) => {
                    let survey = self.dispatcher.survey();
                    dump(&self.board.snapshot(), &self.under_way, survey.as_deref());
                }
                supervisor::Event::Signal(SignalEvent::Stop(signal)) => {
                    info!(target: "shutdown", signal, timeoutMs = clock::millis(self.settings.shutdown_timeout); "stopping");
                    break;
                }
                supervisor::Event::Unasked(Unasked { name }) => {
                    error!(target: "shutdown", thread = name; "stopping, because a thread cannot be kept alive");
                    status = ExitStatus::Internal;
                    break;
                }
            }
        }
        let drained = self.stop(signals);
        match (status, drained) {
            (ExitStatus::Success, false) => ExitStatus::DrainDeadline,
            (status, _) => status,
        }
    }

    /// One line that says what runs, as soon as the group is joined.
    fn announce(&mut self) {
        if self.announced {
            return;
        }
        let Some(consumer) = self.board.update(|observed| {
            observed
                .consumer
                .clone()
                .inspect(|_| observed.phase = Phase::Running)
        }) else {
            return;
        };
        self.announced = true;
        self.notifier.tell(Life::Running);
        let bounds = &self.settings.consumer;
        if bounds.stream_max_length.is_none() && bounds.stream_max_age.is_none() {
            warn!(target: CONTEXT, stream = self.keys.stream.as_str(); "stream is never trimmed: set STREAM_MAX_LENGTH or STREAM_MAX_AGE_MS, or trim it elsewhere");
        }
        let interval = self.settings.test_event_interval.map(clock::millis);
        info!(
            target: CONTEXT, version = env!("CARGO_PKG_VERSION"), serviceVersion = self.settings.service.version.as_str(),
            group = self.keys.group.as_str(), consumer = consumer.as_str(), stream = self.keys.stream.as_str(),
            port = self.address.port(), testEvents = interval.is_some(), testEventIntervalMs = interval,
            schedules = self.settings.schedules.len(),
            startMs = clock::now() - self.started;
            "running"
        );
    }

    /// The written order of stopping; `false` when the deadline passed.
    fn stop(mut self, signals: &Receiver<SignalEvent>) -> bool {
        let deadline = clock::now() + clock::millis(self.settings.shutdown_timeout);
        self.board
            .update(|observed| observed.phase = Phase::Draining);
        let until = deadline + clock::millis(LAST_STEPS);
        self.notifier.tell(Life::Stopping { until });
        // Load balancers need time to see that we are not ready.
        self.supervisor
            .linger(signals, self.settings.shutdown_delay);
        self.supervisor.stopping();
        self.stop_writing.request();
        self.stop_reading.request();
        let mut calls = Calls::new(&self.handler, self.settings.shutdown_timeout, deadline);
        let mut done = calls.wait_for(&mut self.supervisor, &["reader"]);
        self.dispatcher.drain();
        done &= calls.wait_for(&mut self.supervisor, &["dispatcher", "settler", "worker-"]);
        done &= self
            .supervisor
            .wait_for(&["publisher", "scheduler"], deadline);
        let left = Duration::from_millis(deadline.saturating_sub(clock::now()));
        self.gate.stop(left.min(GATE_STOP));
        self.stop_monitor.request();
        done &= self
            .supervisor
            .wait_for(&["gate", "http-", "monitor"], deadline);
        let observed = self.board.snapshot();
        if done {
            info!(
                target: "shutdown", handled = observed.handled, released = observed.released, deadLetters = observed.dead_letters,
                stillPending = observed.held;
                "drained"
            );
        } else {
            warn!(
                target: "shutdown", threads:serde = self.supervisor.running_but(notifier::THREAD), handled = observed.handled,
                released = observed.released, stillPending = observed.held;
                "drain deadline passed; what is unsettled stays pending for the next consumer"
            );
        }
        done
    }
}
