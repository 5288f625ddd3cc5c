//! The one table of variables: parser, `--help`, the README's table, `weir check` and the tests all read it.
//!
//! A range stands here with its reason. Bounds between variables are checked in [`super::load()`].

use log::LevelFilter;

use super::api_keys::KeyList;
use super::command_line::CommandRule;
use super::handler::WebhookSecret;
use super::handler_url::HttpUrl;
use super::rules::{
    Address, AnyText, Choice, DelayList, Host, Integer, Interval, Line, Milliseconds, Name, Order,
    Path, Patterns, StartId, StreamName, Zone,
};
use super::settings::{AdoptPending, LogAggregateId, LogFormat};
use super::variable::Fallback::{Required, RequiredUnless, Unset, Value};
use super::variable::Group::{Delivery, Handler, Log, Process, Publishing, Redis, Service, Stream};
use super::variable::{About, Row, Secrecy, Variable};
use crate::domain::webhook::request::Format;
use crate::domain::wire::WireFormat;

/// One hour, milliseconds: the ceiling of waits that a person would otherwise wait for in vain.
const HOUR_MS: u64 = 3_600_000;

/// Twelve hours, milliseconds.
const HALF_DAY_MS: u64 = 43_200_000;

/// One day, milliseconds.
const DAY_MS: u64 = 86_400_000;

/// The longest user name or password, bytes. Tokens that clouds hand out as passwords are a few KiB long.
pub(super) const SECRET_BYTES_MAX: usize = 65_536;

/// The file in systemd's credentials directory that holds the password.
pub(super) const CREDENTIAL_FILE: &str = "redis_pw";

/// The file in it that holds the API keys.
pub(super) const API_KEY_CREDENTIAL: &str = "api_key";

const TLS_FILE: Path = Path {
    allowed: "the path of a readable PEM file, at most 1048576 bytes",
};

