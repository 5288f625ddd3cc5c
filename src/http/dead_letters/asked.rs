//! What clients write about dead letters: the query of the list, and the body of a retry of many. Pure.

use serde_json::{Map, Value};

use crate::domain::entry_id::EntryId;
use crate::domain::letters::{
    Filter, FilterProblem, Letters, PAGE_DEFAULT, PAGE_MAX, RATE_DEFAULT, RATE_MAX, SWEEP_MAX,
    Sweep,
};
use crate::http::exchange::Request;

/// An entry id with both its numbers.
///
/// # Errors
/// Words that follow the parameter's name.
pub(super) fn id(text: &str) -> Result<EntryId, &'static str> {
    let wrong = "is no entry id, which is <milliseconds>-<sequence>, such as 1751154013653-0";
    text.parse()
        .ok()
        .filter(|_| text.contains('-'))
        .ok_or(wrong)
}

/// The query of `GET /dead-letters`.
///
/// # Errors
/// What is wrong, with the parameter's name.
pub(super) fn list(query: &str) -> Result<Letters, String> {
    let (mut before, mut count, mut filter) = (None, None, Filter::default());
    let mut given: Vec<&str> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, raw) = pair.split_once('=').unwrap_or((pair, ""));
        if given.contains(&name) {
            return Err(format!("{name} stands twice in the query"));
        }
        let value =
            decoded(raw).ok_or_else(|| format!("{name} is not UTF-8 in percent-encoding"))?;
        match name {
            "before" => before = Some(id(&value).map_err(|wrong| format!("before {wrong}"))?),
            "limit" => count = Some(limit(&value)?),
            _ => match condition(&mut filter, name, &value) {
                Some(result) => result.map_err(|problem| format!("{name} {problem}"))?,
                None => {
                    return Err(
                        "the query may have limit, before, event, aggregateId and reason, and nothing else"
                            .to_owned(),
                    );
                }
            },
        }
        given.push(name);
    }
    Ok(Letters::List {
        before,
        count: count.unwrap_or(PAGE_DEFAULT),
        filter,
    })
}

fn limit(text: &str) -> Result<usize, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| digits && (1..=PAGE_MAX).contains(number))
        .ok_or_else(|| format!("limit must be a number from 1 to {PAGE_MAX}"))
}

/// Sets a condition; `None` when there is none of that name.
fn condition(filter: &mut Filter, name: &str, value: &str) -> Option<Result<(), FilterProblem>> {
    match name {
        "event" => Some(filter.set_event(value)),
        "aggregateId" => Some(filter.set_aggregate_id(value)),
        "reason" => Some(filter.set_reason(value)),
        _ => None,
    }
}

/// A value of a query: percent-encoded, a plus sign is a space.
fn decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                decoded.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
            }
            b'+' => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).ok()
}

/// The body of `POST /dead-letters/retry`: how many at most, which, and how many a second.
///
/// # Errors
/// Status and words of the answer.
pub(super) fn sweep(request: &Request) -> Result<(Sweep, u32), (u16, String)> {
    let members = if request.body.is_empty() {
        Map::new()
    } else {
        let content_type = request.header("content-type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err((415, "Content-Type must be application/json".to_owned()));
        }
        match serde_json::from_slice(&request.body) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err((422, "the body must be a JSON object".to_owned())),
            Err(error) => return Err((400, format!("the body is not JSON: {error}"))),
        }
    };
    understand(&members).map_err(|detail| (422, detail))
}

fn understand(members: &Map<String, Value>) -> Result<(Sweep, u32), String> {
    let mut sweep = Sweep {
        most: SWEEP_MAX,
        ..Sweep::default()
    };
    let mut rate = RATE_DEFAULT;
    for (name, value) in members {
        match name.as_str() {
            "max" => {
                let most = number(name, value, SWEEP_MAX as u64)?;
                sweep.most = usize::try_from(most).unwrap_or(SWEEP_MAX);
            }
            "ratePerSecond" => {
                let asked = number(name, value, u64::from(RATE_MAX))?;
                rate = u32::try_from(asked).unwrap_or(RATE_MAX);
            }
            "after" => sweep.after = Some(place(name, value)?),
            "upTo" => sweep.up_to = Some(place(name, value)?),
            _ => {
                let text = value.as_str();
                match condition(&mut sweep.filter, name, text.unwrap_or_default()) {
                    // An empty text, which a value that is none stands for, meets no condition.
                    Some(result) => result.map_err(|problem| format!("{name} {problem}"))?,
                    None => {
                        return Err(
                            "the body may have event, aggregateId, reason, max, ratePerSecond, after and upTo, and nothing else"
                                .to_owned(),
                        );
                    }
                }
            }
        }
    }
    // One request takes no more than the rate allows in a second; the next one goes on.
    sweep.most = sweep.most.min(rate as usize);
    Ok((sweep, rate))
}

fn number(name: &str, value: &Value, most: u64) -> Result<u64, String> {
    // 5.0 is a whole number too, says JSON Schema.
    let whole = |number: f64| {
        let text = format!("{number:.0}");
        text.parse().ok().filter(|_| number.fract() == 0.0)
    };
    value
        .as_u64()
        .or_else(|| value.as_f64().and_then(whole))
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| format!("{name} must be a number from 1 to {most}"))
}

fn place(name: &str, value: &Value) -> Result<EntryId, String> {
    id(value.as_str().unwrap_or_default()).map_err(|wrong| format!("{name} {wrong}"))
}
