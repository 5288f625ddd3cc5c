//! Other producers' entries, read into the same event. Each format has a file: its sign, and what of it becomes which field of
//! ours. What comes out is judged by [`super::entry_codec`] like any entry, so that every limit holds for all formats.
//!
//! Used by whoever turns an entry into an event; never changes an entry, only how it is seen.

mod cap;
mod cloudevents;
mod connect;
mod dapr;
mod faststream;
mod flat;
mod json;
mod mapped;
mod msgpack;
mod sea_streamer;
mod spring;
mod watermill;

#[cfg(test)]
mod tests;

use super::entry_codec::{self, DecodeError, Malformed, Rule};
use super::entry_id::EntryId;
use super::event::{Event, Field, fields_bytes};
use super::fields::Fields;
use super::retried;
use mapped::Mapped;

/// `WIRE_FORMAT`: how entries are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireFormat {
    /// By the signs of their producers; an entry with `event` or `aggregateId` is ours.
    Auto,
    /// Ours, all of them.
    Weir,
    /// Dapr's publish/subscribe over Redis.
    Dapr,
    /// A structured `CloudEvent` in the field `data`.
    CloudEvents,
    /// Watermill's Redis stream publisher.
    Watermill,
    /// `FastStream`, both its binary messages and those up to 0.5.
    FastStream,
    /// DotNetCore.CAP.
    Cap,
    /// Redpanda Connect (Benthos, Bento).
    Connect,
    /// sea-streamer.
    SeaStreamer,
    /// Object records of Spring Data Redis.
    Spring,
    /// Fields without any convention.
    Flat,
}

impl WireFormat {
    /// Every format with its word.
    pub const NAMES: [(&'static str, Self); 11] = [
        ("auto", Self::Auto),
        ("weir", Self::Weir),
        ("dapr", Self::Dapr),
        ("cloudevents", Self::CloudEvents),
        ("watermill", Self::Watermill),
        ("faststream", Self::FastStream),
        ("cap", Self::Cap),
        ("connect", Self::Connect),
        ("sea-streamer", Self::SeaStreamer),
        ("spring", Self::Spring),
        ("flat", Self::Flat),
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, format)| *format == self)
            .map_or("auto", |(name, _)| name)
    }
}

/// Reads an entry as an event, in the format it has or is said to have. The traces of a retry are no part of what is read; they stand
/// behind the event's other fields.
///
/// # Errors
/// The fields as they came and the first broken rule, for the dead-letter stream.
pub fn read(
    id: EntryId,
    fields: impl Into<Fields>,
    payload_bytes_max: usize,
    format: WireFormat,
) -> Result<Event, Malformed> {
    let fields = fields.into();
    let found = entry_codec::find(&fields);
    let (event, aggregate_id) = (found.places.event, found.places.aggregate_id);
    let ours = match format {
        WireFormat::Weir => true,
        WireFormat::Auto => event.is_some() || aggregate_id.is_some(),
        // The schedule's and other services' own events may lie in the same stream, whatever else does.
        WireFormat::Flat => event.is_some() && aggregate_id.is_some(),
        _ => false,
    };
    if ours && !found.retried {
        return entry_codec::decode_found(id, fields, &found, payload_bytes_max);
    }
    let mut bare = fields.to_vec();
    let traces = retried::take_traces(&mut bare);
    if ours {
        return read_ours(id, bare, traces, payload_bytes_max);
    }
    let error = match read_foreign(id, &bare, payload_bytes_max, format) {
        Ok(Some(mut event)) => {
            // Behind what was read, as they stand behind the entry's own fields.
            bare.extend(traces.iter().cloned());
            event.original = Some(bare);
            if !traces.is_empty() {
                event.fields.extend(traces);
            }
            return Ok(event);
        }
        Ok(None) => return read_ours(id, bare, traces, payload_bytes_max),
        Err(error) => error,
    };
    Err(Malformed { fields, error })
}

/// Reads an entry without its traces by our own contract, and puts them back behind it.
fn read_ours(
    id: EntryId,
    bare: Vec<Field>,
    traces: Vec<Field>,
    payload_bytes_max: usize,
) -> Result<Event, Malformed> {
    match entry_codec::decode(id, bare, payload_bytes_max) {
        Ok(mut event) => {
            event.fields.extend(traces);
            Ok(event)
        }
        Err(mut malformed) => {
            malformed.fields.extend(traces);
            Err(malformed)
        }
    }
}