/// Makes a static for every row and [`ALL`] from the same list, so that no row can be forgotten.
macro_rules! variables {
    ($(
        $(#[$attribute:meta])*
        $name:ident: $rule_type:ty = $rule:expr, $group:expr, $fallback:expr, $help:expr $(, $option:ident($($argument:expr),*))*;
    )*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`: ", $help)]
            $(#[$attribute])*
            pub static $name: Variable<$rule_type> = Variable {
                about: About::new(stringify!($name), $group, $fallback, $help)$(.$option($($argument),*))*,
                rule: $rule,
            };
        )*

        /// Every variable, in the order in which they are shown.
        pub static ALL: &[&dyn Row] = &[$(&$name),*];
    };
}

variables! {
    REDIS_HOST: Host = Host, Redis, Required,
        "Redis server: host name, IP address or socket path",
        example("127.0.0.1"), also_called(&["REDIS_HOSTNAME", "REDIS_SERVER", "REDIS_ADDRESS", "REDIS_ADDR"]);
    REDIS_PORT: Integer<u16> = Integer::new(1, 65_535, ""), Redis, RequiredUnless("REDIS_HOST is a socket path"),
        "Redis server port",
        example("6379");
    REDIS_USER: AnyText = AnyText { bytes_max: SECRET_BYTES_MAX }, Redis, Unset("none"),
        "ACL user; needs a password",
        empty_is_unset(), also_called(&["REDIS_USERNAME"]);
    REDIS_PW: AnyText = AnyText { bytes_max: SECRET_BYTES_MAX }, Redis, Unset("none"),
        "Password; a file is the better place for it",
        empty_is_unset(), secrecy(Secrecy::Secret), also_called(&["REDIS_PASSWORD", "REDIS_PASS", "REDIS_PWD", "REDIS_AUTH"]);
    REDIS_PW_FILE: Path = Path { allowed: "the path of a readable file, not empty, at most 65536 bytes" }, Redis, Unset("none"),
        "File that holds the password, read again at every connect; one final newline is not part of it",
        empty_is_unset(), secrecy(Secrecy::PathOfSecret), also_called(&["REDIS_PASSWORD_FILE", "REDIS_PASS_FILE"]);
    CREDENTIALS_DIRECTORY: Path = Path { allowed: "the path of a folder" }, Redis, Unset("none"),
        "Set by systemd (LoadCredential=): the file redis_pw in it holds the password, api_key the API keys",
        empty_is_unset();
    REDIS_TLS_ENABLED: Choice<bool> = Choice { options: &[("true", true), ("false", false)], any_case: false }, Redis, Value("false"),
        "TLS to Redis",
        also_called(&["REDIS_TLS", "REDIS_SSL", "REDIS_SSL_ENABLED", "REDIS_USE_TLS"]);
    REDIS_TLS_CA_FILE: Path = TLS_FILE, Redis, Unset("built-in roots"),
        "Certificates (PEM) of the authorities to trust instead of the built-in roots",
        empty_is_unset(), also_called(&["REDIS_TLS_CA", "REDIS_CA_FILE"]);
    REDIS_TLS_CERT_FILE: Path = TLS_FILE, Redis, Unset("none"),
        "Client certificate (PEM); goes with REDIS_TLS_KEY_FILE",
        empty_is_unset(), also_called(&["REDIS_TLS_CERT", "REDIS_CERT_FILE"]);
    REDIS_TLS_KEY_FILE: Path = TLS_FILE, Redis, Unset("none"),
        "Private key (PEM) of the client certificate",
        empty_is_unset(), also_called(&["REDIS_TLS_KEY", "REDIS_KEY_FILE"]);
    // Redis' own setting `databases` is a positive 32-bit number.
    REDIS_DB: Integer<u32> = Integer::new(0, 2_147_483_646, ""), Redis, Value("0"),
        "Database number",
        also_called(&["REDIS_DATABASE"]);
    // Less than 100 ms takes an ordinary TLS handshake across a continent for an outage; ten minutes is past every patience.
    CONNECTION_TIMEOUT: Milliseconds = Milliseconds { min: 100, max: 600_000 }, Redis, Value("10000"),
        "Longest wait for a connection to Redis",
        also_called(&["REDIS_CONNECTION_TIMEOUT", "REDIS_CONNECT_TIMEOUT", "CONNECT_TIMEOUT"]);
    // Less than 100 ms takes an ordinary fork or fsync pause of Redis for an outage. A third of CLAIM_IDLE_MS bounds it above.
    REDIS_REPLY_TIMEOUT_MS: Milliseconds = Milliseconds { min: 100, max: 60_000 }, Redis, Value("2000"),
        "Longest wait for an answer of Redis";

    SERVICE_NAME: Name = Name { length_max: 100 }, Service, Required,
        "Who this service is; also the name of its consumer group",
        example("orders");
    SERVICE_VERSION: Line = Line { bytes_max: 100 }, Service, Value("1.0.0"),
        "Version shown in health answers and at start";
    ENVIRONMENT: Line = Line { bytes_max: 100 }, Service, Value("development"),
        "Environment shown in every JSON log line";
    SERVICE_PORT: Integer<u16> = Integer::new(0, 65_535, "").zero("picks a free port"), Service, Value("8000"),
        "HTTP port",
        also_called(&["HTTP_PORT"]);
    BIND_ADDRESS: Address = Address, Service, Value("0.0.0.0"),
        "HTTP address to listen on",
        also_called(&["BIND_ADDR", "BIND_HOST", "LISTEN_ADDRESS"]);

    STREAM: StreamName = StreamName { length_max: 255 }, Stream, Value("event-stream"),
        "Stream that is consumed and published to",
        also_called(&["STREAM_NAME", "REDIS_STREAM", "STREAM_KEY"]);
    CONSUMER_GROUP: Name = Name { length_max: 100 }, Stream, Unset("SERVICE_NAME"),
        "Consumer group",
        also_called(&["GROUP_NAME", "STREAM_GROUP", "REDIS_GROUP", "CONSUMER_GROUP_NAME"]);
    CONSUMER_NAME: Name = Name { length_max: 100 }, Stream, Unset("container's name, else SERVICE_NAME"),
        "Consumer within the group; a name in use becomes name-2";
    GROUP_START: StartId = StartId, Stream, Value("0"),
        "Where a group that does not exist yet begins";
    ADOPT_PENDING: Choice<AdoptPending> = Choice {
        options: &[
            ("handle", AdoptPending::Handle),
            ("dead-letter", AdoptPending::DeadLetter),
            ("leave", AdoptPending::Leave),
        ],
        any_case: false,
    }, Stream, Value("handle"),
        "What becomes of entries that were pending before weir first joined the group";
    ORDER_BY: Order = Order { length_max: 64 }, Stream, Value("aggregateId"),
        "Field whose equal values are handled one after another; none: no order; stream: all one after another";
    WIRE_FORMAT: Choice<WireFormat> = Choice { options: &WireFormat::NAMES, any_case: false }, Stream, Value("auto"),
        "How entries are read; auto: by the signs of their producers",
        also_called(&["MESSAGE_FORMAT", "ENTRY_FORMAT"]);
    // Below a minute a consumer that only pauses would be removed again and again.
    CONSUMER_EXPIRY_MS: Milliseconds = Milliseconds { min: 60_000, max: 30 * DAY_MS }, Stream, Unset("never"),
        "Idle time after which a consumer of other software that has nothing pending is removed";
    STREAM_MAX_LENGTH: Integer<u64> = Integer::new(1, 1_000_000_000_000, "entries"), Stream, Unset("no trimming"),
        "Entries kept in the stream; older ones are trimmed once no group needs them",
        also_called(&["STREAM_MAXLEN", "MAX_STREAM_LENGTH"]);
    STREAM_MAX_AGE_MS: Milliseconds = Milliseconds { min: 60_000, max: 3_650 * DAY_MS }, Stream, Unset("no trimming"),
        "Age up to which entries are kept in the stream; older ones are trimmed once no group needs them";

    // A worker is a thread; 256 of them keep any handler busy that this service should run in one process.
    WORKERS: Integer<usize> = Integer::new(1, 256, "threads"), Delivery, Value("4"),
        "Handler calls at a time",
        also_called(&["WORKER_COUNT", "WORKER_THREADS", "CONCURRENCY"]);
    // At least twice WORKERS, so that every worker finds its next entry waiting.
    MAX_IN_FLIGHT: Integer<usize> = Integer::new(2, 100_000, "entries"), Delivery, Value("1000"),
        "Entries held at a time; at least 2 x WORKERS",
        also_called(&["MAX_INFLIGHT"]);
    // Below 64 KiB not even one entry with all its headers has room.
    MAX_IN_FLIGHT_BYTES: Integer<usize> = Integer::new(65_536, 17_179_869_184, "bytes"), Delivery, Value("67108864"),
        "Memory for entries held; at least 2 x WORKERS x EVENT_MAX_BYTES",
        also_called(&["MAX_INFLIGHT_BYTES"]);
    EVENT_MAX_BYTES: Integer<usize> = Integer::new(64, 16_777_216, "bytes"), Delivery, Value("10240"),
        "Largest payload that is handled; a larger one goes to the dead-letter stream",
        also_called(&["MAX_EVENT_BYTES", "MAX_EVENT_SIZE", "EVENT_MAX_SIZE"]);
    // Renewal happens every third of it, so below a second it would be all that weir does; an hour is how long a dead consumer's
    // work may wait.
    CLAIM_IDLE_MS: Milliseconds = Milliseconds { min: 1_000, max: HOUR_MS }, Delivery, Value("15000"),
        "How long an entry nobody renews stays with its consumer; at least 3 x REDIS_REPLY_TIMEOUT_MS";
    MAX_DELIVERIES: Integer<u32> = Integer::new(1, 1_000, "calls"), Delivery, Value("5"),
        "Handler calls of one entry before it goes to the dead-letter stream",
        also_called(&["DELIVERIES_MAX", "MAX_ATTEMPTS"]);
    // Below 10 ms a failing handler is called in a tight loop.
    RETRY_BACKOFF_MS: Milliseconds = Milliseconds { min: 10, max: HALF_DAY_MS }, Delivery, Value("1000"),
        "Wait before the first repeated call; doubles with every further one";
    // A released entry carries what is left of its wait as part of its idle time, which has room for one day.
    RETRY_BACKOFF_MAX_MS: Milliseconds = Milliseconds { min: 10, max: HALF_DAY_MS }, Delivery, Value("60000"),
        "Longest wait between calls; at least RETRY_BACKOFF_MS";
    DEAD_LETTER_MAX_LENGTH: Integer<u64> = Integer::new(0, 1_000_000_000, "entries").zero("means no bound"), Delivery, Value("100000"),
        "Dead letters kept; the oldest are dropped beyond it",
        also_called(&["DEAD_LETTER_MAXLEN", "DLQ_MAX_LENGTH"]);
    LAG_WARN: Integer<u64> = Integer::new(0, 1_000_000_000, "entries"), Delivery, Value("10000"),
        "Entries waiting in the stream above which health says degraded";
    // Below a second no probe would see it.
    DEGRADED_WINDOW_MS: Milliseconds = Milliseconds { min: 1_000, max: DAY_MS }, Delivery, Value("300000"),
        "How long a dead letter or a restarted thread keeps health at degraded";

    API_KEY: KeyList = KeyList, Publishing, Unset("none; what needs a key is switched off"),
        "Keys with which clients may publish and see what the service is doing",
        secrecy(Secrecy::Secret), also_called(&["API_KEYS", "APIKEY", "API_TOKEN"]);
    API_KEY_FILE: Path = Path { allowed: "the path of a readable file of at most 65536 bytes with keys as API_KEY has them" }, Publishing, Unset("none"),
        "File that holds the keys, separated by commas or line ends; read at start",
        empty_is_unset(), secrecy(Secrecy::PathOfSecret), also_called(&["API_KEYS_FILE"]);
    // A fifth of what one Redis takes one by one (measured: 50 to 60 thousand a second), so that one client leaves room for the others.
    PUBLISH_RATE: Integer<u32> = Integer::new(0, 1_000_000, "events a second").zero("means no limit"), Publishing, Value("10000"),
        "Events that one key may publish; more is answered 429";
    // Below a second no client that timed out would find its first answer again.
    IDEMPOTENCY_TTL_MS: Milliseconds = Milliseconds { min: 1_000, max: 30 * DAY_MS }, Publishing, Value("86400000"),
        "How long a repeated Idempotency-Key gets its first answer";
    HANDLER_URL: HttpUrl = HttpUrl, Handler, Unset("the log handler"),
        "Where each event is sent by POST; user and password, if it has them, are sent as basic authentication",
        secrecy(Secrecy::Url), also_called(&["WEBHOOK_URL", "HANDLER_ENDPOINT", "TARGET_URL"]);
    HANDLER_FORMAT: Choice<Format> = Choice {
        options: &[
            ("json", Format::Json),
            ("cloudevents", Format::CloudEvents),
            ("cloudevents-structured", Format::CloudEventsStructured),
        ],
        any_case: false,
    }, Handler, Value("json"),
        "Form of the event at HANDLER_URL: one JSON object, or a CloudEvent, binary or structured";
    HANDLER_SECRET: WebhookSecret = WebhookSecret, Handler, Unset("not signed"),
        "Secret that signs each call, as Standard Webhooks says",
        empty_is_unset(), secrecy(Secrecy::Secret), also_called(&["WEBHOOK_SECRET"]);
    HANDLER_SECRET_FILE: Path = Path { allowed: "the path of a readable file, not empty, at most 65536 bytes" }, Handler, Unset("none"),
        "File that holds the secret, read at start; one final newline is not part of it",
        empty_is_unset(), secrecy(Secrecy::PathOfSecret), also_called(&["WEBHOOK_SECRET_FILE"]);
    HANDLER_CA_FILE: Path = TLS_FILE, Handler, Unset("built-in roots"),
        "Certificates (PEM) of the authorities to trust for HANDLER_URL instead of the built-in roots, read at start",
        empty_is_unset();
    // Its words may hold secrets, so nothing but the program is ever shown.
    HANDLER_COMMAND: CommandRule = CommandRule, Handler, Unset("the log handler"),
        "Program that is run for each event, and its arguments, without a shell; not together with HANDLER_URL",
        secrecy(Secrecy::Secret), also_called(&["HANDLER_CMD", "HANDLER_EXEC"]);
    // Below 100 ms an ordinary pause of the target counts as a failure.
    HANDLER_TIMEOUT_MS: Milliseconds = Milliseconds { min: 100, max: HOUR_MS }, Handler, Value("20000"),
        "Longest call of a handler outside the process; with SHUTDOWN_DELAY_MS and 5000 at most SHUTDOWN_TIMEOUT_MS",
        also_called(&["HANDLER_TIMEOUT", "WEBHOOK_TIMEOUT", "COMMAND_TIMEOUT"]);
    EVENTS: Patterns = Patterns, Handler, Unset("all"),
        "Names of the events that are handled; the others are acknowledged and counted",
        also_called(&["EVENT_TYPES", "EVENT_NAMES"]);

    LOG_LEVEL: Choice<LevelFilter> = Choice {
        options: &[
            ("ERROR", LevelFilter::Error),
            ("WARN", LevelFilter::Warn),
            ("INFO", LevelFilter::Info),
            ("DEBUG", LevelFilter::Debug),
        ],
        any_case: true,
    }, Log, Value("INFO"),
        "Least important level that is written";
    LOG_FORMAT: Choice<LogFormat> = Choice { options: &[("text", LogFormat::Text), ("json", LogFormat::Json)], any_case: false },
        Log, Value("text"),
        "Readable lines, or one JSON object a line";
    LOG_AGGREGATE_ID: Choice<LogAggregateId> = Choice {
        options: &[
            ("full", LogAggregateId::Full),
            ("hash", LogAggregateId::Hash),
            ("off", LogAggregateId::Off),
        ],
        any_case: false,
    }, Log, Value("full"),
        "How aggregate ids appear in the log";
    TIMEZONE: Zone = Zone, Log, Value("UTC"),
        "Offset of the timestamps that are printed; the stream keeps UTC";

    // One attempt is the least that can be made.
    MAX_RETRY_ATTEMPTS: Integer<u32> = Integer::new(1, 1_000, "attempts"), Process, Value("3"),
        "Attempts to reach Redis at start; when they are used up the process ends with status 69",
        also_called(&["MAX_RETRIES"]);
    RETRY_DELAYS: DelayList = DelayList { items_max: 32, ms_max: HOUR_MS }, Process, Value("5000,15000,30000"),
        "Waits between those attempts; the last one repeats";
    // The trigger takes one event a second; ten times that is as much as a test event should ever be.
    TEST_EVENT_INTERVAL_MS: Interval = Interval { min: 100, max: DAY_MS }, Process, Value("10000"),
        "Time between scheduled test events";
    SCHEDULES_FILE: Path = Path { allowed: "the path of a readable file, at most 1048576 bytes of JSON" }, Process, Unset("none"),
        "File of schedules: events that are published at set times, read at start",
        empty_is_unset(), also_called(&["SCHEDULE_FILE", "SCHEDULES", "CRON_FILE"]);
    // An event of 10 KiB each makes a gigabyte of Redis at this default; a hundred times that is past any single server.
    DELAYED_MAX: Integer<u64> = Integer::new(0, 10_000_000, "events").zero("refuses every delayed event"), Process, Value("100000"),
        "Delayed events that may wait on a stream; one more is refused",
        also_called(&["DELAYED_MAX_LENGTH", "MAX_DELAYED"]);
    // A drain needs time for one write to Redis at the very least.
    SHUTDOWN_TIMEOUT_MS: Milliseconds = Milliseconds { min: 500, max: HOUR_MS }, Process, Value("30000"),
        "Longest time from the signal to the end";
    SHUTDOWN_DELAY_MS: Milliseconds = Milliseconds { min: 0, max: 300_000 }, Process, Value("0"),
        "How long everything goes on while readiness already says 503; less than SHUTDOWN_TIMEOUT_MS";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::config::variable::Group;

    #[test]
    fn every_default_passes_its_own_rule() {
        for row in ALL {
            if let Value(text) = row.about().fallback {
                assert!(row.accepts(text), "{}", row.about().name);
            }
            if let Some(example) = row.about().example {
                assert!(row.accepts(example), "{}", row.about().name);
            }
        }
    }

    #[test]
    fn every_required_variable_has_an_example() {
        for row in ALL {
            if matches!(row.about().fallback, Required | RequiredUnless(_)) {
                assert!(row.about().example.is_some(), "{}", row.about().name);
            }
        }
    }

    #[test]
    fn names_and_other_names_are_unique() {
        let mut seen = HashSet::new();
        for row in ALL {
            for name in std::iter::once(&row.about().name).chain(row.about().also_called.iter()) {
                assert!(seen.insert(*name), "{name}");
            }
        }
    }

    #[test]
    fn rows_of_one_group_stand_together_in_the_groups_order() {
        let mut groups: Vec<Group> = ALL.iter().map(|row| row.about().group).collect();
        groups.dedup();
        assert_eq!(groups, Group::ALL);
    }

    #[test]
    fn both_sides_of_every_limit() {
        for (name, refused_below, least, most, refused_above) in [
            ("REDIS_PORT", "0", "1", "65535", "65536"),
            ("REDIS_DB", "-1", "0", "2147483646", "2147483647"),
            ("CONNECTION_TIMEOUT", "99", "100", "600000", "600001"),
            ("REDIS_REPLY_TIMEOUT_MS", "99", "100", "60000", "60001"),
            ("SERVICE_PORT", "-1", "0", "65535", "65536"),
            ("WORKERS", "0", "1", "256", "257"),
            ("MAX_IN_FLIGHT", "1", "2", "100000", "100001"),
            (
                "MAX_IN_FLIGHT_BYTES",
                "65535",
                "65536",
                "17179869184",
                "17179869185",
            ),
            ("EVENT_MAX_BYTES", "63", "64", "16777216", "16777217"),
            ("CLAIM_IDLE_MS", "999", "1000", "3600000", "3600001"),
            ("MAX_DELIVERIES", "0", "1", "1000", "1001"),
            ("RETRY_BACKOFF_MS", "9", "10", "43200000", "43200001"),
            ("RETRY_BACKOFF_MAX_MS", "9", "10", "43200000", "43200001"),
            (
                "DEAD_LETTER_MAX_LENGTH",
                "-1",
                "0",
                "1000000000",
                "1000000001",
            ),
            ("LAG_WARN", "-1", "0", "1000000000", "1000000001"),
            ("HANDLER_TIMEOUT_MS", "99", "100", "3600000", "3600001"),
            ("DEGRADED_WINDOW_MS", "999", "1000", "86400000", "86400001"),
            ("PUBLISH_RATE", "-1", "0", "1000000", "1000001"),
            (
                "IDEMPOTENCY_TTL_MS",
                "999",
                "1000",
                "2592000000",
                "2592000001",
            ),
            ("MAX_RETRY_ATTEMPTS", "0", "1", "1000", "1001"),
            (
                "TEST_EVENT_INTERVAL_MS",
                "99",
                "100",
                "86400000",
                "86400001",
            ),
            ("DELAYED_MAX", "-1", "0", "10000000", "10000001"),
            ("SHUTDOWN_TIMEOUT_MS", "499", "500", "3600000", "3600001"),
            ("SHUTDOWN_DELAY_MS", "-1", "0", "300000", "300001"),
        ] {
            let row = ALL.iter().find(|row| row.about().name == name).unwrap();
            assert!(!row.accepts(refused_below), "{name} {refused_below}");
            assert!(row.accepts(least), "{name} {least}");
            assert!(row.accepts(most), "{name} {most}");
            assert!(!row.accepts(refused_above), "{name} {refused_above}");
        }
    }

    #[test]
    fn a_wait_that_is_released_fits_into_its_idle_time() {
        for row in [&RETRY_BACKOFF_MS, &RETRY_BACKOFF_MAX_MS] {
            assert!(row.rule.max < DAY_MS);
        }
    }

    #[test]
    fn words_are_one_line_without_a_final_period() {
        for row in ALL {
            let about = row.about();
            for text in [about.help.to_owned(), row.allowed(), about.fallback.words()] {
                assert!(!text.is_empty(), "{}", about.name);
                assert!(!text.contains('\n'), "{}", about.name);
                assert!(!text.ends_with('.'), "{}", about.name);
            }
        }
    }
}
