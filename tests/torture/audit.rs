//! The audit while it runs: whatever is delivered and no longer pending has been handled or is a dead letter, at any moment.

use std::collections::HashSet;

use redis::{Cmd, Value};
use weir::domain::entry_id::EntryId;

use super::fleet::GROUP;
use super::support::redis_client::{DEAD_LETTERS, STREAM};

/// One moment of the group: last delivered id, ids pending, ids in the dead-letter stream.
const MOMENT: &str = "
local answer = { '0-0', {}, {} }
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  for i = 1, #group, 2 do
    if group[2] == ARGV[1] and group[i] == 'last-delivered-id' then
      answer[1] = group[i + 1]
    end
  end
end
for _, row in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1000000)) do
  answer[2][#answer[2] + 1] = row[1]
end
for _, letter in ipairs(redis.call('XRANGE', KEYS[2], '-', '+')) do
  for i = 1, #letter[2], 2 do
    if letter[2][i] == 'weir-id' then
      answer[3][#answer[3] + 1] = letter[2][i + 1]
    end
  end
end
return answer";

/// Remembers what has been looked at.
#[derive(Default)]
pub struct Audit {
    looked_at: usize,
    /// Delivered, and pending when last looked at.
    open: Vec<EntryId>,
}

impl Audit {
    pub fn question() -> Cmd {
        let mut command = redis::cmd("EVAL");
        command
            .arg(MOMENT)
            .arg(2)
            .arg(STREAM)
            .arg(DEAD_LETTERS)
            .arg(GROUP);
        command
    }

    /// `handled` must have been read after the answer.
    pub fn judge(
        &mut self,
        answer: Value,
        published: &[super::feeder::Published],
        handled: &HashSet<EntryId>,
    ) -> Vec<String> {
        let (delivered, pending, letters): (String, Vec<String>, Vec<String>) =
            redis::from_redis_value(answer).expect("the script's answer");
        let delivered: EntryId = delivered.parse().expect("an entry id");
        let ids = |texts: Vec<String>| -> HashSet<EntryId> {
            texts.iter().filter_map(|id| id.parse().ok()).collect()
        };
        let (pending, letters) = (ids(pending), ids(letters));
        let new = published[self.looked_at..]
            .iter()
            .map(|event| event.id)
            .take_while(|id| *id <= delivered);
        let before = self.open.len();
        self.open.extend(new);
        self.looked_at += self.open.len() - before;
        let mut violations = Vec::new();
        self.open.retain(|id| {
            if handled.contains(id) || letters.contains(id) {
                return false;
            }
            let open = pending.contains(id);
            if !open {
                violations.push(format!("{id} was acknowledged before it was handled"));
            }
            open
        });
        violations
    }
}