/// Reads an entry in another format than ours; nothing when it is ours after all.
fn read_foreign(
    id: EntryId,
    fields: &[Field],
    payload_bytes_max: usize,
    format: WireFormat,
) -> Result<Option<Event>, DecodeError> {
    let foreign = match decide(fields, payload_bytes_max, format)? {
        Read::Ours => return Ok(None),
        Read::As(foreign) => foreign,
    };
    let event = foreign_fields(id, fields, payload_bytes_max, foreign).and_then(|mapped| {
        entry_codec::decode(id, mapped, payload_bytes_max).map_err(|malformed| malformed.error)
    });
    event.map(Some).map_err(|mut error| {
        error.read_as = Some(foreign.name());
        error
    })
}

/// How an entry is read that is not ours at first sight.
enum Read {
    /// By our own contract.
    Ours,
    /// As that format; never `Auto` or `Weir`.
    As(WireFormat),
}

fn decide(
    fields: &[Field],
    payload_bytes_max: usize,
    format: WireFormat,
) -> Result<Read, DecodeError> {
    let named = has(fields, "event") || has(fields, "aggregateId");
    let open = matches!(format, WireFormat::Auto | WireFormat::Flat);
    if named && !open && !has_sign(fields, format) {
        return Ok(Read::Ours);
    }
    // Before anything is parsed.
    entry_codec::check_bytes(fields_bytes(fields), payload_bytes_max)?;
    if format != WireFormat::Auto {
        return Ok(Read::As(format));
    }
    match recognise(fields) {
        Some(found) => Ok(Read::As(found)),
        None => Err(DecodeError::new("event", Rule::NoSign, None)),
    }
}

/// The formats that have a sign, those whose sign is a name nobody else would choose first.
const SIGNED: [WireFormat; 8] = [
    WireFormat::Watermill,
    WireFormat::FastStream,
    WireFormat::Spring,
    WireFormat::Cap,
    WireFormat::Dapr,
    WireFormat::CloudEvents,
    WireFormat::SeaStreamer,
    WireFormat::Connect,
];

fn recognise(fields: &[Field]) -> Option<WireFormat> {
    SIGNED.into_iter().find(|format| has_sign(fields, *format))
}

fn has_sign(fields: &[Field], format: WireFormat) -> bool {
    match format {
        WireFormat::Auto | WireFormat::Weir | WireFormat::Flat => false,
        WireFormat::Dapr => dapr::has_sign(fields),
        WireFormat::CloudEvents => cloudevents::has_sign(fields),
        WireFormat::Watermill => watermill::has_sign(fields),
        WireFormat::FastStream => faststream::has_sign(fields),
        WireFormat::Cap => cap::has_sign(fields),
        WireFormat::Connect => connect::has_sign(fields),
        WireFormat::SeaStreamer => sea_streamer::has_sign(fields),
        WireFormat::Spring => spring::has_sign(fields),
    }
}

/// The entry in our own fields.
fn foreign_fields(
    id: EntryId,
    fields: &[Field],
    payload_bytes_max: usize,
    format: WireFormat,
) -> Result<Vec<Field>, DecodeError> {
    let mapped: Mapped = match format {
        WireFormat::Dapr => dapr::map(fields),
        WireFormat::CloudEvents => cloudevents::map(fields),
        WireFormat::Watermill => watermill::map(fields),
        WireFormat::FastStream => faststream::map(fields),
        WireFormat::Cap => cap::map(fields),
        WireFormat::Connect => connect::map(fields),
        WireFormat::SeaStreamer => sea_streamer::map(fields),
        WireFormat::Spring => spring::map(fields),
        WireFormat::Auto | WireFormat::Weir | WireFormat::Flat => flat::map(fields),
    }?;
    Ok(mapped.into_fields(id, format.name(), payload_bytes_max, fields))
}

/// The value of a field; the last one where it stands twice.
fn last<'a>(fields: &'a [Field], name: &str) -> Option<&'a [u8]> {
    fields
        .iter()
        .rev()
        .find(|(key, _)| key == name.as_bytes())
        .map(|(_, value)| value.as_slice())
}

fn has(fields: &[Field], name: &str) -> bool {
    last(fields, name).is_some()
}

/// The value of a field a format cannot do without.
fn required<'a>(fields: &'a [Field], name: &'static str) -> Result<&'a [u8], DecodeError> {
    last(fields, name).ok_or(DecodeError::new(name, Rule::Missing, None))
}

/// A field that is not what its format says; `what` with its article.
fn not_a(field: &'static str, what: &'static str) -> DecodeError {
    DecodeError::new(field, Rule::NotA(what), None)
}
