//! A group as Redis sees it, looked at often and cheaply: what was read, what is not acknowledged, and when all of it was.

use std::collections::HashMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::lab::{LIMIT, connect};
use super::support::process::Process;
use super::support::test_redis::TestRedis;

/// Between two looks. Each costs Redis and us some tens of microseconds, a hundredth of this; what is measured takes a hundred times as long.
const LOOK_EVERY: Duration = Duration::from_millis(3);

/// Looks at one group through one connection.
pub struct Watch {
    connection: redis::Connection,
    stream: String,
    group: String,
}

/// What a look has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Entries that the group has not read.
    pub unread: u64,
    /// Entries read and not acknowledged.
    pub pending: u64,
}

impl Standing {
    /// Entries that are not acknowledged.
    pub fn left(self) -> u64 {
        self.unread + self.pending
    }
}

impl Watch {
    /// Creates the group behind so many entries; `id` is that of the last of them.
    pub fn create(redis: &TestRedis, stream: &str, group: &str, id: &str, behind: usize) -> Self {
        let words = ["XGROUP", "CREATE", stream, group, id, "ENTRIESREAD"];
        let _: String = redis.run(&[&words[..], &[&behind.to_string()]].concat());
        Self::of(redis, stream, group)
    }

    /// Of a group that is there or will be.
    pub fn of(redis: &TestRedis, stream: &str, group: &str) -> Self {
        Self {
            connection: connect(redis),
            stream: stream.to_owned(),
            group: group.to_owned(),
        }
    }

    /// Removes the group, and what weir keeps beside the stream: it knows nothing of the next one.
    pub fn forget(mut self, redis: &TestRedis) {
        let _: i64 = redis.run(&["XGROUP", "DESTROY", &self.stream, &self.group]);
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg("weir:*")
            .query(&mut self.connection)
            .expect("the keys");
        for key in keys {
            let _: i64 = redis.run(&["DEL", &key]);
        }
    }

    /// The group now; `None` while it is not there.
    pub fn look(&mut self) -> Option<Standing> {
        let groups: Vec<HashMap<String, redis::Value>> = redis::cmd("XINFO")
            .arg("GROUPS")
            .arg(&self.stream)
            .query(&mut self.connection)
            .ok()?;
        let name = redis::Value::BulkString(self.group.clone().into_bytes());
        let group = groups
            .into_iter()
            .find(|group| group.get("name") == Some(&name))?;
        let number = |name: &str| match group.get(name) {
            Some(redis::Value::Int(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        Some(Standing {
            unread: number("lag")?,
            pending: number("pending")?,
        })
    }

    /// Waits for the condition while the processes live; answers what was seen, and when.
    pub fn until(
        &mut self,
        processes: &mut [Process],
        mut condition: impl FnMut(Standing) -> bool,
    ) -> (Standing, Instant) {
        let begin = Instant::now();
        loop {
            let standing = self.look();
            let now = Instant::now();
            if let Some(standing) = standing
                && condition(standing)
            {
                return (standing, now);
            }
            for process in &mut *processes {
                let status = process.status();
                assert!(
                    status.is_none(),
                    "it ended with {status:?} before it was done"
                );
            }
            assert!(
                begin.elapsed() < LIMIT,
                "not done after {LIMIT:?}: {standing:?}"
            );
            sleep(LOOK_EVERY);
        }
    }

    /// Waits until all but `kept` entries are acknowledged; answers how many were a second, from the first that was read on: starts
    /// are an experiment of their own.
    pub fn drained(&mut self, processes: &mut [Process], kept: u64) -> f64 {
        let all = self.look().expect("a group that Redis can count").unread;
        let (first, begin) = self.until(processes, |now| now.unread < all);
        let (last, end) = self.until(processes, |now| now.left() == kept);
        (first.left() - last.left()) as f64 / (end - begin).as_secs_f64()
    }
}
