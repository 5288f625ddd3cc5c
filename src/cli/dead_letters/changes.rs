//! `weir dead-letters retry` and `drop`.

use std::fmt::Write as _;
use std::io::{self, BufRead as _};
use std::time::Duration;

use serde_json::json;

use super::{Desk, Failure, GONE, Which, lines, strange};
use crate::domain::letters::{
    COMES_BACK, Filter, Letters, LettersAnswer, Pace, RetryFate, SWEEP_MAX, Sweep, Swept,
};
use crate::exit_status::ExitStatus;
use crate::runtime::clock;

/// Most letters in one step of `--all`, so that a rate is spread over its second and Redis is never held for long.
const STEP_MAX: usize = 100;

/// Steps in a second, at rates that allow it.
const STEPS_PER_SECOND: u32 = 10;

impl Desk<'_> {
    pub(super) fn retry(&mut self, which: &Which, rate: u32, yes: bool) -> Result<(), Failure> {
        let ids = match which {
            Which::These(ids) => ids,
            Which::All { filter, most } => {
                self.confirm("send back", filter, yes)?;
                return self.sweep(filter, *most, Some(rate));
            }
        };
        let mut pace = Pace::default();
        let mut failed = 0_usize;
        for id in ids {
            self.wait(&pace);
            pace.take(clock::now(), 1, rate);
            let LettersAnswer::Retried(fate) = self.ask(Letters::Retry(*id))? else {
                return Err(strange());
            };
            let wrong = match fate {
                RetryFate::Retried {
                    stream_id,
                    first_stream_id,
                    retries,
                    malformed,
                } => {
                    let text = if self.json {
                        lines([json!({
                            "id": id.to_string(), "streamId": stream_id.to_string(),
                            "firstStreamId": first_stream_id, "retries": retries,
                        })])
                    } else {
                        format!("{id} {stream_id}\n")
                    };
                    self.tell(&text);
                    malformed.then_some(COMES_BACK)
                }
                RetryFate::Gone => {
                    failed += 1;
                    Some(GONE)
                }
                RetryFate::Foreign => {
                    failed += 1;
                    Some(
                        "not written by weir, so nobody knows which fields are the original's; it stays",
                    )
                }
                RetryFate::TooWide => {
                    failed += 1;
                    Some("too many fields for a script of Redis; it stays")
                }
            };
            if let Some(wrong) = wrong {
                self.remark(&format!("{id}: {wrong}"));
            }
        }
        some_failed(failed, ids.len())
    }

    pub(super) fn drop(&mut self, which: &Which, yes: bool) -> Result<(), Failure> {
        let ids = match which {
            Which::These(ids) => ids,
            Which::All { filter, most } => {
                self.confirm("drop for good", filter, yes)?;
                return self.sweep(filter, *most, None);
            }
        };
        if !yes {
            let question = match ids.as_slice() {
                [id] => format!("drop {id} for good?"),
                more => format!("drop these {} dead letters for good?", more.len()),
            };
            self.agreed(&question)?;
        }
        let mut failed = 0;
        for id in ids {
            match self.ask(Letters::Drop(*id))? {
                LettersAnswer::Dropped(true) => {
                    let text = if self.json {
                        lines([json!({ "id": id.to_string() })])
                    } else {
                        format!("{id}\n")
                    };
                    self.tell(&text);
                }
                LettersAnswer::Dropped(false) => {
                    failed += 1;
                    self.remark(&format!("{id}: {GONE}"));
                }
                _ => return Err(strange()),
            }
        }
        some_failed(failed, ids.len())
    }

    /// Sends back all that is asked for, at a rate, or drops it. What comes back meanwhile is left where it is.
    fn sweep(
        &mut self,
        filter: &Filter,
        most: Option<usize>,
        rate: Option<u32>,
    ) -> Result<(), Failure> {
        let mut left = most.unwrap_or(usize::MAX);
        let step = rate.map_or(SWEEP_MAX, |rate| {
            let step = rate.div_ceil(STEPS_PER_SECOND);
            usize::try_from(step).unwrap_or(STEP_MAX).min(STEP_MAX)
        });
        let mut pace = Pace::default();
        let mut all = Swept::default();
        let (mut after, mut up_to) = (None, None);
        let mut taken = 0_usize;
        let result = loop {
            self.wait(&pace);
            let sweep = Sweep {
                after,
                up_to,
                most: step.min(left),
                filter: filter.clone(),
            };
            let question = match rate {
                Some(_) => Letters::RetryAll(sweep),
                None => Letters::DropAll(sweep),
            };
            let now = clock::now();
            let done = match self.ask(question) {
                Ok(LettersAnswer::Swept(done)) => done,
                Ok(_) => break Err(strange()),
                Err(failure) => break Err(failure),
            };
            if let Some(rate) = rate {
                pace.take(now, done.taken.len(), rate);
            }
            taken += done.taken.len();
            left -= done.taken.len().min(left);
            all.skipped += done.skipped;
            all.malformed += done.malformed;
            self.report(&done);
            if self.streams.person {
                let _ = write!(self.streams.err, "\r{taken} done ");
                let _ = self.streams.err.flush();
            }
            match done.next {
                Some((at, last)) if left > 0 => (after, up_to) = (Some(at), Some(last)),
                _ => break Ok(()),
            }
        };
        if self.streams.person {
            let _ = writeln!(self.streams.err);
        }
        let done = if rate.is_some() {
            "sent back"
        } else {
            "dropped"
        };
        self.remark(&format!("{taken} dead letters {done}"));
        if rate.is_some() && all.malformed > 0 {
            self.remark(&format!("for {} of them: {COMES_BACK}", all.malformed));
        }
        if all.skipped > 0 {
            self.remark(&format!(
                "{} stay: not written by weir, or too many fields for a script of Redis",
                all.skipped
            ));
        }
        result
    }

    fn report(&mut self, done: &Swept) {
        let mut text = String::new();
        for (id, stream_id) in &done.taken {
            let stream_id = stream_id.map(|id| id.to_string());
            if self.json {
                let mut line = json!({ "id": id.to_string() });
                if let Some(stream_id) = stream_id {
                    line["streamId"] = stream_id.into();
                }
                text.push_str(&lines([line]));
            } else {
                let _ = match stream_id {
                    Some(stream_id) => writeln!(text, "{id} {stream_id}"),
                    None => writeln!(text, "{id}"),
                };
            }
        }
        self.tell(&text);
    }

    /// Waits until the pace allows the next step.
    fn wait(&self, pace: &Pace) {
        while let Err(limited) = pace.check(clock::now()) {
            let left = Duration::from_millis(limited.left);
            self.pauses.1.sleep(left);
        }
    }

    /// Asks whether all that is meant shall be.
    fn confirm(&mut self, what: &str, filter: &Filter, yes: bool) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        let question = Letters::List {
            before: None,
            count: 1,
            filter: filter.clone(),
        };
        let LettersAnswer::Listed(page) = self.ask(question)? else {
            return Err(strange());
        };
        let which = if filter.is_empty() {
            format!("all {} dead letters of {}", page.total, self.stream)
        } else {
            let conditions: Vec<String> = [
                ("event", filter.event()),
                ("aggregate", filter.aggregate_id()),
                ("reason", filter.reason()),
            ]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
            format!(
                "every dead letter of {} with {} (there are {} in all)",
                self.stream,
                conditions.join(", "),
                page.total
            )
        };
        self.agreed(&format!("{what} {which}?"))
    }

    fn agreed(&mut self, question: &str) -> Result<(), Failure> {
        if !self.streams.person {
            let text = format!("{question} Nobody can be asked here; --yes says yes");
            return Err(Failure::new(ExitStatus::No, text));
        }
        let _ = write!(self.streams.err, "weir: {question} [y/N] ");
        let _ = self.streams.err.flush();
        let mut answer = String::new();
        let mut limited = io::Read::take(&mut *self.streams.input, 100);
        let read = limited.read_line(&mut answer);
        if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
            Ok(())
        } else {
            Err(Failure::new(ExitStatus::No, "nothing was done"))
        }
    }
}

fn some_failed(failed: usize, of: usize) -> Result<(), Failure> {
    match failed {
        0 => Ok(()),
        failed => Err(Failure::new(
            ExitStatus::No,
            format!("{failed} of {of} failed"),
        )),
    }
}
