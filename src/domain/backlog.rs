//! What a group has not settled, in entries and in time, also where Redis says nothing or something that is no longer so.
//!
//! Redis' own `lag` is nil after an XDEL among unread entries or for a group that began in the middle, unknown before 7.0, and too high
//! after a trim of unread entries (7.0.15: for as long as the group has not caught up). The monitor brings what one script saw at one
//! moment, [`Seen`]; what follows from it is decided here.

use super::Millis;
use super::entry_id::EntryId;

/// What one look at stream and group saw, all at the same moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Redis' clock, milliseconds since 1970.
    pub now_unix_ms: u64,
    /// Entries in the stream.
    pub length: u64,
    /// The lowest id in the stream; `None` when it is empty.
    pub first: Option<EntryId>,
    /// The highest id the stream ever had.
    pub last: EntryId,
    /// The highest id that XDEL has deleted; `None` where Redis does not say (before 7.0).
    pub deleted: Option<EntryId>,
    /// Entries ever added; `None` where Redis does not say.
    pub added: Option<u64>,
    /// The group's last-delivered id.
    pub delivered: EntryId,
    /// Redis' count of entries the group has read; `None` where it does not know.
    pub read: Option<u64>,
    /// Redis' own figure for what is not read yet; `None` where it does not know.
    pub lag: Option<u64>,
    /// Entries pending in the whole group.
    pub pending: u64,
    /// The lowest of them.
    pub pending_lowest: Option<EntryId>,
    /// Consumers in the group.
    pub consumers: u64,
    /// The lowest id behind the last-delivered one.
    pub unread_first: Option<EntryId>,
    /// Entries behind it that were counted.
    pub counted: u64,
    /// There are no more than those.
    pub counted_all: bool,
}

/// What the group has not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backlog {
    /// When Redis was asked, on the boot-time clock.
    pub at: Millis,
    /// Entries in the stream.
    pub length: u64,
    /// Entries not read yet.
    pub unread: u64,
    /// Entries read and not settled, whole group.
    pub pending: u64,
    /// Age of the oldest entry that is not settled, by its id and Redis' clock; 0 when there is none.
    pub oldest_unsettled_ms: u64,
    /// Age of the oldest pending entry; 0 when there is none.
    pub oldest_pending_ms: u64,
    /// Entries in the dead-letter stream, where that could be read.
    pub dead_letters: Option<u64>,
}

impl Backlog {
    /// An age that was found at [`Backlog::at`], as old as it is by now: what could not be looked at since then has grown older. Within
    /// `fresh_for` it is told as it was found, because an entry that was on its way then is most likely done.
    pub fn age_now(&self, age_ms: u64, now: Millis, fresh_for: Millis) -> u64 {
        let since = now.saturating_sub(self.at);
        if age_ms == 0 || since <= fresh_for {
            age_ms
        } else {
            age_ms.saturating_add(since)
        }
    }
}

/// What was learnt from one look to the next.
#[derive(Debug, Clone, Default)]
pub struct BacklogMemory {
    /// How much too high Redis' figure was when it could be compared last.
    excess: u64,
    /// Entries that had gone unread by the last look, as far as Redis' counts still show them.
    gone: Option<u64>,
}

impl BacklogMemory {
    /// What follows from a look at `at`.
    pub fn judge(&mut self, seen: &Seen, at: Millis) -> Backlog {
        let oldest = [seen.pending_lowest, seen.unread_first]
            .into_iter()
            .flatten()
            .min();
        let age = |id: Option<EntryId>| id.map_or(0, |id| seen.now_unix_ms.saturating_sub(id.ms));
        Backlog {
            at,
            length: seen.length,
            unread: self.unread(seen),
            pending: seen.pending,
            oldest_unsettled_ms: age(oldest),
            oldest_pending_ms: age(seen.pending_lowest),
            dead_letters: None,
        }
    }

    /// Entries not read yet: counted where they are few or all that is left, else Redis' figure less what it was too high by, else
    /// estimated from the ids, as if entries had come evenly.
    fn unread(&mut self, seen: &Seen) -> u64 {
        if seen.unread_first.is_none() {
            self.excess = 0;
            return 0;
        }
        let exact = exactly_unread(seen);
        if let Some(exact) = exact {
            self.excess = seen.lag.map_or(0, |lag| lag.saturating_sub(exact));
            return exact;
        }
        let low = seen.counted.max(1);
        let guess = match seen.lag {
            Some(lag) => lag.saturating_sub(self.excess),
            None => estimate(seen),
        };
        guess.clamp(low.min(seen.length), seen.length)
    }

