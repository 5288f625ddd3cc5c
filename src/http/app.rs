//! What the routes share: the board they read, who we are, and the way to the publisher.
//!
//! Built once by the service, read by every worker. Routes never touch Redis; the one thing they set in motion is a
//! [`PublishOrder`].

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::access::Access;
use super::exchange::Token;
use super::overview::Beside;
use super::status::Asker;
use crate::config::settings::{LogAggregateId, ServiceIdentity, Settings};
use crate::domain::Millis;
use crate::domain::delayed::DelayId;
use crate::domain::entry_id::EntryId;
use crate::domain::health::{HealthLimits, HealthReport, Observations, assess};
use crate::domain::letters::Pace;
use crate::domain::mask::{AggregateIds, Masking};
use crate::domain::publishing::Publication;
use crate::domain::rate_limit::{RateLimit, TRIGGER_INTERVAL_MS};
use crate::domain::timestamp;
use crate::runtime::board::Board;
use crate::runtime::calls::Calls;
use crate::runtime::clock;
use crate::runtime::shutdown::Shutdown;

/// What names a request that waits for the publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Where the answer goes.
    pub token: Token,
    /// What the answer carries.
    pub correlation_id: String,
    /// Whose answer it is.
    pub asked: Asked,
    /// The request was HEAD: the answer is sent without its body.
    pub head_only: bool,
}

/// The routes whose answer waits for the publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// `POST /trigger-test-event`.
    Trigger,
    /// `POST /events` with events for now.
    Events,
    /// `POST /events` with an event that is to come later.
    Delay,
    /// `GET /delayed`.
    DelayedList,
    /// `GET /delayed/{id}`.
    DelayedShow(DelayId),
    /// `DELETE /delayed/{id}`.
    DelayedCancel,
    /// One of the routes of dead letters.
    Letters(LettersAsked),
}

/// What was asked about dead letters, and who asked for a change: the name of the key, never the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LettersAsked {
    /// `GET /dead-letters`.
    List,
    /// `GET /dead-letters/{id}`.
    Show,
    /// `POST /dead-letters/{id}/retry`.
    Retry {
        /// The letter.
        id: EntryId,
        /// Who.
        by: String,
    },
    /// `POST /dead-letters/retry`.
    RetryAll {
        /// Most letters of this request: so many took their time of the pace.
        most: usize,
        /// Letters a second.
        rate: u32,
        /// Who.
        by: String,
    },
    /// `DELETE /dead-letters/{id}`.
    Drop {
        /// The letter.
        id: EntryId,
        /// Who.
        by: String,
    },
}

/// Something on its way to the publisher, for a client that waits.
#[derive(Debug)]
pub struct PublishOrder {
    /// The entry, or several.
    pub publication: Publication,
    /// Who waits.
    pub ticket: Ticket,
}

/// The publisher's queue is full or closed: nothing was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAccepted;

/// Hands an order to the publisher without waiting.
pub type PublishFn = Box<dyn Fn(PublishOrder) -> Result<(), NotAccepted> + Send + Sync>;

/// Asks the dispatcher what it is doing, without waiting; the answer comes as one more job of the pool.
pub type SurveyFn = Box<dyn Fn(Asker) -> Result<(), NotAccepted> + Send + Sync>;

/// What `GET /status` looks into.
pub struct Inside {
    /// The way to the dispatcher.
    pub survey: SurveyFn,
    /// What the workers are calling.
    pub calls: Calls,
    /// What may not be shown, and how aggregate ids appear: as in the log.
    pub masking: Masking,
}

impl Inside {
    /// With the log's rules of these settings.
    pub fn new(settings: &Settings, survey: SurveyFn, calls: Calls) -> Self {
        Self {
            survey,
            calls,
            masking: Masking {
                aggregate_ids: match settings.log.aggregate_id {
                    LogAggregateId::Full => AggregateIds::Full,
                    LogAggregateId::Hash => AggregateIds::Hash,
                    LogAggregateId::Off => AggregateIds::Off,
                },
            },
        }
    }
}

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// On the boot-time clock.
    pub now: Millis,
    /// On the wall clock, milliseconds since 1970.
    pub unix_ms: u64,
}

impl Moment {
    /// This moment.
    pub fn current() -> Self {
        Self {
            now: clock::now(),
            unix_ms: clock::unix_ms(),
        }
    }
}

/// Everything routes may read.
pub struct App {
    /// What the threads observe.
    pub board: Board,
    /// Who this service says it is.
    pub identity: ServiceIdentity,
    /// The offset of every timestamp in answers.
    pub timezone: TimeZone,
    /// `STREAM`.
    pub stream: String,
    /// The consumer group.
    pub group: String,
    /// What health is measured by.
    pub health_limits: HealthLimits,
    /// `EVENT_MAX_BYTES`: a longer payload would be dead-lettered by the consumer.
    pub event_max_bytes: usize,
    /// Who may publish, and how fast.
    pub access: Access,
    /// `IDEMPOTENCY_TTL_MS`.
    pub idempotency_ttl: Duration,
    /// `DELAYED_MAX`.
    pub delayed_max: u64,
    /// When the process began.
    pub started: Millis,
    /// Once raised, writes are refused.
    pub shutdown: Shutdown,
    /// At most one triggered test event a second, for the whole process.
    pub trigger_limit: Mutex<RateLimit>,
    /// How fast dead letters go back, for the whole process.
    pub letters_pace: Mutex<Pace>,
    /// The way to the publisher.
    pub publish: PublishFn,
    /// What the page shows besides the board.
    pub beside: Beside,
    /// What `GET /status` looks into.
    pub inside: Inside,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("identity", &self.identity)
            .field("stream", &self.stream)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

/// What health is measured by, from the settings.
pub fn health_limits(settings: &Settings) -> HealthLimits {
    HealthLimits {
        degraded_window: clock::millis(settings.delivery.degraded_window),
        lag_warn: settings.delivery.lag_warn,
        dead_letter_max_length: settings.delivery.dead_letter_max_length,
    }
}

impl App {
    /// The application of a service that began at `started`.
    pub fn new(
        settings: &Settings,
        board: Board,
        shutdown: Shutdown,
        started: Millis,
        publish: PublishFn,
        inside: Inside,
    ) -> Self {
        Self {
            board,
            identity: settings.service.clone(),
            timezone: settings.log.timezone.clone(),
            stream: settings.consumer.stream.clone(),
            group: settings.consumer.group.clone(),
            health_limits: health_limits(settings),
            event_max_bytes: settings.delivery.event_max_bytes,
            access: Access::new(&settings.publishing),
            idempotency_ttl: settings.publishing.idempotency_ttl,
            delayed_max: settings.delayed_max,
            started,
            shutdown,
            trigger_limit: Mutex::new(RateLimit::new(TRIGGER_INTERVAL_MS)),
            letters_pace: Mutex::default(),
            publish,
            beside: Beside::new(settings),
            inside,
        }
    }

    /// What is observed, and what follows from it.
    pub fn health(&self, at: Moment) -> (Observations, HealthReport) {
        let observed = self.board.snapshot();
        let report = assess(&observed, at.now, &self.health_limits);
        (observed, report)
    }

    /// A timestamp as answers carry it.
    pub fn timestamp(&self, unix_ms: u64) -> String {
        timestamp::format(unix_ms, &self.timezone)
    }
}
