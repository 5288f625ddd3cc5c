//! The records of the handler: `B ms life attempt id aggregate` at a call's begin, `E` with the outcome at its end.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use weir::domain::entry_id::EntryId;

/// The end of a record that was not torn.
pub const WHOLE: &str = " .";

/// What a call answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Failed,
    Rejected,
}

impl Outcome {
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }

    fn of(word: &str) -> Self {
        [Self::Done, Self::Failed, Self::Rejected]
            .into_iter()
            .find(|outcome| outcome.word() == word)
            .unwrap_or_else(|| panic!("no such outcome: {word}"))
    }
}

/// A moment of a call: the line in the file, which orders all of them, and the boot-time clock, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub line: usize,
    pub ms: u64,
}

/// One call of the handler.
#[derive(Debug, Clone)]
pub struct Call {
    pub id: EntryId,
    pub aggregate: String,
    pub life: u32,
    pub attempt: u32,
    pub began: Moment,
    pub ended: Option<(Moment, Outcome)>,
}

impl Call {
    pub fn done(&self) -> bool {
        matches!(self.ended, Some((_, Outcome::Done)))
    }
}

/// All calls in the order they began, and what the file itself proves wrong.
pub fn read(path: &Path) -> (Vec<Call>, Vec<String>) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    parse(&text)
}

pub fn parse(text: &str) -> (Vec<Call>, Vec<String>) {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: HashMap<(u32, EntryId), usize> = HashMap::new();
    let mut violations = Vec::new();
    for (line, record) in text.lines().enumerate() {
        // A torn begin is a call that did nothing yet, and a torn end one whose outcome nobody learnt: its process died there.
        let Some(record) = record.strip_suffix(WHOLE) else {
            continue;
        };
        let words: Vec<&str> = record.split(' ').collect();
        let [kind, ms, life, attempt, id, aggregate, ..] = words[..] else {
            panic!("no record: {record:?}");
        };
        let moment = Moment {
            line,
            ms: ms.parse().expect("milliseconds"),
        };
        let life: u32 = life.parse().expect("a life's number");
        let id: EntryId = id.parse().expect("an entry id");
        if kind == "B" {
            let call = Call {
                id,
                aggregate: aggregate.to_owned(),
                life,
                attempt: attempt.parse().expect("an attempt"),
                began: moment,
                ended: None,
            };
            if open.insert((life, id), calls.len()).is_some() {
                violations.push(format!("{id} ran twice at once in life {life}"));
            }
            calls.push(call);
        } else {
            let call = open.remove(&(life, id)).expect("an end follows its begin");
            calls[call].ended = Some((moment, Outcome::of(words[6])));
        }
    }
    (calls, violations)
}

/// Follows the file while replicas write it: who has been handled so far.
pub struct Tail {
    path: PathBuf,
    offset: u64,
    rest: String,
    pub handled: HashSet<EntryId>,
}

impl Tail {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            offset: 0,
            rest: String::new(),
            handled: HashSet::new(),
        }
    }

    /// Reads what was written since.
    pub fn follow(&mut self) {
        let Ok(mut file) = File::open(&self.path) else {
            return;
        };
        let mut more = String::new();
        file.seek(SeekFrom::Start(self.offset)).expect("seek");
        let read = file.read_to_string(&mut more).expect("records are text");
        self.offset += read as u64;
        self.rest.push_str(&more);
        let Some(end) = self.rest.rfind('\n') else {
            return;
        };
        let whole: String = self.rest.drain(..=end).collect();
        let records = whole
            .lines()
            .filter_map(|record| record.strip_suffix(WHOLE));
        for record in records.filter(|record| record.ends_with(" done")) {
            let id = record.split(' ').nth(4).expect("an end has an id");
            self.handled.insert(id.parse().expect("an entry id"));
        }
    }
}