    /// Entries that were trimmed before the group had read them, since the last look. The first look only learns what had gone before.
    pub fn newly_gone(&mut self, seen: &Seen) -> u64 {
        let all_read = seen.delivered >= seen.last;
        if all_read {
            self.gone = Some(0);
            return 0;
        }
        let Some(gone) = gone_unread(seen) else {
            return 0;
        };
        match self.gone.replace(gone) {
            // Lower than before: the group has caught up in between, and Redis counts anew.
            Some(before) if before <= gone => gone - before,
            Some(_) => gone,
            None => 0,
        }
    }
}

/// Entries behind the last-delivered id, where their number is certain.
fn exactly_unread(seen: &Seen) -> Option<u64> {
    if seen.counted_all {
        Some(seen.counted)
    } else {
        // Nothing that was delivered is left.
        (seen.first == seen.unread_first).then_some(seen.length)
    }
}

/// Entries that have gone without the group having read them, as far as Redis' counts tell: they do while XDEL had no part in it.
fn gone_unread(seen: &Seen) -> Option<u64> {
    let unread = exactly_unread(seen)?;
    let trimmed_only = seen
        .deleted
        .is_some_and(|deleted| deleted <= seen.delivered);
    if !trimmed_only {
        return None;
    }
    seen.added?.checked_sub(seen.read?)?.checked_sub(unread)
}

