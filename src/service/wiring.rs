//! Which thread gets which channel ends: the picture of the threads, in code.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use log::{info, warn};

use super::supervisor::Supervisor;
use crate::config::settings::Settings;
use crate::domain::Millis;
use crate::domain::backoff::Backoff;
use crate::domain::lanes::ahead::AHEAD_MAX;
use crate::domain::lanes::{LANE_HELD_MAX, LaneLimits, PARKED_MAX};
use crate::handlers::Handler;
use crate::http::app::{App, Inside, health_limits};
use crate::http::exchange::Request;
use crate::http::gate::{Gate, GateHandle, Reserved, reserve, take_over};
use crate::http::limits::GateLimits;
use crate::http::{respond, route};
use crate::redis_io::keys::Keys;
use crate::redis_io::publish::StreamWriter;
use crate::runtime::bell::Bell;
use crate::runtime::board::Board;
use crate::runtime::calls::Calls;
use crate::runtime::clock;
use crate::runtime::container_name::{self, Roots};
use crate::runtime::post::Post;
use crate::runtime::shutdown::Shutdown;
use crate::runtime::thread::ThreadError;
use crate::threads::dispatcher::survey::{self, DispatcherLine};
use crate::threads::dispatcher::{self, Control, DispatcherParts};
use crate::threads::notifier::{self, Notifier};
use crate::threads::reader::{self, ReaderParts};
use crate::threads::settler::{self, SettlerParts};
use crate::threads::shared::{GroupMemory, ReaderLine};
use crate::threads::{http, publisher, scheduler, worker};

const CONTEXT: &str = "main";

/// Messages of the settler that wait for the dispatcher; it may block, so this is only smoothing.
const FROM_SETTLER_MAX: usize = 64;

/// Orders that wait for the settler: smoothing too, the dispatcher keeps the rest. The places are made at once and each is as large as a dead
/// letter, 350 bytes.
const ORDERS_MAX: usize = 128;

/// Descriptors kept for Redis connections, log, signals, files: what the gate must not use up.
const DESCRIPTOR_RESERVE: usize = 64;

/// Whoever tells the service manager how we are, if there is one to be told.
pub(super) fn start_notifier(
    settings: &Settings,
    board: &Board,
    supervisor: &mut Supervisor,
) -> Result<Notifier, ThreadError> {
    let (notifier, parts) = notifier::pair(board, health_limits(settings));
    if let Some(parts) = parts {
        supervisor.start_restartable(notifier::THREAD, move || {
            let parts = parts.clone();
            move || notifier::run(&parts)
        })?;
    }
    Ok(notifier)
}

/// The publisher and the schedule; answers the way into the publisher's queue.
pub(super) fn start_publishing(
    settings: &Arc<Settings>,
    keys: &Arc<Keys>,
    board: &Board,
    supervisor: &mut Supervisor,
    due_soon: &Bell,
    writing: &Shutdown,
) -> Result<Sender<publisher::PublishRequest>, ThreadError> {
    let (queue, requests) = bounded(publisher::QUEUE_MAX);
    let (publisher_settings, stop) = (Arc::clone(settings), writing.clone());
    let (keys, metrics) = (Arc::clone(keys), Arc::clone(board.metrics()));
    supervisor.start_restartable("publisher", move || {
        let (settings, requests, stop) = (
            Arc::clone(&publisher_settings),
            requests.clone(),
            stop.clone(),
        );
        let writer =
            StreamWriter::new(&settings.redis, &settings.service.name, &keys).metered(&metrics);
        move || publisher::run(writer, &requests, &stop)
    })?;
    let metrics = Arc::clone(board.metrics());
    let schedules = Arc::new(settings.all_schedules());
    let (settings, ticks, stop) = (Arc::clone(settings), queue.clone(), writing.clone());
    let due_soon = due_soon.clone();
    supervisor.start_restartable("scheduler", move || {
        let (settings, queue, stop) = (Arc::clone(&settings), ticks.clone(), stop.clone());
        let (schedules, metrics) = (Arc::clone(&schedules), Arc::clone(&metrics));
        let due_soon = due_soon.clone();
        move || {
            let name = &settings.service.name;
            scheduler::run(&schedules, name, &queue, &metrics, &due_soon, &stop)
        }
    })?;
    Ok(queue)
}

/// Binds the address HTTP will listen at, unless a socket was handed to us: whether it can be had shows before anything is written to
/// Redis.
pub(super) fn reserve_address(
    settings: &Settings,
    given: Option<TcpListener>,
) -> Result<Reserved, ThreadError> {
    if let Some(listener) = given {
        let address = listener.local_addr()?;
        info!(target: CONTEXT, port = address.port(), address:% = address.ip(); "listening socket comes from the service manager");
        if address.port() != settings.http.port {
            warn!(
                target: CONTEXT, port = address.port(), servicePort = settings.http.port;
                "SERVICE_PORT has no effect, and weir healthcheck asks there: set it to the socket's port"
            );
        }
        return Ok(take_over(listener)?);
    }
    let wanted = SocketAddr::new(settings.http.bind, settings.http.port);
    Ok(reserve(wanted)
        .map_err(|failure| format!("listen on {wanted} (BIND_ADDRESS, SERVICE_PORT): {failure}"))?)
}

/// Whom HTTP asks to do or to tell something.
pub(super) struct Ways {
    /// The publisher's queue.
    pub(super) publisher: Sender<publisher::PublishRequest>,
    /// The dispatcher.
    pub(super) dispatcher: DispatcherLine,
    /// What the workers are calling.
    pub(super) calls: Calls,
}

