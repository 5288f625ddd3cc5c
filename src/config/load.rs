//! From the environment to [`Settings`]: reads every variable by its rule, then checks what must agree between them.
//!
//! Goes on after a problem, so that one start reports them all.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::api_keys;
use super::handler::handler;
use super::problems::{ConfigErrors, Warning};
use super::reader::{Effective, Origin, Reader, Refused};
use super::redis_link;
use super::schedules::schedules;
use super::settings::{
    ConsumerSettings, DeliverySettings, HttpSettings, LogSettings, PublishingSettings,
    ServiceIdentity, Settings, StartSettings,
};
use super::table;

/// A valid configuration and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the service runs with.
    pub settings: Settings,
    /// Every variable in the table's order, with its value in effect.
    pub origins: Vec<Effective>,
    /// What looks odd; to be logged once at start.
    pub warnings: Vec<Warning>,
}

/// Reads the whole configuration.
///
/// # Errors
/// Everything that is wrong at once; the process reports it and exits with status 78.
pub fn load<I>(environment: I) -> Result<Loaded, ConfigErrors>
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    let mut reader = Reader::new(environment);
    let settings = settings(&mut reader);
    reader.find_misspelt();
    let origins = reader.origins();
    let errors = reader.into_errors();
    match settings {
        Ok(settings) if errors.problems.is_empty() => Ok(Loaded {
            settings,
            origins,
            warnings: errors.warnings,
        }),
        _ => Err(errors),
    }
}

/// Reads only where HTTP is served: enough for a probe, which must work beside a service whatever else is set.
///
/// # Errors
/// When one of the two variables is wrong.
pub fn load_http<I>(environment: I) -> Result<HttpSettings, ConfigErrors>
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    let mut reader = Reader::new(environment);
    http(&mut reader).map_err(|Refused| reader.into_errors())
}

/// Reads only the API keys: enough for a command that asks the service for what needs one. None when none is set.
///
/// # Errors
/// When `API_KEY` or `API_KEY_FILE` is wrong.
pub fn load_keys<I>(environment: I) -> Result<Vec<Zeroizing<String>>, ConfigErrors>
where
    I: IntoIterator<Item = (OsString, OsString)>,
{
    let mut reader = Reader::new(environment);
    let credentials = reader.optional(&table::CREDENTIALS_DIRECTORY);
    api_keys::read(&mut reader, &credentials).map_err(|Refused| reader.into_errors())
}

fn settings(reader: &mut Reader) -> Result<Settings, Refused> {
    let reply_timeout = reader.value(&table::REDIS_REPLY_TIMEOUT_MS);
    let credentials = reader.optional(&table::CREDENTIALS_DIRECTORY);
    let redis = redis_link::redis(reader, reply_timeout, &credentials);
    let service = service(reader);
    let http = http(reader);
    let consumer = consumer(reader, service.as_ref().ok());
    let delivery = delivery(reader, reply_timeout);
    let publishing = publishing(reader, &credentials);
    let log = log(reader);
    let start = start(reader);
    let test_event_interval = reader.value(&table::TEST_EVENT_INTERVAL_MS);
    let event_max_bytes = delivery
        .as_ref()
        .ok()
        .map(|delivery| delivery.event_max_bytes);
    let schedules = schedules(reader, event_max_bytes);
    let delayed_max = reader.value(&table::DELAYED_MAX);
    let shutdown_timeout = reader.value(&table::SHUTDOWN_TIMEOUT_MS);
    let shutdown_delay = reader.value(&table::SHUTDOWN_DELAY_MS);
    if let (Ok(delay), Ok(timeout)) = (shutdown_delay, shutdown_timeout)
        && delay >= timeout
    {
        let why = format!(
            "must be less than {}",
            reader.named(&table::SHUTDOWN_TIMEOUT_MS)
        );
        reader.contradiction(&table::SHUTDOWN_DELAY_MS, why);
    }
    let handler = handler(reader, shutdown_timeout, shutdown_delay);
    Ok(Settings {
        redis: redis?,
        service: service?,
        http: http?,
        consumer: consumer?,
        delivery: delivery?,
        publishing: publishing?,
        handler: handler?,
        log: log?,
        start: start?,
        test_event_interval: test_event_interval?,
        schedules: schedules?,
        delayed_max: delayed_max?,
        shutdown_timeout: shutdown_timeout?,
        shutdown_delay: shutdown_delay?,
    })
}

fn service(reader: &mut Reader) -> Result<ServiceIdentity, Refused> {
    let name = reader.value(&table::SERVICE_NAME);
    let version = reader.value(&table::SERVICE_VERSION);
    let environment = reader.value(&table::ENVIRONMENT);
    Ok(ServiceIdentity {
        name: name?,
        version: version?,
        environment: environment?,
    })
}

fn http(reader: &mut Reader) -> Result<HttpSettings, Refused> {
    let port = reader.value(&table::SERVICE_PORT);
    let bind = reader.value(&table::BIND_ADDRESS);
    Ok(HttpSettings {
        bind: bind?,
        port: port?,
    })
}

