//! Wiring: settings, logging, channels, threads; then waiting, and the written order of stopping.
//!
//! Knows every thread and what each is told; holds no state of theirs.

mod supervisor;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{error, info, warn};

use crate::config::{Loaded, settings::Settings};
use crate::domain::Millis;
use crate::domain::backoff::Backoff;
use crate::domain::health::{Observations, Phase};
use crate::domain::lanes::LaneLimits;
use crate::exit_status::ExitStatus;
use crate::handlers::Handler;
use crate::handlers::log::LogHandler;
use crate::http::app::App;
use crate::http::gate::{Gate, GateHandle, listen};
use crate::http::limits::GateLimits;
use crate::http::{respond, route};
use crate::redis_io::connection;
use crate::redis_io::keys::Keys;
use crate::redis_io::publish::StreamWriter;
use crate::runtime::board::Board;
use crate::runtime::clock;
use crate::runtime::container_name::{self, Roots};
use crate::runtime::logging::{self, LogHandle};
use crate::runtime::shutdown::{Shutdown, ShutdownTrigger, shutdown_pair};
use crate::runtime::thread::{ThreadError, chain};
use crate::threads::dispatcher::{self, Control, DispatcherParts};
use crate::threads::monitor::{self, MonitorParts};
use crate::threads::reader::{self, ReaderParts};
use crate::threads::settler::{self, SettlerParts};
use crate::threads::shared::{GroupMemory, ReaderLine};
use crate::threads::signals::{self, SignalEvent};
use crate::threads::start::{Reached, reach_redis};
use crate::threads::{http, publisher, scheduler, worker};
use supervisor::{Supervisor, Unasked};

const CONTEXT: &str = "main";

/// Messages of the settler that wait for the dispatcher; it may block, so this is only smoothing.
const FROM_SETTLER_MAX: usize = 64;

/// Orders that wait for the settler beyond those of held entries (renewals, counts): smoothing too, the dispatcher keeps the rest.
const ORDERS_MAX: usize = 1_024;

/// Descriptors kept for Redis connections, log, signals, files: what the gate must not use up.
const DESCRIPTOR_RESERVE: usize = 64;

/// While starting, main looks this often whether the group is joined.
const START_POLL: Duration = Duration::from_millis(20);

/// The last lines get at most this long to reach standard output.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest any answer that is under way at the stop may take to be sent.
const GATE_STOP: Duration = Duration::from_secs(2);

/// Runs the service with the `log` handler until it is stopped.
pub fn run(loaded: Loaded) -> ExitStatus {
    Service::new(loaded).run()
}

/// A service that is ready to run.
pub struct Service {
    loaded: Loaded,
    handler: Arc<dyn Handler>,
}

impl Service {
    /// A service with these settings and the `log` handler.
    pub fn new(loaded: Loaded) -> Self {
        Self {
            loaded,
            handler: Arc::new(LogHandler),
        }
    }

    /// Another handler.
    pub fn handler(mut self, handler: Arc<dyn Handler>) -> Self {
        self.handler = handler;
        self
    }

    /// Runs until a signal or a failure ends it. To be called once in a process: it registers signal handlers and the logger.
    pub fn run(self) -> ExitStatus {
        let Self { loaded, handler } = self;
        let settings = Arc::new(loaded.settings);
        let log = match logging::start(&settings.log, &settings.service) {
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
        let status = run_logged(&settings, &handler);
        flush(&log);
        status
    }
}

fn flush(log: &LogHandle) {
    // A reader of standard output that has stalled must not keep a stopped service from ending.
    let _ = log.flush(FLUSH_TIMEOUT);
}

fn run_logged(settings: &Arc<Settings>, handler: &Arc<dyn Handler>) -> ExitStatus {
    let started = clock::now();
    connection::install_tls_provider();
    let (signal_events, signals_rx) = bounded(signals::QUEUE_MAX);
    let (reports_tx, reports) = bounded(supervisor::REPORTS_MAX);
    let registered = match signals::start(&signal_events, reports_tx.clone()) {
        Ok(registered) => registered,
        Err(failure) => return failed("signal handlers could not be registered", &failure),
    };
    let keys = Arc::new(Keys::new(
        &settings.consumer.stream,
        &settings.consumer.group,
    ));
    let status = match reach_redis(settings, &keys, &signals_rx) {
        Reached::Stopped => ExitStatus::Success,
        Reached::GivenUp(status) => status,
        Reached::Ready => {
            let supervisor = Supervisor::new(reports_tx, reports);
            match Running::start(settings, keys, handler, supervisor, started) {
                Ok(running) => running.until_stopped(&signals_rx),
                Err(failure) => failed("service could not be started", failure.as_ref()),
            }
        }
    };
    registered.unregister();
    info!(target: CONTEXT, exitStatus = status.code(), uptimeMs = clock::now() - started; "stopped");
    status
}

fn failed(what: &'static str, failure: &(dyn std::error::Error + 'static)) -> ExitStatus {
    error!(target: CONTEXT, error = chain(failure); "{what}");
    ExitStatus::Internal
}

