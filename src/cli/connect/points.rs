//! The points of the report: one line each as soon as it is known, and what they come to.

use std::io::Write;

use crate::domain::escape;
use crate::domain::mask::{AggregateIds, Masking};
use crate::domain::server_facts::Finding;
use crate::exit_status::ExitStatus;

/// What is shown of one point, bytes: consumer names and Redis' own words may be longer than anybody reads.
const LINE_BYTES_MAX: usize = 2_048;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Point {
    verdict: Verdict,
    what: String,
    fix: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Doubt,
    Bad(ExitStatus),
}

impl Point {
    /// As it should be.
    pub(super) fn good(what: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Good,
            what: what.into(),
            fix: None,
        }
    }

    /// Worth knowing; weir works.
    pub(super) fn doubt(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Doubt,
            what: what.into(),
            fix: Some(fix.into()),
        }
    }

    /// Not as it must be; the command ends with this status, or a graver one.
    pub(super) fn bad(status: ExitStatus, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Bad(status),
            what: what.into(),
            fix: Some(fix.into()),
        }
    }
}

impl From<Finding> for Point {
    fn from(finding: Finding) -> Self {
        match finding {
            Finding::Good(what) => Self::good(what),
            Finding::Doubt { what, fix } => Self::doubt(what, fix),
            Finding::Bad { what, fix } => Self::bad(ExitStatus::No, what, fix),
        }
    }
}

/// The report as it comes into being.
pub(super) struct Points<'a> {
    out: &'a mut dyn Write,
    bad: Vec<ExitStatus>,
    doubts: usize,
}

impl<'a> Points<'a> {
    /// Nothing yet.
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self {
            out,
            bad: Vec::new(),
            doubts: 0,
        }
    }

    /// Shows a point; answers whether there is nothing bad about it.
    pub(super) fn add(&mut self, name: &str, point: impl Into<Point>) -> bool {
        let point = point.into();
        let word = match point.verdict {
            Verdict::Good => "ok",
            Verdict::Doubt => "warn",
            Verdict::Bad(_) => "FAIL",
        };
        self.line(&format!("{word:<6}{name:<13}"), &point.what);
        if let Some(fix) = &point.fix {
            self.line("      fix: ", fix);
        }
        match point.verdict {
            Verdict::Good => true,
            Verdict::Doubt => {
                self.doubts += 1;
                true
            }
            Verdict::Bad(status) => {
                self.bad.push(status);
                false
            }
        }
    }

    /// The sum, and the status the command ends with: a wrong configuration before refused rights before all else.
    pub(super) fn end(self) -> ExitStatus {
        let (bad, doubts) = (self.bad.len(), self.doubts);
        let text = match (bad, doubts) {
            (0, 0) => "All is well.".to_owned(),
            (0, doubts) => format!(
                "weir can work; {} worth a look.",
                counted(doubts, "point is", "points are")
            ),
            (bad, _) => format!("{} to be mended.", counted(bad, "point has", "points have")),
        };
        let _ = writeln!(self.out, "\n{text}");
        let graver = [
            ExitStatus::Configuration,
            ExitStatus::Refused,
            ExitStatus::No,
        ];
        let found = graver.into_iter().find(|status| self.bad.contains(status));
        found.unwrap_or(ExitStatus::Success)
    }

    /// A reader that has gone away does not keep us from the status. Whatever Redis or a name says stays on its line and shows no secret.
    fn line(&mut self, begin: &str, text: &str) {
        let masking = Masking {
            aggregate_ids: AggregateIds::Full,
        };
        let masked = masking.text(text);
        let mut line = begin.to_owned();
        escape::push_plain(&mut line, escape::prefix(&masked, LINE_BYTES_MAX));
        let _ = writeln!(self.out, "{line}");
        let _ = self.out.flush();
    }
}

fn counted(count: usize, one: &str, several: &str) -> String {
    let words = if count == 1 { one } else { several };
    format!("{count} {words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(points: &[Point]) -> (ExitStatus, String) {
        let mut out = Vec::new();
        let mut report = Points::new(&mut out);
        for point in points {
            report.add("x", point.clone());
        }
        let status = report.end();
        (status, String::from_utf8(out).unwrap())
    }

    #[test]
    fn the_gravest_point_gives_the_status() {
        let bad = |status| Point::bad(status, "a", "b");
        for (points, expected) in [
            (vec![], ExitStatus::Success),
            (vec![Point::doubt("a", "b")], ExitStatus::Success),
            (vec![bad(ExitStatus::No)], ExitStatus::No),
            (
                vec![bad(ExitStatus::No), bad(ExitStatus::Refused)],
                ExitStatus::Refused,
            ),
            (
                vec![
                    bad(ExitStatus::Refused),
                    bad(ExitStatus::Configuration),
                    bad(ExitStatus::No),
                ],
                ExitStatus::Configuration,
            ),
        ] {
            assert_eq!(report(&points).0, expected, "{points:?}");
        }
    }

    #[test]
    fn a_point_stays_on_its_line_and_shows_no_secret() {
        let (_, text) = report(&[Point::doubt("a\n\u{1b}[2Jb redis://:hunter2@host", "c")]);
        assert_eq!(
            text,
            "warn  x            a\\n\\u001b[2Jb redis://***@host\n      fix: c\n\nweir can work; 1 point is worth a look.\n"
        );
    }
}
