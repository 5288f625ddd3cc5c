//! The test event: what `POST /trigger-test-event` and the schedule publish, and which payloads a client may give it.

use std::fmt;

use serde_json::Value;

use super::publishing::Fields;
use super::timestamp;

/// The `event` field of every test event.
pub const TEST_EVENT_NAME: &str = "test-event";

/// The header that marks a test event.
pub const TEST_HEADER: &str = "weir-test";

/// The deepest nesting of a payload (contract): what is deeper would be dead-lettered by the consumer.
pub const PAYLOAD_DEPTH_MAX: usize = 64;

/// What asked for the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TestEventSource {
    /// `POST /trigger-test-event`.
    Http,
    /// The schedule.
    Schedule,
}

impl TestEventSource {
    /// As payload and log carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Schedule => "schedule",
        }
    }
}

/// The fields of a test event, in the order of the contract. `payload` is JSON text that [`check_payload`] has passed; without one
/// a short message tells where the event comes from. Every test event has an aggregate of its own, so that one that fails holds
/// back no other.
pub fn fields(
    service_name: &str,
    source: TestEventSource,
    unix_ms: u64,
    correlation_id: &str,
    payload: Option<String>,
) -> Fields {
    let sent_at = timestamp::utc(unix_ms);
    let payload = payload.unwrap_or_else(|| {
        serde_json::json!({
            "message": format!("Test event from {service_name}"),
            "source": source.as_str(),
            "sentAt": sent_at,
        })
        .to_string()
    });
    let headers = serde_json::json!({
        TEST_HEADER: source.as_str(),
        "correlation-id": correlation_id,
    });
    vec![
        ("event", TEST_EVENT_NAME.to_owned()),
        ("aggregateId", format!("test-{unix_ms}")),
        ("timestamp", sent_at),
        ("payload", payload),
        ("serviceName", service_name.to_owned()),
        ("mimeType", "application/json".to_owned()),
        ("headers", headers.to_string()),
    ]
}

/// Why a body cannot become a payload. Never shows the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadProblem {
    /// Not UTF-8 or not JSON.
    NotJson {
        /// Where it goes wrong, counted from 1; 0 when unknown.
        line: usize,
        /// Where it goes wrong, counted from 1; 0 when unknown.
        column: usize,
    },
    /// JSON, but not an object.
    NotAnObject,
    /// Longer than the consumer accepts.
    TooLong {
        /// The limit, bytes.
        bytes_max: usize,
    },
    /// Nested deeper than the consumer accepts.
    TooDeep,
}

impl fmt::Display for PayloadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson { line, column } => {
                write!(f, "the body is not JSON (line {line}, column {column})")
            }
            Self::NotAnObject => f.write_str(
                "the body becomes the payload of the test event and must be a JSON object",
            ),
            Self::TooLong { bytes_max } => {
                write!(
                    f,
                    "the body becomes the payload, which may have {bytes_max} bytes"
                )
            }
            Self::TooDeep => write!(
                f,
                "the body becomes the payload, which may be nested {PAYLOAD_DEPTH_MAX} deep"
            ),
        }
    }
}

impl std::error::Error for PayloadProblem {}

/// The body as payload text: unchanged but for white space around it, so that numbers and the order of members stay as sent.
///
/// # Errors
/// [`PayloadProblem`] says which rule is broken.
pub fn check_payload(body: &[u8], bytes_max: usize) -> Result<String, PayloadProblem> {
    let nowhere = PayloadProblem::NotJson { line: 0, column: 0 };
    let text = str::from_utf8(body).map_err(|_| nowhere)?.trim_ascii();
    if text.len() > bytes_max {
        return Err(PayloadProblem::TooLong { bytes_max });
    }
    // Before the parser, which recurses: its own limit is 128 levels.
    if depth(text) > PAYLOAD_DEPTH_MAX {
        return Err(PayloadProblem::TooDeep);
    }
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(_)) => Ok(text.to_owned()),
        Ok(_) => Err(PayloadProblem::NotAnObject),
        Err(error) => Err(PayloadProblem::NotJson {
            line: error.line(),
            column: error.column(),
        }),
    }
}

/// The deepest nesting of JSON text; brackets inside strings do not count. Exact for valid JSON, some number for anything else.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        if escaped {
            escaped = false;
            continue;
        }
        match byte {
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_stand_in_the_order_of_the_contract() {
        let fields = fields(
            "orders",
            TestEventSource::Http,
            1_751_154_013_653,
            "test-123",
            None,
        );
        let expected = [
            ("event", "test-event"),
            ("aggregateId", "test-1751154013653"),
            ("timestamp", "2025-06-28T23:40:13.653Z"),
            (
                "payload",
                r#"{"message":"Test event from orders","sentAt":"2025-06-28T23:40:13.653Z","source":"http"}"#,
            ),
            ("serviceName", "orders"),
            ("mimeType", "application/json"),
            (
                "headers",
                r#"{"correlation-id":"test-123","weir-test":"http"}"#,
            ),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name, value.into())));
    }

    #[test]
    fn a_payload_is_kept_as_it_was_sent() {
        let body = br#" {"b": 1.0, "a": 18446744073709551616, "b": "\u00e9"} "#;
        let payload = check_payload(body, 1000).unwrap();
        assert_eq!(payload.as_bytes(), body.trim_ascii());
        let fields = fields(
            "s",
            TestEventSource::Schedule,
            0,
            "c",
            Some(payload.clone()),
        );
        assert_eq!(fields[3], ("payload", payload));
    }

    #[test]
    fn each_rule_for_payloads_has_its_answer() {
        use PayloadProblem as P;
        let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        let brackets = format!("{{\"a\":\"{}\\\"[\"}}", "[{".repeat(100));
        let huge = "[".repeat(9000);
        for (body, result) in [
            ("{}", None),
            ("{\"a\":[1,{}]}", None),
            (&*nested(64), None),
            (&*brackets, None),
            (&*nested(65), Some(P::TooDeep)),
            (&*huge, Some(P::TooDeep)),
            ("", Some(P::NotJson { line: 1, column: 0 })),
            ("{", Some(P::NotJson { line: 1, column: 1 })),
            ("{}x", Some(P::NotJson { line: 1, column: 3 })),
            (
                "{\"a\":1e999}",
                Some(P::NotJson {
                    line: 1,
                    column: 10,
                }),
            ),
            ("[1]", Some(P::NotAnObject)),
            ("null", Some(P::NotAnObject)),
            ("\"text\"", Some(P::NotAnObject)),
        ] {
            assert_eq!(
                check_payload(body.as_bytes(), 10_240).err(),
                result,
                "{body}"
            );
        }
        assert!(matches!(
            check_payload(b"{\"a\":\"\xff\"}", 100),
            Err(P::NotJson { .. })
        ));
        assert!(check_payload(b"{\"a\":12}", 8).is_ok());
        assert_eq!(
            check_payload(b"{\"a\":123}", 8),
            Err(P::TooLong { bytes_max: 8 })
        );
    }
}
