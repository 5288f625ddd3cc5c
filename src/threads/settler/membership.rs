//! The settler's membership: taking a name, what was pending before us, losing the name, leaving.

use log::{info, warn};

use super::{CONTEXT, FromSettler, Settler};
use crate::config::settings::AdoptPending;
use crate::redis_io::errors::RedisIoError;
use crate::redis_io::lease::{self, Membership};
use crate::redis_io::{inspect, settle};
use crate::runtime::clock;
use crate::runtime::thread::ThreadError;
use crate::threads::Halt;

impl Settler {
    /// Takes a name and looks at what was pending before us.
    pub(super) fn join(&mut self) -> Result<(), Halt> {
        let sent_at = clock::now();
        let membership = lease::join(
            &mut self.link,
            &self.parts.keys,
            &self.parts.name,
            &self.process,
            self.generation + 1,
        )?;
        if membership.name != self.parts.name {
            warn!(
                target: CONTEXT, wanted = self.parts.name.as_str(), consumer = membership.name.as_str();
                "consumer name is held by another living process; taking the next one"
            );
        }
        if self.generation == 0 {
            self.tell_adopted(&membership)?;
        }
        let name = membership.name.clone();
        info!(
            target: CONTEXT, consumer = name.as_str(), group = self.parts.keys.group.as_str(),
            stream = self.parts.keys.stream.as_str();
            "joined the group"
        );
        self.generation = membership.generation;
        self.last_stay = sent_at;
        self.membership = Some(membership.clone());
        // First the dispatcher, then the reader: what is read under this name must be known as ours.
        self.tell(FromSettler::Joined(membership.generation))?;
        // Who is woken by the name finds it on the board.
        self.parts
            .board
            .update(|observed| observed.consumer = Some(name));
        self.parts.memory.set_membership(Some(membership));
        Ok(())
    }

    /// Tells what was pending before weir first joined this group. The reclaim script does with it what `ADOPT_PENDING` says.
    fn tell_adopted(&mut self, membership: &Membership) -> Result<(), RedisIoError> {
        if !membership.first {
            return Ok(());
        }
        let keys = &self.parts.keys;
        let Some(before) = inspect::pending_before(&mut self.link, keys)? else {
            return Ok(());
        };
        let name = match self.parts.settings.consumer.adopt_pending {
            AdoptPending::Handle => "handle",
            AdoptPending::DeadLetter => "dead-letter",
            AdoptPending::Leave => "leave",
        };
        warn!(
            target: CONTEXT, count = before.count, lowestId = before.lowest.as_str(), highestId = before.highest.as_str(),
            oldestIdleMs = clock::millis(before.lowest_idle), owners:serde = before.owners, adoptPending = name;
            "entries were pending in the group before weir joined it"
        );
        Ok(())
    }

    /// Our lease is gone: nothing of ours begins until each entry's own lease is confirmed under the name we get next.
    pub(super) fn name_lost(&mut self) -> Result<(), ThreadError> {
        self.membership = None;
        self.parts.memory.set_membership(None);
        self.todo.renewals.hurry();
        warn!(target: CONTEXT, "our consumer name's lease is gone; registering anew");
        self.tell(FromSettler::NameLost)
    }

    /// The last words: cursor, name. Both are a courtesy to the next replica; a failure costs it the lease's lifetime.
    pub(super) fn leave(&mut self) {
        let Some(membership) = self.membership.take() else {
            return;
        };
        self.parts.memory.set_membership(None);
        let keys = &self.parts.keys;
        let cursor = settle::write_cursor(&mut self.link, keys).map(drop);
        match cursor.and_then(|()| lease::leave(&mut self.link, keys, &membership)) {
            Ok(pending) => info!(
                target: CONTEXT, consumer = membership.name.as_str(), handled = self.parts.board.update(|observed| observed.handled), pending = pending.unwrap_or(0);
                "left the group"
            ),
            Err(failure) => {
                warn!(target: CONTEXT, error:% = failure; "could not leave the group in good order");
            }
        }
        self.link.disconnect();
    }
}
