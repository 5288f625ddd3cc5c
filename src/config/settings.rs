//! The settings of a running service: every value here is valid, nothing is text that still has to be parsed.
//!
//! Made once by [`crate::config::load()`]; read by everybody; changed by nobody.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use zeroize::Zeroizing;

use super::command_line::CommandLine;
use super::handler_url::HandlerUrl;
use crate::domain::globs::Globs;
use crate::domain::mask::{AggregateIds, Masking};
use crate::domain::schedule::Schedule;
use crate::domain::webhook::request::Format;
use crate::domain::wire::WireFormat;

/// Everything the environment decides, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Redis is and how to talk to it.
    pub redis: RedisSettings,
    /// Who this service says it is.
    pub service: ServiceIdentity,
    /// Where and how HTTP is served.
    pub http: HttpSettings,
    /// What is consumed, and as whom.
    pub consumer: ConsumerSettings,
    /// How deliveries are bounded and repeated.
    pub delivery: DeliverySettings,
    /// What others may publish over HTTP.
    pub publishing: PublishingSettings,
    /// Who handles which events.
    pub handler: HandlerSettings,
    /// What is written to standard output.
    pub log: LogSettings,
    /// Attempts to reach Redis at start.
    pub start: StartSettings,
    /// Interval of the scheduled test event; `None` when it is switched off.
    pub test_event_interval: Option<Duration>,
    /// `SCHEDULES_FILE`, read; without the test event.
    pub schedules: Vec<Schedule>,
    /// `DELAYED_MAX`: delayed events that may wait on the stream.
    pub delayed_max: u64,
    /// One deadline for the whole drain (`SHUTDOWN_TIMEOUT_MS`).
    pub shutdown_timeout: Duration,
    /// How long everything goes on after readiness turned 503 (`SHUTDOWN_DELAY_MS`).
    pub shutdown_delay: Duration,
}

impl Settings {
    /// What is published at set times: the schedules of the file, then the test event.
    pub fn all_schedules(&self) -> Vec<Schedule> {
        let test_event = self
            .test_event_interval
            .map(|interval| Schedule::test_event(&self.service.name, interval));
        self.schedules.iter().cloned().chain(test_event).collect()
    }
}

/// `SERVICE_NAME`, `SERVICE_VERSION`, `ENVIRONMENT`.
#[derive(Debug, Clone)]
pub struct ServiceIdentity {
    /// `SERVICE_NAME`.
    pub name: String,
    /// `SERVICE_VERSION`.
    pub version: String,
    /// `ENVIRONMENT`.
    pub environment: String,
}

/// Where Redis is and how to talk to it.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// TCP or Unix socket.
    pub address: RedisAddress,
    /// `REDIS_USER`.
    pub user: Option<String>,
    /// Where the password comes from; files are read again at every connect.
    pub password: PasswordSource,
    /// TLS, when `REDIS_TLS_ENABLED`.
    pub tls: Option<TlsSettings>,
    /// `REDIS_DB`.
    pub db: u32,
    /// `CONNECTION_TIMEOUT`.
    pub connect_timeout: Duration,
    /// `REDIS_REPLY_TIMEOUT_MS`.
    pub reply_timeout: Duration,
}

/// `REDIS_HOST` and `REDIS_PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisAddress {
    /// Host name or address, and port.
    Tcp {
        /// Host name or IP address, without brackets.
        host: String,
        /// 1-65535.
        port: u16,
    },
    /// A Unix socket path (`REDIS_HOST` beginning with `/`).
    Unix(PathBuf),
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Where the password comes from.
#[derive(Clone)]
pub enum PasswordSource {
    /// No password is sent.
    None,
    /// `REDIS_PW`.
    Value(Zeroizing<String>),
    /// `REDIS_PW_FILE` or the `redis_pw` file of systemd's credentials directory; one final newline is not part of it.
    File(PathBuf),
}

impl fmt::Debug for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Value(_) => f.write_str("Value(***)"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

/// Files of the TLS link; read again at every connect so that rotated certificates are picked up.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    /// `REDIS_TLS_CA_FILE`: replaces the built-in roots.
    pub ca_file: Option<PathBuf>,
    /// `REDIS_TLS_CERT_FILE` and `REDIS_TLS_KEY_FILE`.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Where and how HTTP is served.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// `BIND_ADDRESS`.
    pub bind: IpAddr,
    /// `SERVICE_PORT`; 0 picks a free one.
    pub port: u16,
}

/// What is consumed, and as whom.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// `STREAM`.
    pub stream: String,
    /// `CONSUMER_GROUP`, else `SERVICE_NAME`.
    pub group: String,
    /// `GROUP_START`: where a group that does not exist yet begins.
    pub group_start: GroupStart,
    /// `CONSUMER_NAME`; `None` means: find the container's name, else the service name.
    pub name: Option<String>,
    /// `ADOPT_PENDING`.
    pub adopt_pending: AdoptPending,
    /// `ORDER_BY`.
    pub order_by: OrderBy,
    /// `WIRE_FORMAT`.
    pub wire_format: WireFormat,
    /// `CONSUMER_EXPIRY_MS`: after so much idle time a consumer of other software with nothing pending is removed; `None` never.
    pub consumer_expiry: Option<Duration>,
    /// `STREAM_MAX_LENGTH`: entries that may stay in the stream once no group needs them; `None` means no such bound.
    pub stream_max_length: Option<u64>,
    /// `STREAM_MAX_AGE_MS`: the same by age.
    pub stream_max_age: Option<Duration>,
}

/// `ORDER_BY`: which entries keep their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderBy {
    /// Those with the same value of this field; an entry without it has a lane of its own.
    Field(String),
    /// None: plain parallelism.
    None,
    /// All of them, one call at a time.
    Stream,
}

