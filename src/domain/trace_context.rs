//! W3C Trace Context: carried from the event, or begun.
//!
//! weir reports no spans of its own, so a carried context goes on unchanged: what the target does becomes a child of what the producer did.

use super::event::Event;

/// The name of the header, and of the field that some producers use instead.
pub const TRACEPARENT: &str = "traceparent";

/// The header of the vendors' own parts.
pub const TRACESTATE: &str = "tracestate";

/// The longest `tracestate` that is handed on, bytes (Trace Context asks for at least so much).
pub const TRACESTATE_BYTES_MAX: usize = 512;

/// Bytes of a parent of version 00.
const PARENT_LENGTH: usize = 55;

/// Bytes of a trace id; the rest of what is random is the parent id.
const TRACE_ID_BYTES: usize = 16;

/// How many random bytes [`TraceContext::of`] needs: a trace id and a parent id.
pub const RANDOM_BYTES: usize = 24;

/// The context of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// `00-<trace id>-<parent id>-<flags>`.
    pub parent: String,
    /// Only beside a carried parent.
    pub state: Option<String>,
}

impl TraceContext {
    /// The event's context when it carries a valid one (header, else field), otherwise a new one.
    pub fn of(event: &Event, random: [u8; RANDOM_BYTES]) -> Self {
        let carried = |name: &str| {
            let field = || std::str::from_utf8(event.field(name.as_bytes())?).ok();
            event.header(name).or_else(field)
        };
        match carried(TRACEPARENT).filter(|parent| is_valid_parent(parent)) {
            Some(parent) => Self {
                parent: parent.to_owned(),
                state: carried(TRACESTATE)
                    .filter(|state| is_valid_state(state))
                    .map(str::to_owned),
            },
            None => Self {
                parent: begun(random),
                state: None,
            },
        }
    }

    /// Names and values of its headers.
    pub fn headers(&self) -> Vec<(&'static str, &str)> {
        let state = self.state.as_deref().map(|state| (TRACESTATE, state));
        [(TRACEPARENT, self.parent.as_str())]
            .into_iter()
            .chain(state)
            .collect()
    }
}

/// A new context. It is marked as sampled: nobody has decided yet, and tracers drop by default what is marked as not sampled.
fn begun(mut random: [u8; RANDOM_BYTES]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut parent = *b"00-tttttttttttttttttttttttttttttttt-ssssssssssssssss-01";
    let (trace, span) = random.split_at_mut(TRACE_ID_BYTES);
    for (id, place) in [(trace, 3), (span, 36)] {
        // Ids of zeros are invalid; chance makes them about never.
        if let [zeros @ .., last] = id
            && *last == 0
            && zeros.iter().all(|byte| *byte == 0)
        {
            *last = 1;
        }
        for (byte, digits) in id.iter().zip(parent[place..].chunks_exact_mut(2)) {
            digits[0] = DIGITS[usize::from(byte >> 4)];
            digits[1] = DIGITS[usize::from(byte & 0xf)];
        }
    }
    // Digits and hyphens are UTF-8.
    String::from_utf8(parent.to_vec()).unwrap_or_default()
}

/// Lower case only; version `ff` and ids of zeros are invalid. A version to come may have more parts, which are handed on.
fn is_valid_parent(text: &str) -> bool {
    // Later versions may be longer; nobody needs more than this.
    const LENGTH_MAX: usize = 128;
    let is_hex = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.len() > LENGTH_MAX {
        return false;
    }
    let parts: Vec<&str> = text.splitn(5, '-').collect();
    let [version, trace, span, flags, rest @ ..] = parts.as_slice() else {
        return false;
    };
    let lengths = [version.len(), trace.len(), span.len(), flags.len()] == [2, 32, 16, 2];
    lengths
        && [version, trace, span, flags]
            .iter()
            .all(|part| is_hex(part))
        && *version != "ff"
        && !is_zero(trace)
        && !is_zero(span)
        && (*version != "00" || (rest.is_empty() && text.len() == PARENT_LENGTH))
}

fn is_valid_state(text: &str) -> bool {
    (1..=TRACESTATE_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && text.trim_matches(' ') == text
}

#[cfg(test)]
mod tests {
    use super::super::test_support::event;
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_well_formed_parents_are_carried() {
        let long = format!(
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-{}",
            "x".repeat(80)
        );
        for (parent, valid) in [
            (PARENT, true),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
                true,
            ),
            (
                "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
                false,
            ),
            (
                "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
                true,
            ),
            (
                "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x y",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
                false,
            ),
            (
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
                false,
            ),
            ("", false),
            (&long, false),
        ] {
            assert_eq!(is_valid_parent(parent), valid, "{parent}");
        }
    }

    #[test]
    fn a_header_goes_before_a_field_and_an_invalid_one_begins_anew() {
        let state = "a=1,b=2";
        let headers = format!("{{\"traceparent\":\"{PARENT}\",\"tracestate\":\"{state}\"}}");
        for (fields, parent, state) in [
            (vec![("headers", headers.as_str())], PARENT, Some(state)),
            (
                vec![("traceparent", PARENT), ("tracestate", "a=1")],
                PARENT,
                Some("a=1"),
            ),
            (
                vec![("traceparent", PARENT), ("tracestate", "é")],
                PARENT,
                None,
            ),
            (
                vec![("traceparent", "nonsense"), ("tracestate", "a=1")],
                "00-07070707070707070707070707070707-0707070707070707-01",
                None,
            ),
            (
                vec![],
                "00-07070707070707070707070707070707-0707070707070707-01",
                None,
            ),
        ] {
            let expected = TraceContext {
                parent: parent.to_owned(),
                state: state.map(str::to_owned),
            };
            assert_eq!(
                TraceContext::of(&event(&fields), [7; RANDOM_BYTES]),
                expected
            );
        }
    }

    #[test]
    fn a_begun_context_is_valid_whatever_chance_says() {
        for random in [[0; RANDOM_BYTES], [255; RANDOM_BYTES], [16; RANDOM_BYTES]] {
            assert!(is_valid_parent(&begun(random)), "{}", begun(random));
        }
    }
}
