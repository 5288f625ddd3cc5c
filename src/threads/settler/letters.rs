//! The settler's dead letters: written and acknowledged in one script, or waiting without holding up anything else.

use std::collections::VecDeque;
use std::time::Duration;

use log::{error, info, warn};

use super::{CONTEXT, FromSettler, Settler};
use crate::domain::health::Phase;
use crate::redis_io::errors::{ErrorClass, RedisIoError};
use crate::redis_io::lease::Membership;
use crate::redis_io::settle::{self, DeadLetter, DeadLetterAnswer};
use crate::runtime::clock;
use crate::runtime::thread::ThreadError;
use crate::threads::Halt;

/// Dead letters that cannot be written now are tried again this often; everything else goes on.
const DEAD_LETTER_PAUSE: Duration = Duration::from_secs(1);

impl Settler {
    /// Dead letters that are refused hold back nothing but themselves.
    pub(super) fn write_letters(&mut self, membership: &Membership) -> Result<(), Halt> {
        while clock::now() >= self.letters_not_before || self.closing {
            let Some(mut letter) = self.todo.letters.pop_front() else {
                break;
            };
            let length_max = self.parts.settings.delivery.dead_letter_max_length;
            let now = clock::unix_ms();
            match settle::dead_letter(
                &mut self.link,
                &self.parts.keys,
                membership,
                &mut letter,
                length_max,
                now,
            ) {
                Ok(DeadLetterAnswer::Written {
                    dead_letter_id,
                    dropped,
                }) => {
                    self.letter_written(&letter, &dead_letter_id, dropped);
                    self.cursor_due = true;
                    self.tell_some(vec![letter.id], FromSettler::Confirmed)?;
                }
                Ok(DeadLetterAnswer::NotOurs) => {
                    self.tell_some(vec![letter.id], FromSettler::NotOurs)?;
                }
                Ok(DeadLetterAnswer::Fenced) => {
                    self.todo.letters.push_front(letter);
                    return Err(Halt::NameLost);
                }
                Err(failure) => {
                    self.todo.letters.push_back(letter);
                    if !is_about_the_letter(&failure) {
                        return Err(failure.into());
                    }
                    self.letters_blocked(&failure);
                    self.leave_letters_pending()?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// When the process stops, what cannot be buried stays pending, with its count, for the next consumer: waiting for a person would
    /// only use the deadline up. What has gone from the stream is in our hands alone and is tried to the end.
    fn leave_letters_pending(&mut self) -> Result<(), ThreadError> {
        let board = &self.parts.board;
        if !self.closing && !board.update(|observed| observed.phase == Phase::Draining) {
            return Ok(());
        }
        let (kept, left): (VecDeque<_>, VecDeque<_>) = self
            .todo
            .letters
            .drain(..)
            .partition(|letter| letter.trimmed);
        self.todo.letters = kept;
        if left.is_empty() {
            return Ok(());
        }
        warn!(target: CONTEXT, count = left.len(); "dead letters could not be written; their entries stay pending for the next consumer");
        let ids = left.into_iter().map(|letter| letter.id).collect();
        self.tell_some(ids, FromSettler::NotOurs)
    }

    fn letter_written(&self, letter: &DeadLetter, dead_letter_id: &str, dropped: u64) {
        warn!(
            target: CONTEXT, streamId:% = letter.id, deadLetterId = dead_letter_id, reason = letter.reason.code(),
            error = letter.reason.text().as_str(), deliveries = letter.calls, correlationId = letter.correlation_id.as_deref();
            "dead letter written"
        );
        if dropped > 0 {
            error!(
                target: CONTEXT, dropped, maxLength = self.parts.settings.delivery.dead_letter_max_length;
                "oldest dead letters dropped, the dead-letter stream is full"
            );
        }
        let board = &self.parts.board;
        board.metrics().dead_lettered(&letter.reason, letter.id);
        let now = clock::now();
        let recovered = board.update(|observed| {
            observed.dead_letters += 1;
            observed.last_dead_letter = Some(now);
            std::mem::take(&mut observed.dead_letter_blocked)
        });
        if recovered {
            info!(target: CONTEXT, key = self.parts.keys.dead_letter.as_str(); "dead letters can be written again");
        }
    }

    fn letters_blocked(&mut self, failure: &RedisIoError) {
        self.struggling = true;
        self.letters_not_before = clock::now() + clock::millis(DEAD_LETTER_PAUSE);
        let first = self
            .parts
            .board
            .update(|observed| !std::mem::replace(&mut observed.dead_letter_blocked, true));
        if first {
            error!(
                target: CONTEXT, error:% = failure, waiting = self.todo.letters.len(), key = self.parts.keys.dead_letter.as_str();
                "dead letters cannot be written; their entries stay pending"
            );
        }
    }
}

/// Whether a failure concerns the dead-letter stream alone, so that everything else can go on.
fn is_about_the_letter(failure: &RedisIoError) -> bool {
    matches!(
        failure.class,
        ErrorClass::WrongType | ErrorClass::Permission | ErrorClass::Refused | ErrorClass::Wait
    )
}