fn consumer(
    reader: &mut Reader,
    service: Option<&ServiceIdentity>,
) -> Result<ConsumerSettings, Refused> {
    let stream = reader.value(&table::STREAM);
    let group = reader.optional(&table::CONSUMER_GROUP);
    let name = reader.optional(&table::CONSUMER_NAME);
    let group_start = reader.value(&table::GROUP_START);
    let adopt_pending = reader.value(&table::ADOPT_PENDING);
    let order_by = reader.value(&table::ORDER_BY);
    let wire_format = reader.value(&table::WIRE_FORMAT);
    let consumer_expiry = reader.optional(&table::CONSUMER_EXPIRY_MS);
    let stream_max_length = reader.optional(&table::STREAM_MAX_LENGTH);
    let stream_max_age = reader.optional(&table::STREAM_MAX_AGE_MS);
    let group = match (group?, service) {
        (Some(group), _) => group,
        (None, Some(service)) => {
            let shown = Some(service.name.clone());
            reader.take_effect(&table::CONSUMER_GROUP, shown, Origin::Default);
            service.name.clone()
        }
        (None, None) => return Err(Refused),
    };
    Ok(ConsumerSettings {
        stream: stream?,
        group,
        group_start: group_start?,
        name: name?,
        adopt_pending: adopt_pending?,
        order_by: order_by?,
        wire_format: wire_format?,
        consumer_expiry: consumer_expiry?,
        stream_max_length: stream_max_length?,
        stream_max_age: stream_max_age?,
    })
}

fn delivery(
    reader: &mut Reader,
    reply_timeout: Result<Duration, Refused>,
) -> Result<DeliverySettings, Refused> {
    let workers = reader.value(&table::WORKERS);
    let max_in_flight = reader.value(&table::MAX_IN_FLIGHT);
    let max_in_flight_bytes = reader.value(&table::MAX_IN_FLIGHT_BYTES);
    let event_max_bytes = reader.value(&table::EVENT_MAX_BYTES);
    let claim_idle = reader.value(&table::CLAIM_IDLE_MS);
    let max_deliveries = reader.value(&table::MAX_DELIVERIES);
    let retry_backoff = reader.value(&table::RETRY_BACKOFF_MS);
    let retry_backoff_max = reader.value(&table::RETRY_BACKOFF_MAX_MS);
    let dead_letter_max_length = reader.value(&table::DEAD_LETTER_MAX_LENGTH);
    let lag_warn = reader.value(&table::LAG_WARN);
    let degraded_window = reader.value(&table::DEGRADED_WINDOW_MS);

    if let (Ok(workers), Ok(held)) = (workers, max_in_flight) {
        let least = 2 * workers;
        if held < least {
            let workers = reader.named(&table::WORKERS);
            let why = format!("must be at least {least}, which is 2 x {workers}");
            reader.contradiction(&table::MAX_IN_FLIGHT, why);
        }
    }
    if let (Ok(workers), Ok(bytes), Ok(event)) = (workers, max_in_flight_bytes, event_max_bytes) {
        let least = (2 * workers).saturating_mul(event);
        if bytes < least {
            let workers = reader.named(&table::WORKERS);
            let event = reader.named(&table::EVENT_MAX_BYTES);
            let why = format!("must be at least {least}, which is 2 x {workers} x {event}");
            reader.contradiction(&table::MAX_IN_FLIGHT_BYTES, why);
        }
    }
    // A lease is renewed every third of its time and trusted for two thirds: a renewal that waits for its whole timeout must
    // end before that.
    if let (Ok(claim_idle), Ok(reply_timeout)) = (claim_idle, reply_timeout) {
        let least = 3 * reply_timeout;
        if claim_idle < least {
            let least = least.as_millis();
            let timeout = reader.named(&table::REDIS_REPLY_TIMEOUT_MS);
            let why = format!("must be at least {least}, which is 3 x {timeout}");
            reader.contradiction(&table::CLAIM_IDLE_MS, why);
        }
    }
    if let (Ok(first), Ok(longest)) = (retry_backoff, retry_backoff_max)
        && longest < first
    {
        let first = reader.named(&table::RETRY_BACKOFF_MS);
        let why = format!("must be at least {first}");
        reader.contradiction(&table::RETRY_BACKOFF_MAX_MS, why);
    }
    Ok(DeliverySettings {
        workers: workers?,
        max_in_flight: max_in_flight?,
        max_in_flight_bytes: max_in_flight_bytes?,
        event_max_bytes: event_max_bytes?,
        claim_idle: claim_idle?,
        max_deliveries: max_deliveries?,
        retry_backoff: retry_backoff?,
        retry_backoff_max: retry_backoff_max?,
        dead_letter_max_length: dead_letter_max_length?,
        lag_warn: lag_warn?,
        degraded_window: degraded_window?,
    })
}

fn publishing(
    reader: &mut Reader,
    credentials: &Result<Option<PathBuf>, Refused>,
) -> Result<PublishingSettings, Refused> {
    let keys = api_keys::read(reader, credentials);
    let rate = reader.value(&table::PUBLISH_RATE);
    let idempotency_ttl = reader.value(&table::IDEMPOTENCY_TTL_MS);
    Ok(PublishingSettings {
        keys: keys?,
        rate: rate?,
        idempotency_ttl: idempotency_ttl?,
    })
}

fn log(reader: &mut Reader) -> Result<LogSettings, Refused> {
    let level = reader.value(&table::LOG_LEVEL);
    let format = reader.value(&table::LOG_FORMAT);
    let aggregate_id = reader.value(&table::LOG_AGGREGATE_ID);
    let timezone = reader.value(&table::TIMEZONE);
    Ok(LogSettings {
        level: level?,
        format: format?,
        aggregate_id: aggregate_id?,
        timezone: timezone?,
    })
}

fn start(reader: &mut Reader) -> Result<StartSettings, Refused> {
    let attempts = reader.value(&table::MAX_RETRY_ATTEMPTS);
    let delays = reader.value(&table::RETRY_DELAYS);
    Ok(StartSettings {
        attempts: attempts?,
        delays: delays?,
    })
}

#[cfg(test)]
mod tests;