/// The gate and the workers behind it; answers the way to the gate and the address it listens at.
pub(super) fn start_http(
    settings: &Arc<Settings>,
    reserved: Reserved,
    board: &Board,
    supervisor: &mut Supervisor,
    ways: Ways,
    writing: Shutdown,
    started: Millis,
) -> Result<(GateHandle, SocketAddr), ThreadError> {
    let limits = GateLimits::for_this_process(DESCRIPTOR_RESERVE)?;
    // A request that was taken back leaves its husk in the queue until a worker comes to it.
    let (requests_tx, requests) = bounded(2 * limits.connections);
    let (published_tx, published) = bounded(http::PUBLISHED_QUEUE_MAX);
    let (surveyed_tx, surveyed) = bounded(survey::ASKS_MAX);
    let publish = http::publish_through(ways.publisher, published_tx, Arc::clone(board.metrics()));
    let survey = ways.dispatcher.survey_through(surveyed_tx);
    let inside = Inside::new(settings, survey, ways.calls);
    let app = App::new(settings, board.clone(), writing, started, publish, inside);
    let app = Arc::new(app);
    let listener = reserved
        .listen()
        .map_err(|failure| format!("listen (BIND_ADDRESS, SERVICE_PORT): {failure}"))?;
    let address = listener.local_addr()?;
    let judging = Arc::clone(&app);
    let judge = Box::new(move |method, path: &str, headers: &[(String, String)]| {
        route::admit(&judging, method, path, headers, clock::now()).into()
    });
    let asked = Arc::clone(&app);
    let health = Box::new(move |request: &Request| http::health(&asked, request));
    let (gate, handle) = Gate::new(
        listener,
        limits,
        judge,
        respond::problem,
        health,
        requests_tx,
    )?;
    let gate = gate.counting(Arc::clone(board.metrics()), route::number);
    supervisor.start_once("gate", move || gate.run().map_err(Into::into))?;
    for number in 0..http::WORKERS {
        let (app, handle) = (Arc::clone(&app), handle.clone());
        let inbox = http::Inbox {
            requests: requests.clone(),
            published: published.clone(),
            surveyed: surveyed.clone(),
        };
        supervisor.start_restartable(&format!("http-{number}"), move || {
            let (app, handle, inbox) = (Arc::clone(&app), handle.clone(), inbox.clone());
            move || http::run(inbox, &app, |answer| handle.answer(answer))
        })?;
    }
    Ok((handle, address))
}

/// What main and HTTP hold the other ends of.
pub(super) struct Inner {
    /// Drain, and questions.
    pub(super) control: Receiver<Control>,
    /// Rings when there is something for the dispatcher.
    pub(super) to_dispatch: Bell,
    /// What the workers are calling.
    pub(super) calls: Calls,
    /// Between monitor and reader.
    pub(super) line: ReaderLine,
    /// Between settler, reader and main.
    pub(super) memory: GroupMemory,
}

/// Reader, dispatcher, workers and settler.
pub(super) fn start_consuming(
    settings: &Arc<Settings>,
    keys: &Arc<Keys>,
    board: &Board,
    handler: &Arc<dyn Handler>,
    supervisor: &mut Supervisor,
    inner: Inner,
    reading: Shutdown,
) -> Result<(), ThreadError> {
    let Inner {
        control,
        to_dispatch,
        calls,
        line,
        memory,
    } = inner;
    let delivery = &settings.delivery;
    let name = consumer_name(settings);
    let (to_dispatcher, from_reader) = bounded(1);
    let (permits_tx, permits) = bounded(1);
    // One with each worker, and those that wait for one; a report for each, so that no worker waits for the dispatcher.
    let (jobs_tx, jobs) = bounded(delivery.workers * (1 + AHEAD_MAX));
    let (reports_tx, reports) = bounded(delivery.workers * (1 + AHEAD_MAX));
    let (orders_tx, orders) = bounded(ORDERS_MAX);
    let (from_settler_tx, from_settler) = bounded(FROM_SETTLER_MAX);
    let limits = LaneLimits {
        workers: delivery.workers,
        max_in_flight: delivery.max_in_flight,
        max_in_flight_bytes: delivery.max_in_flight_bytes,
        lane_held_max: LANE_HELD_MAX,
        parked_max: PARKED_MAX,
        claim_idle: clock::millis(delivery.claim_idle),
        max_deliveries: delivery.max_deliveries,
        retry: Backoff {
            base: delivery.retry_backoff,
            max: delivery.retry_backoff_max,
        },
        batch: handler.is_quick(),
    };
    let dispatcher = DispatcherParts {
        bell: to_dispatch.clone(),
        from_reader,
        reports,
        from_settler,
        control,
        jobs: jobs_tx,
        jobs_back: jobs.clone(),
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
        dispatcher: Post::new(from_settler_tx, &to_dispatch),
        board: board.clone(),
    };
    supervisor.start_once("settler", move || settler::run(settler))?;
    for number in 0..delivery.workers {
        let (jobs, handler) = (jobs.clone(), Arc::clone(handler));
        let reports = Post::new(reports_tx.clone(), &to_dispatch);
        let board = board.clone();
        let place = calls.place(number);
        // A worker that ends takes its job along, whose entries would stay held for ever: the next process takes them over.
        supervisor.start_once(&format!("worker-{number}"), move || {
            worker::run(&jobs, &reports, &handler, board.metrics(), number, &place)
        })?;
    }
    let reader = ReaderParts {
        settings: Arc::clone(settings),
        keys: Arc::clone(keys),
        memory,
        line,
        permits,
        dispatcher: Post::new(to_dispatcher, &to_dispatch),
        board: board.clone(),
        stop: reading,
    };
    supervisor.start_restartable("reader", move || {
        let parts = reader.clone();
        move || reader::run(parts)
    })?;
    Ok(())
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
