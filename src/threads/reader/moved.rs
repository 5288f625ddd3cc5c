//! The reader's eye on moves of the group (`weir seek`).
//!
//! What was settled here and comes back after a repair is acknowledged and not handled. After a move it is to be handled, so the
//! dispatcher must know of the move before it gets an entry that came because of it. Such an entry was handed on here before, so its id
//! is not above all that were: whenever one comes that is not, the note of the last move is read first. That costs nothing while
//! nobody moves the group. So that the log tells of a move also when nothing comes, the note comes along with each look for abandoned
//! entries, once a second, and is read alone only when there was none for longer.

use std::time::Duration;

use log::warn;

use super::{CONTEXT, FromReader, Reader};
use crate::domain::Millis;
use crate::domain::event::Body;
use crate::domain::lanes::Arrival;
use crate::redis_io::seek;
use crate::runtime::clock;
use crate::threads::Halt;
use crate::threads::shared::SeenMove;

/// The note of the last move is read when it did not come along for so long: a little more than the time between two looks for abandoned
/// entries.
const LOOK_EVERY: Duration = Duration::from_millis(1_200);

impl Reader {
    /// Also before anything is read for the first time: from then on every change is a move that we must act upon.
    pub(super) fn look_for_move_when_due(&mut self) -> Result<(), Halt> {
        let now = clock::now();
        if now < self.next_look_for_move {
            return Ok(());
        }
        self.look_for_move()?;
        self.next_look_for_move = now + clock::millis(LOOK_EVERY);
        Ok(())
    }

    /// A note that came along with something else that was asked at `asked`.
    pub(super) fn note_came(&mut self, note: Option<&str>, asked: Millis) -> Result<(), Halt> {
        let known = match (self.parts.memory.seen_move(), note) {
            (SeenMove::Never, None) => true,
            (SeenMove::Note(seen), Some(note)) => seen == note,
            _ => false,
        };
        if known {
            self.next_look_for_move = asked + clock::millis(LOOK_EVERY);
            Ok(())
        } else {
            self.look_for_move()
        }
    }

    /// Before entries are handed on.
    pub(super) fn look_for_move_before(&mut self, arrivals: &[Arrival<Body>]) -> Result<(), Halt> {
        let highest = self.parts.memory.highest();
        if arrivals.iter().any(|arrival| arrival.id <= highest)
            && let Err(halt) = self.look_for_move()
        {
            // They are pending under our name, and nobody holds them: taken up when we can look again.
            self.own_taken_up = None;
            return Err(halt);
        }
        if let Some(id) = arrivals.iter().map(|arrival| arrival.id).max() {
            self.parts.memory.handed_on(id);
        }
        Ok(())
    }

    fn look_for_move(&mut self) -> Result<(), Halt> {
        let (link, keys, memory) = (&mut self.link, &self.parts.keys, &self.parts.memory);
        let last = match seek::last_move(link, keys)? {
            Some(note) => SeenMove::Note(note),
            None => SeenMove::Never,
        };
        let seen = memory.seen_move();
        if seen == last {
            return Ok(());
        }
        if let SeenMove::Note(note) = &last
            && seen != SeenMove::Unknown
        {
            // A repair must not go back to where the group was before.
            memory.set_cursor(seek::cursor(link, keys)?);
            let moved = seek::read_note(note);
            warn!(
                target: CONTEXT, group = keys.group.as_str(), stream = keys.stream.as_str(), fromId = moved.from, toId = moved.to,
                movedBy = moved.by, movedAt = moved.at;
                "group was moved; it reads on from there"
            );
            self.send(FromReader::GroupMoved)?;
        }
        self.parts.memory.set_seen_move(last);
        Ok(())
    }
}