/// `GROUP_START`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupStart {
    /// `0`: everything in the stream.
    Beginning,
    /// `$`: only what is published from now on.
    End,
    /// Only what comes after this entry id (`ms-seq`).
    After(String),
}

impl GroupStart {
    /// The id as XGROUP CREATE takes it.
    pub fn as_id(&self) -> &str {
        match self {
            Self::Beginning => "0",
            Self::End => "$",
            Self::After(id) => id,
        }
    }
}

/// `ADOPT_PENDING`: what becomes of entries that were pending before weir first joined the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdoptPending {
    /// Handle them.
    Handle,
    /// Move them to the dead-letter stream.
    DeadLetter,
    /// Leave them where they are.
    Leave,
}

/// How deliveries are bounded and repeated.
#[derive(Debug, Clone)]
pub struct DeliverySettings {
    /// `WORKERS`.
    pub workers: usize,
    /// `MAX_IN_FLIGHT`, entries.
    pub max_in_flight: usize,
    /// `MAX_IN_FLIGHT_BYTES`.
    pub max_in_flight_bytes: usize,
    /// `EVENT_MAX_BYTES`: the largest payload that is handled.
    pub event_max_bytes: usize,
    /// `CLAIM_IDLE_MS`.
    pub claim_idle: Duration,
    /// `MAX_DELIVERIES`: handler calls of one entry before it is dead-lettered.
    pub max_deliveries: u32,
    /// `RETRY_BACKOFF_MS`.
    pub retry_backoff: Duration,
    /// `RETRY_BACKOFF_MAX_MS`.
    pub retry_backoff_max: Duration,
    /// `DEAD_LETTER_MAX_LENGTH`, entries; 0 means no bound.
    pub dead_letter_max_length: u64,
    /// `LAG_WARN`, entries.
    pub lag_warn: u64,
    /// `DEGRADED_WINDOW_MS`.
    pub degraded_window: Duration,
}

/// What others may publish over HTTP.
#[derive(Clone)]
pub struct PublishingSettings {
    /// `API_KEY` or the content of `API_KEY_FILE`; none: nobody may.
    pub keys: Vec<Zeroizing<String>>,
    /// `PUBLISH_RATE`: events a second for each key; 0 means no limit.
    pub rate: u32,
    /// `IDEMPOTENCY_TTL_MS`.
    pub idempotency_ttl: Duration,
}

impl fmt::Debug for PublishingSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishingSettings")
            .field("keys", &self.keys.len())
            .field("rate", &self.rate)
            .field("idempotency_ttl", &self.idempotency_ttl)
            .finish()
    }
}

/// Who handles which events.
#[derive(Debug, Clone)]
pub struct HandlerSettings {
    /// The handler.
    pub choice: HandlerChoice,
    /// `EVENTS`: the names that are handled; `None` means all.
    pub events: Option<Globs>,
    /// `HANDLER_TIMEOUT_MS`: the longest call of a handler that is not part of this process.
    pub timeout: Duration,
}

/// The handlers a configuration can choose.
#[derive(Debug, Clone)]
pub enum HandlerChoice {
    /// One line for each event.
    Log,
    /// A POST for each event.
    Webhook(WebhookSettings),
    /// A program for each event.
    Command(CommandLine),
}

/// The webhook's target.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// `HANDLER_URL`.
    pub url: HandlerUrl,
    /// `HANDLER_FORMAT`.
    pub format: Format,
    /// `HANDLER_SECRET` or `HANDLER_SECRET_FILE`.
    pub key: Option<SigningKey>,
    /// `HANDLER_CA_FILE`: replaces the built-in roots.
    pub ca_file: Option<PathBuf>,
}

/// The key that signs what the webhook sends.
#[derive(Clone)]
pub struct SigningKey(Zeroizing<Vec<u8>>);

impl SigningKey {
    /// A key of these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

/// What is written to standard output.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// `LOG_LEVEL`.
    pub level: log::LevelFilter,
    /// `LOG_FORMAT`.
    pub format: LogFormat,
    /// `LOG_AGGREGATE_ID`.
    pub aggregate_id: LogAggregateId,
    /// `TIMEZONE`: the offset of every timestamp we print.
    pub timezone: TimeZone,
}

impl LogSettings {
    /// What hides secrets in the log, and wherever else what it says is shown.
    pub fn masking(&self) -> Masking {
        Masking {
            aggregate_ids: match self.aggregate_id {
                LogAggregateId::Full => AggregateIds::Full,
                LogAggregateId::Hash => AggregateIds::Hash,
                LogAggregateId::Off => AggregateIds::Off,
            },
        }
    }
}

/// `LOG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line.
    Text,
    /// One JSON object a line.
    Json,
}

/// `LOG_AGGREGATE_ID`: how aggregate ids appear in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogAggregateId {
    /// As they are.
    Full,
    /// A short hash.
    Hash,
    /// Not at all.
    Off,
}

/// Attempts to reach Redis at start.
#[derive(Debug, Clone)]
pub struct StartSettings {
    /// `MAX_RETRY_ATTEMPTS`.
    pub attempts: u32,
    /// `RETRY_DELAYS`; the last one repeats when the list is short.
    pub delays: Vec<Duration>,
}

impl StartSettings {
    /// The wait after failed attempt `attempt` (the first is 1).
    pub fn delay_after(&self, attempt: u32) -> Duration {
        let index = (attempt.max(1) - 1) as usize;
        self.delays
            .get(index)
            .or(self.delays.last())
            .copied()
            .unwrap_or_default()
    }
}