/// Everything main holds while the service runs: flags and channel ends it needs for stopping.
struct Running {
    settings: Arc<Settings>,
    keys: Arc<Keys>,
    board: Board,
    supervisor: Supervisor,
    /// Ends reading.
    stop_reading: ShutdownTrigger,
    /// Ends writes over HTTP, the schedule and the publisher.
    stop_writing: ShutdownTrigger,
    /// Ends the monitor.
    stop_monitor: ShutdownTrigger,
    control: Sender<Control>,
    gate: GateHandle,
    address: SocketAddr,
    started: Millis,
    announced: bool,
}

impl Running {
    fn start(
        settings: &Arc<Settings>,
        keys: Arc<Keys>,
        handler: &Arc<dyn Handler>,
        mut supervisor: Supervisor,
        started: Millis,
    ) -> Result<Self, ThreadError> {
        let board = Board::default();
        // Redis has just answered: health need not wait for the monitor's first look.
        let (now, unix_ms) = (clock::now(), clock::unix_ms());
        board.update(|observed| {
            observed.redis.last_ok = Some(now);
            observed.redis.last_check_unix_ms = Some(unix_ms);
        });
        let (stop_reading, reading) = shutdown_pair();
        let (stop_writing, writing) = shutdown_pair();
        let (stop_monitor, monitoring) = shutdown_pair();
        let line = ReaderLine::default();

        let monitor = MonitorParts {
            settings: Arc::clone(settings),
            keys: Arc::clone(&keys),
            board: board.clone(),
            line: line.clone(),
            stop_reading: reading.clone(),
            stop: monitoring,
        };
        supervisor.start_restartable("monitor", move || {
            let parts = monitor.clone();
            move || monitor::run(parts)
        })?;
        let publish_queue = start_publishing(settings, &mut supervisor, &writing)?;
        let (gate, address) = start_http(
            settings,
            &board,
            &mut supervisor,
            publish_queue,
            writing,
            started,
        )?;
        info!(target: CONTEXT, port = address.port(), address:% = address.ip(); "listening");
        let control = start_consuming(
            settings,
            &keys,
            &board,
            handler,
            &mut supervisor,
            line,
            reading,
        )?;
        Ok(Self {
            settings: Arc::clone(settings),
            keys,
            board,
            supervisor,
            stop_reading,
            stop_writing,
            stop_monitor,
            control,
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
            self.announce();
            let wait = if self.announced {
                supervisor::IDLE_WAIT
            } else {
                START_POLL
            };
            match self.supervisor.wait(signals, wait, &self.board) {
                supervisor::Event::Nothing => {}
                supervisor::Event::Signal(SignalEvent::Dump) => dump(&self.board.snapshot()),
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
        let interval = self.settings.test_event_interval.map(clock::millis);
        info!(
            target: CONTEXT, version = env!("CARGO_PKG_VERSION"), serviceVersion = self.settings.service.version.as_str(),
            group = self.keys.group.as_str(), consumer = consumer.as_str(), stream = self.keys.stream.as_str(),
            port = self.address.port(), testEvents = interval.is_some(), testEventIntervalMs = interval,
            startMs = clock::now() - self.started;
            "running"
        );
    }

    /// The written order of stopping; `false` when the deadline passed.
    fn stop(mut self, signals: &Receiver<SignalEvent>) -> bool {
        let deadline = clock::now() + clock::millis(self.settings.shutdown_timeout);
        self.board
            .update(|observed| observed.phase = Phase::Draining);
        // Load balancers need time to see that we are not ready.
        self.supervisor
            .linger(signals, self.settings.shutdown_delay);
        self.supervisor.stopping();
        self.stop_writing.request();
        self.stop_reading.request();
        let mut done = self.supervisor.wait_for(&["reader"], deadline);
        // The dispatcher may have gone by itself; then there is nothing to drain.
        let _ = self.control.try_send(Control::Drain);
        done &= self
            .supervisor
            .wait_for(&["dispatcher", "settler", "worker-"], deadline);
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
                stillHeld = observed.held;
                "drained"
            );
        } else {
            warn!(
                target: "shutdown", threads:serde = self.supervisor.running(), handled = observed.handled,
                released = observed.released, stillPending = observed.held;
                "drain deadline passed; what is unsettled stays pending for the next consumer"
            );
        }
        done
    }
}

/// The publisher and the schedule; answers the way into the publisher's queue.
fn start_publishing(
    settings: &Arc<Settings>,
    supervisor: &mut Supervisor,
    writing: &Shutdown,
) -> Result<Sender<publisher::PublishRequest>, ThreadError> {
    let (queue, requests) = bounded(publisher::QUEUE_MAX);
    let (publisher_settings, stop) = (Arc::clone(settings), writing.clone());
    supervisor.start_restartable("publisher", move || {
        let (settings, requests, stop) = (
            Arc::clone(&publisher_settings),
            requests.clone(),
            stop.clone(),
        );
        let writer = StreamWriter::new(
            &settings.redis,
            &settings.service.name,
            &settings.consumer.stream,
        );
        move || publisher::run(writer, &requests, &stop)
    })?;
    if let Some(interval) = settings.test_event_interval {
        let (settings, queue, stop) = (Arc::clone(settings), queue.clone(), writing.clone());
        supervisor.start_restartable("scheduler", move || {
            let (settings, queue, stop) = (Arc::clone(&settings), queue.clone(), stop.clone());
            move || scheduler::run(interval, &settings.service.name, &queue, &stop)
        })?;
    }
    Ok(queue)
}

/// The gate and the workers behind it; answers the way to the gate and the address it listens at.
fn start_http(
    settings: &Arc<Settings>,
    board: &Board,
    supervisor: &mut Supervisor,
    publish_queue: Sender<publisher::PublishRequest>,
    writing: Shutdown,
    started: Millis,
) -> Result<(GateHandle, SocketAddr), ThreadError> {
    let limits = GateLimits::for_this_process(DESCRIPTOR_RESERVE)?;
    // A request that was taken back leaves its husk in the queue until a worker comes to it.
    let (health_tx, health) = bounded(2 * limits.connections);
    let (rest_tx, rest) = bounded(2 * limits.connections);
    let (published_tx, published) = bounded(http::PUBLISHED_QUEUE_MAX);
    let publish = http::publish_through(publish_queue, published_tx);
    let app = Arc::new(App::new(settings, board.clone(), writing, started, publish));
    let wanted = SocketAddr::new(settings.http.bind, settings.http.port);
    let listener = listen(wanted).map_err(|failure| format!("listen on {wanted}: {failure}"))?;
    let address = listener.local_addr()?;
    let judge = Box::new(|method, path: &str| route::judge(method, path).into());
    let (gate, handle) = Gate::new(
        listener,
        limits,
        judge,
        respond::problem,
        health_tx,
        rest_tx,
    )?;
    supervisor.start_once("gate", move || gate.run().map_err(Into::into))?;
    for number in 0..http::WORKERS {
        let (app, handle) = (Arc::clone(&app), handle.clone());
        let (health, rest, published) = (health.clone(), rest.clone(), published.clone());
        supervisor.start_restartable(&format!("http-{number}"), move || {
            // One worker takes nothing but health requests, so that no other route can hold them up.
            let inbox = if number == 0 {
                http::Inbox::health_only(health.clone())
            } else {
                http::Inbox::everything(health.clone(), rest.clone(), published.clone())
            };
            let (app, handle) = (Arc::clone(&app), handle.clone());
            move || http::run(inbox, &app, |answer| handle.answer(answer))
        })?;
    }
    Ok((handle, address))
}

/// Reader, dispatcher, workers and settler; answers the way to tell the dispatcher to drain.
fn start_consuming(
    settings: &Arc<Settings>,
    keys: &Arc<Keys>,
    board: &Board,
    handler: &Arc<dyn Handler>,
    supervisor: &mut Supervisor,
    line: ReaderLine,
    reading: Shutdown,
) -> Result<Sender<Control>, ThreadError> {
    let delivery = &settings.delivery;
    let memory = GroupMemory::default();
    let name = consumer_name(settings);
    let (to_dispatcher, from_reader) = bounded(1);
    let (permits_tx, permits) = bounded(1);
    let (jobs_tx, jobs) = bounded(delivery.workers);
    let (reports_tx, reports) = bounded(delivery.workers);
    let (orders_tx, orders) = bounded(ORDERS_MAX);
    let (from_settler_tx, from_settler) = bounded(FROM_SETTLER_MAX);
    let (control_tx, control) = bounded(1);
    let limits = LaneLimits {
        workers: delivery.workers,
        max_in_flight: delivery.max_in_flight,
        max_in_flight_bytes: delivery.max_in_flight_bytes,
        claim_idle: clock::millis(delivery.claim_idle),
        max_deliveries: delivery.max_deliveries,
        retry: Backoff {
            base: delivery.retry_backoff,
            max: delivery.retry_backoff_max,
        },
        batch: handler.is_quick(),
    };
    let dispatcher = DispatcherParts {
        from_reader,
        reports,
        from_settler,
        control,
        jobs: jobs_tx,
        permits: permits_tx,
        orders: orders_tx,
        limits,
        board: board.clone(),
    };
    supervisor.start_once("dispatcher", move || dispatcher::run(dispatcher))?;
    let settler = SettlerParts {
        settings: Arc::clone(settings),
        keys: Arc::clone(keys),
        name,
        memory: memory.clone(),
        orders,
        dispatcher: from_settler_tx,
        board: board.clone(),
    };
    supervisor.start_once("settler", move || settler::run(settler))?;
    for number in 0..delivery.workers {
        let (jobs, reports, handler) = (jobs.clone(), reports_tx.clone(), Arc::clone(handler));
        supervisor.start_restartable(&format!("worker-{number}"), move || {
            let (jobs, reports, handler) = (jobs.clone(), reports.clone(), Arc::clone(&handler));
            move || worker::run(&jobs, &reports, &handler)
        })?;
    }
    let reader = ReaderParts {
        settings: Arc::clone(settings),
        keys: Arc::clone(keys),
        memory,
        line,
        permits,
        dispatcher: to_dispatcher,
        board: board.clone(),
        stop: reading,
    };
    supervisor.start_restartable("reader", move || {
        let parts = reader.clone();
        move || reader::run(parts)
    })?;
    Ok(control_tx)
}

/// `CONSUMER_NAME`, else the container's name, else the pod's, else the service's.
fn consumer_name(settings: &Settings) -> String {
    let environment = |name: &str| std::env::var(name).ok();
    let configured = settings.consumer.name.as_deref();
    let (name, source) = container_name::consumer_name(
        environment,
        configured,
        &settings.service.name,
        &Roots::default(),
    );
    info!(target: "container-name", consumer = name.as_str(), source:% = source; "consumer name chosen");
    name
}

/// SIGUSR1: what the threads observe, in one line.
fn dump(observed: &Observations) {
    info!(
        target: CONTEXT, phase:? = observed.phase, consumer = observed.consumer.as_deref(), held = observed.held,
        handled = observed.handled, deadLetters = observed.dead_letters, lag = observed.group.lag,
        pending = observed.group.pending, length = observed.group.length, loops:? = observed.loops,
        redis:? = observed.redis, restarts = observed.restarts.len(), droppedLogLines = logging::dropped_lines();
        "state"
    );
}
