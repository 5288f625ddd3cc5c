//! The settler's steps: each carries out one kind of order; what fails stays in its list.

use log::debug;

use super::{CONTEXT, CURSOR_EVERY, FromSettler, Settler};
use crate::domain::entry_id::EntryId;
use crate::redis_io::lease::Membership;
use crate::redis_io::settle::{self, FencedAnswer, IDS_MAX};
use crate::runtime::clock;
use crate::threads::Halt;

impl Settler {
    /// Renews the next leases, or all that wait once they have waited long enough.
    pub(super) fn renew(&mut self, membership: &Membership) -> Result<(), Halt> {
        let claim_idle = clock::millis(self.parts.settings.delivery.claim_idle);
        while !self.todo.renewals.is_empty() {
            let at = clock::now();
            let ids = self.todo.renewals.next(IDS_MAX);
            let answer = settle::renew(&mut self.link, &self.parts.keys, membership, &ids)?;
            let FencedAnswer {
                done,
                not_ours,
                trimmed,
            } = answer.ok_or(Halt::NameLost)?;
            self.todo.renewals.answered(ids.len());
            self.tell_some(done, |ids| FromSettler::Renewed { ids, at })?;
            self.tell_lost(not_ours, trimmed)?;
            if !self.todo.renewals.go_first(clock::now(), claim_idle) {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn count(&mut self, membership: &Membership) -> Result<(), Halt> {
        while !self.todo.counts.is_empty() {
            let at = clock::now();
            let chunk = self.todo.counts.len().min(IDS_MAX);
            let answer = settle::count(
                &mut self.link,
                &self.parts.keys,
                membership,
                &self.todo.counts[..chunk],
            )?;
            let FencedAnswer {
                done,
                not_ours,
                trimmed,
            } = answer.ok_or(Halt::NameLost)?;
            self.todo.counts.drain(..chunk);
            self.tell_some(done, |ids| FromSettler::Counted { ids, at })?;
            self.tell_lost(not_ours, trimmed)?;
        }
        Ok(())
    }

    /// The one write that needs no fence: the handler succeeded, whoever owns the entry now.
    pub(super) fn acknowledge(&mut self) -> Result<(), Halt> {
        while !self.todo.acknowledgements.is_empty() {
            let chunk = self.todo.acknowledgements.len().min(IDS_MAX);
            let acknowledged = settle::acknowledge(
                &mut self.link,
                &self.parts.keys,
                &self.todo.acknowledgements[..chunk],
            )?;
            if acknowledged < chunk as u64 {
                debug!(target: CONTEXT, asked = chunk, acknowledged; "some entries were no longer pending");
            }
            let ids: Vec<EntryId> = self.todo.acknowledgements.drain(..chunk).collect();
            let todo = &mut self.todo.unhandled;
            let unhandled = if todo.is_empty() {
                0
            } else {
                ids.iter().filter(|id| todo.remove(id)).count() as u64
            };
            let handled = ids.len() as u64 - unhandled;
            let metrics = self.parts.board.metrics();
            metrics.handled.add(handled);
            metrics.skipped.add(unhandled);
            metrics.settled(ids.iter().copied());
            self.parts.board.update(|observed| {
                observed.handled += handled;
                observed.unhandled += unhandled;
            });
            self.cursor_due = true;
            self.tell_some(ids, FromSettler::Confirmed)?;
        }
        Ok(())
    }

    pub(super) fn release(&mut self, membership: &Membership) -> Result<(), Halt> {
        while !self.todo.releases.is_empty() {
            let chunk = self.todo.releases.len().min(IDS_MAX);
            let answer = settle::release(
                &mut self.link,
                &self.parts.keys,
                membership,
                &self.todo.releases[..chunk],
            )?;
            let FencedAnswer {
                done,
                not_ours,
                trimmed,
            } = answer.ok_or(Halt::NameLost)?;
            self.todo.releases.drain(..chunk);
            let released = done.len() as u64;
            self.parts
                .board
                .update(|observed| observed.released += released);
            self.tell_some(done, FromSettler::Released)?;
            self.tell_some(not_ours, FromSettler::NotOurs)?;
            // Only we have them: the lanes make dead letters of them.
            self.tell_lost(Vec::new(), trimmed)?;
        }
        Ok(())
    }

    pub(super) fn write_cursor(&mut self) -> Result<(), Halt> {
        let now = clock::now();
        if self.cursor_due && now >= self.last_cursor + clock::millis(CURSOR_EVERY) {
            let cursor = settle::write_cursor(&mut self.link, &self.parts.keys)?;
            self.cursor_due = false;
            self.last_cursor = now;
            let id = cursor.as_deref().and_then(cursor_id);
            self.parts.memory.set_cursor(cursor);
            if let Some(id) = id {
                self.tell(FromSettler::CursorWritten(id))?;
            }
        }
        Ok(())
    }
}

/// The id in a cursor: `p:<lowest pending>` or `d:<last delivered>`.
fn cursor_id(cursor: &str) -> Option<EntryId> {
    cursor.split_once(':')?.1.parse().ok()
}
