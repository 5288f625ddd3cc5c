//! The settler's errands for parked entries: their bodies are read again, or they have gone from the stream.

use super::{FromSettler, Settler};
use crate::domain::disposition::DeadLetterReason;
use crate::domain::event::Body;
use crate::domain::lanes::Fetched;
use crate::domain::wire::{self, WireFormat};
use crate::redis_io::group::RawEntry;
use crate::redis_io::lease::Membership;
use crate::redis_io::settle::{self, FETCH_MAX, FetchAnswer, IDS_MAX};
use crate::threads::Halt;

impl Settler {
    /// Reads parked entries again. It goes through the settler because what it finds lost or trimmed is news about a lease.
    pub(super) fn fetch(&mut self, membership: &Membership) -> Result<(), Halt> {
        while !self.todo.fetches.is_empty() {
            let chunk = self.todo.fetches.len().min(FETCH_MAX);
            let answer = settle::fetch(
                &mut self.link,
                &self.parts.keys,
                membership,
                &self.todo.fetches[..chunk],
            )?;
            let FetchAnswer {
                entries,
                not_ours,
                trimmed,
                left,
            } = answer.ok_or(Halt::NameLost)?;
            self.todo.fetches.drain(..chunk - left);
            // Before the others: what stays parked keeps back what stands behind it.
            self.tell_lost(not_ours, trimmed)?;
            let length_max = self.parts.settings.delivery.event_max_bytes;
            let format = self.parts.settings.consumer.wire_format;
            let entries = entries
                .into_iter()
                .map(|entry| decoded(entry, length_max, format));
            let entries: Vec<_> = entries.collect();
            if !entries.is_empty() {
                self.tell(FromSettler::Fetched(entries))?;
            }
        }
        Ok(())
    }

    /// Takes what has gone from the stream out of the pending list. It was not handled and does not count as such.
    pub(super) fn acknowledge_gone(&mut self) -> Result<(), Halt> {
        while !self.todo.gone.is_empty() {
            let chunk = self.todo.gone.len().min(IDS_MAX);
            let ids = &self.todo.gone[..chunk];
            settle::acknowledge(&mut self.link, &self.parts.keys, ids)?;
            let ids = self.todo.gone.drain(..chunk).collect();
            self.cursor_due = true;
            self.tell_some(ids, FromSettler::NotOurs)?;
        }
        Ok(())
    }
}

fn decoded(entry: RawEntry, length_max: usize, format: WireFormat) -> Fetched<Body> {
    let RawEntry { id, fields } = entry;
    match wire::read(id, fields, length_max, format) {
        Ok(event) => Fetched {
            id,
            bytes: event.bytes(),
            body: Body::Event(event),
            verdict: None,
        },
        // It was an event when it was read first: another server answers for the same id.
        Err(malformed) => Fetched {
            id,
            bytes: malformed.fields.memory(),
            body: Body::Malformed(malformed.fields),
            verdict: Some(DeadLetterReason::Malformed(malformed.error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entry_id::EntryId;

    #[test]
    fn what_is_read_again_is_read_in_the_same_format() {
        let entry = || RawEntry {
            id: EntryId { ms: 7, seq: 0 },
            fields: vec![(b"body".to_vec(), b"text".to_vec())].into(),
        };
        let fetched = decoded(entry(), 1_024, WireFormat::Auto);
        let event = fetched.body.event().expect("an event");
        assert_eq!(
            (event.name(), fetched.bytes),
            ("connect.message", event.bytes())
        );
        let fetched = decoded(entry(), 1_024, WireFormat::Weir);
        assert!(fetched.body.event().is_none() && fetched.verdict.is_some());
    }
}