/// The share of the stream's time that lies behind the last-delivered id.
fn estimate(seen: &Seen) -> u64 {
    let first = seen.first.map_or(0, |first| first.ms);
    let whole = seen.last.ms.saturating_sub(first);
    let behind = seen.last.ms.saturating_sub(seen.delivered.ms.max(first));
    if whole == 0 {
        return seen.length;
    }
    let share = u128::from(seen.length) * u128::from(behind) / u128::from(whole);
    u64::try_from(share).unwrap_or(seen.length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    /// A stream of one entry a second from 1 s on, `length` of them, of which `delivered` are read and acknowledged; at 1,000 s.
    fn stream(length: u64, delivered: u64) -> Seen {
        let unread = length - delivered;
        Seen {
            now_unix_ms: 1_000_000,
            length,
            first: (length > 0).then(|| id(1_000)),
            last: id(length * 1_000),
            deleted: Some(EntryId::ZERO),
            added: Some(length),
            delivered: id(delivered * 1_000),
            read: Some(delivered),
            lag: Some(unread),
            unread_first: (unread > 0).then(|| id((delivered + 1) * 1_000)),
            counted: unread.min(100),
            counted_all: unread <= 100,
            ..Seen::default()
        }
    }

    #[test]
    fn unread_entries_are_counted_or_taken_from_redis_or_estimated() {
        let mut trimmed = stream(500, 200);
        trimmed.first = Some(id(301_000));
        trimmed.unread_first = Some(id(301_000));
        trimmed.length = 200;
        for (name, seen, unread) in [
            ("nothing at all", stream(0, 0), 0),
            ("all read", stream(10, 10), 0),
            ("a group created at 0", stream(500, 0), 500),
            ("few unread", stream(10, 7), 3),
            ("as many as are counted", stream(500, 400), 100),
            ("one more: Redis' figure", stream(500, 399), 101),
            (
                "few unread, and Redis does not say",
                Seen {
                    lag: None,
                    ..stream(10, 7)
                },
                3,
            ),
            (
                "few unread, and Redis says too much",
                Seen {
                    lag: Some(9),
                    ..stream(10, 7)
                },
                3,
            ),
            (
                "Redis says 0 and there is one",
                Seen {
                    lag: Some(0),
                    ..stream(10, 9)
                },
                1,
            ),
            (
                "trimmed up to unread ones: all that is left is unread, whatever Redis says",
                trimmed,
                200,
            ),
            (
                "many unread, and Redis does not say: the share of the time",
                Seen {
                    lag: None,
                    ..stream(1_001, 501)
                },
                500,
            ),
            (
                "no more than there are",
                Seen {
                    lag: Some(9_999),
                    ..stream(500, 200)
                },
                500,
            ),
            (
                "no fewer than were counted",
                Seen {
                    lag: Some(7),
                    ..stream(500, 200)
                },
                100,
            ),
            (
                "all within one millisecond",
                Seen {
                    lag: None,
                    first: Some(id(5)),
                    last: id(5),
                    delivered: id(5),
                    ..stream(500, 200)
                },
                500,
            ),
        ] {
            assert_eq!(
                BacklogMemory::default().judge(&seen, 0).unread,
                unread,
                "{name}"
            );
        }
    }

    #[test]
    fn what_redis_says_too_much_is_remembered_until_it_can_be_compared_again() {
        let mut memory = BacklogMemory::default();
        // 1,000 were added, 100 read, and 200 unread ones trimmed.
        let all_left_is_unread = Seen {
            length: 700,
            first: Some(id(301_000)),
            unread_first: Some(id(301_000)),
            lag: Some(900),
            ..stream(1_000, 100)
        };
        assert_eq!(memory.judge(&all_left_is_unread, 0).unread, 700);
        let ten_read = Seen {
            length: 700,
            first: Some(id(301_000)),
            delivered: id(310_000),
            unread_first: Some(id(311_000)),
            lag: Some(890),
            ..stream(1_000, 110)
        };
        assert_eq!(memory.judge(&ten_read, 0).unread, 690);
        assert_eq!(memory.judge(&stream(1_000, 1_000), 0).unread, 0);
        assert_eq!(memory.judge(&stream(1_000, 300), 0).unread, 700);
    }

    #[test]
    fn the_oldest_that_is_not_settled_is_pending_or_unread() {
        for (pending, unread, unsettled, oldest_pending) in [
            (None, None, 0, 0),
            (Some(400_000), None, 600_000, 600_000),
            (None, Some(999_999), 1, 0),
            (Some(400_000), Some(400_001), 600_000, 600_000),
            // A group that was set back has unread entries below pending ones.
            (Some(900_000), Some(1), 999_999, 100_000),
            // A producer whose clock is ahead of Redis'.
            (None, Some(1_000_001), 0, 0),
        ] {
            let seen = Seen {
                pending_lowest: pending.map(id),
                unread_first: unread.map(id),
                ..stream(10, 5)
            };
            let backlog = BacklogMemory::default().judge(&seen, 7);
            assert_eq!(
                (backlog.oldest_unsettled_ms, backlog.oldest_pending_ms),
                (unsettled, oldest_pending),
                "{pending:?} {unread:?}"
            );
        }
    }

    #[test]
    fn an_age_grows_while_nobody_can_look() {
        let backlog = Backlog {
            at: 10_000,
            ..Backlog::default()
        };
        for (age, now, told) in [
            (500, 10_000, 500),
            (500, 15_000, 500),
            (500, 15_001, 5_501),
            (0, 99_999, 0),
            (500, 9_000, 500),
        ] {
            assert_eq!(backlog.age_now(age, now, 5_000), told, "{age} {now}");
        }
    }

    #[test]
    fn entries_that_go_unread_are_counted_once() {
        // 100 added, `read` of them read, the lowest `gone` trimmed.
        let trimmed = |read: u64, gone: u64| {
            let unread = 100 - read.max(gone);
            Seen {
                length: 100 - gone,
                first: (gone < 100).then(|| id((gone + 1) * 1_000)),
                unread_first: (unread > 0).then(|| id((101 - unread) * 1_000)),
                counted: unread,
                ..stream(100, read)
            }
        };
        let mut memory = BacklogMemory::default();
        for (name, seen, newly) in [
            ("gone before the first look", trimmed(10, 15), 0),
            ("seven more", trimmed(10, 22), 7),
            ("the same again", trimmed(10, 22), 0),
            ("what has gone now had been read", trimmed(30, 22), 0),
            (
                "XDEL had a part in it",
                Seen {
                    deleted: Some(id(90_000)),
                    ..trimmed(10, 60)
                },
                0,
            ),
            (
                "Redis does not count",
                Seen {
                    added: None,
                    ..trimmed(10, 60)
                },
                0,
            ),
            (
                "Redis does not know what was read",
                Seen {
                    read: None,
                    ..trimmed(10, 60)
                },
                0,
            ),
            ("caught up", stream(100, 100), 0),
            ("three gone after that", trimmed(50, 53), 3),
            ("caught up unnoticed, then two", trimmed(60, 62), 2),
            ("all of it", trimmed(60, 100), 38),
        ] {
            assert_eq!(memory.newly_gone(&seen), newly, "{name}");
        }
    }
}
