//! What is told: a row for each comparison, with its target, as a table, as JSON and as a picture.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::environment;
use super::figures::{Figures, Spread, shown};
use super::lab::{Lab, Size};
use super::rows::{ROWS, Row, Target};

/// So near to its target a row is measured again: what medians of five rounds vary by from run to run on a machine that others share.
const NEAR: f64 = 0.15;

/// A row with what came out.
struct Line {
    row: &'static Row,
    subject: Spread,
    reference: Option<Spread>,
    /// The ratio, or the figure itself.
    value: f64,
    holds: bool,
    /// What weir ran with where that was not its defaults.
    settings: String,
}

pub struct Report {
    lines: Vec<Line>,
    /// What it ran on, a line.
    environment: String,
    figures: serde_json::Value,
}

/// The report of a run; rows that were not measured are left out.
pub fn of(figures: &Figures) -> Report {
    let rows = ROWS.iter();
    let lines = rows.filter_map(|row| line(row, figures)).collect();
    let all: Vec<_> = figures
        .iter()
        .map(|(contestant, quantity, values)| {
            json!({ "contestant": contestant, "quantity": quantity, "values": values })
        })
        .collect();
    Report {
        lines,
        environment: environment::line(),
        figures: all.into(),
    }
}

fn line(row: &'static Row, figures: &Figures) -> Option<Line> {
    let subject = figures.spread(row.subject, row.quantity)?;
    let reference = match row.reference {
        Some(reference) => Some(figures.spread(reference, row.quantity)?),
        None => None,
    };
    let value = match reference {
        Some(reference) if is_ratio(row) => subject.median / reference.median,
        _ => subject.median,
    };
    let holds = match row.target {
        Target::AtLeast(least) => value >= least,
        Target::AtMost(most) | Target::Below(most) => value <= most,
        Target::Always(least) => subject.least >= least,
    };
    Some(Line {
        row,
        subject,
        reference,
        value,
        holds,
        settings: figures.settings(row.subject).to_owned(),
    })
}

/// Whether a row is judged by what it is of its reference.
fn is_ratio(row: &Row) -> bool {
    matches!(row.target, Target::AtLeast(_) | Target::AtMost(_))
}

/// Whether there are figures for a row.
pub fn is_measured(row: &'static Row, figures: &Figures) -> bool {
    line(row, figures).is_some()
}

/// Whether a row came out so near to its target, on either side, that chance may have decided it.
pub fn is_near(row: &'static Row, figures: &Figures) -> bool {
    let Some(line) = line(row, figures) else {
        return false;
    };
    let target = match row.target {
        Target::AtLeast(target) | Target::AtMost(target) | Target::Below(target) => target,
        // Each round counts, so more of them decide nothing.
        Target::Always(_) => return false,
    };
    // Rounds that are all alike have nothing more to tell.
    let differ = |spread: Spread| spread.least < spread.most;
    let varies = differ(line.subject) || line.reference.is_some_and(differ);
    varies && (line.value / target - 1.0).abs() < NEAR
}

impl Report {
    pub fn all_hold(&self) -> bool {
        self.holding() == self.lines.len()
    }

    pub fn measured(&self) -> usize {
        self.lines.len()
    }

    pub fn holding(&self) -> usize {
        self.lines.iter().filter(|line| line.holds).count()
    }

    /// As the README shows it.
    pub fn table(&self) -> String {
        let mut text = format!("{}\n\n", self.environment);
        text.push_str(
            "| what | weir | reference | ratio | target | |\n|---|---|---|---|---|---|\n",
        );
        for line in &self.lines {
            let reference = match (line.row.reference, line.reference) {
                (Some(name), Some(spread)) => format!("{name}: {}", range(spread)),
                _ => String::new(),
            };
            let ratio = if is_ratio(line.row) {
                format!("{:.2}x", line.value)
            } else {
                String::new()
            };
            let _ = writeln!(
                text,
                "| {} | {} {} | {reference} | {ratio} | {} | {} |",
                line.row.about,
                range(line.subject),
                line.row.quantity,
                line.row.target,
                if line.holds { "holds" } else { "MISSED" }
            );
        }
        text + &self.settings()
    }

    /// Rows by what weir ran with: one list for each.
    fn settings(&self) -> String {
        let mut rows: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in &self.lines {
            rows.entry(&line.settings).or_default().push(line.row.about);
        }
        let mut text =
            "\nweir ran with these settings, all others at their defaults:\n\n".to_owned();
        for (settings, about) in rows {
            let _ = writeln!(text, "- `{settings}`: {}", about.join("; "));
        }
        text
    }

    /// Writes `report.json`, `report.md` and `report.svg` into `target/bench`.
    pub fn write(&self, lab: &Lab) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .map_or_else(PathBuf::new, Path::to_owned)
            .join("bench");
        fs::create_dir_all(&folder).expect("a folder for the report");
        let rows: Vec<_> = self
            .lines
            .iter()
            .map(|line| {
                json!({
                    "row": line.row.about, "value": line.value, "target": line.row.target.to_string(), "holds": line.holds,
                    "settings": line.settings,
                })
            })
            .collect();
        let report = json!({ "environment": self.environment, "short": lab.size == Size::Short, "rows": rows, "figures": self.figures });
        let text = serde_json::to_string_pretty(&report).expect("numbers and texts");
        for (name, text) in [
            ("report.json", text),
            ("report.md", self.table()),
            ("report.svg", self.picture()),
        ] {
            fs::write(folder.join(name), text).expect("write the report");
        }
        eprintln!(
            "bench: report.json, report.md and report.svg are in {}",
            folder.display()
        );
    }

    /// A bar for each ratio; the line is the target.
    fn picture(&self) -> String {
        /// What a ratio of one is long, pixels.
        const ONE: f64 = 160.0;
        const ROW: usize = 28;
        const LEFT: f64 = 300.0;
        /// Longer bars are cut, ratios.
        const MOST: f64 = 3.0;
        let lines: Vec<&Line> = self
            .lines
            .iter()
            .filter(|line| is_ratio(line.row))
            .collect();
        let height = lines.len() * ROW + 20;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        for (place, line) in lines.iter().enumerate() {
            let y = place * ROW + 14;
            let width = line.value.min(MOST) * ONE;
            let colour = if line.holds { "#2a7f62" } else { "#b3412e" };
            let (Target::AtLeast(wanted)
            | Target::AtMost(wanted)
            | Target::Below(wanted)
            | Target::Always(wanted)) = line.row.target;
            let wanted = wanted.min(MOST);
            let mark = LEFT + wanted * ONE;
            let _ = writeln!(
                text,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.0}\" height=\"16\" fill=\"{colour}\"/>\
                 <path d=\"M{mark:.0} {}v24\" stroke=\"#222\"/>\
                 <text x=\"{:.0}\" y=\"{}\">{:.2}x of {}</text>",
                LEFT - 8.0,
                y + 13,
                line.row.about,
                y.saturating_sub(4),
                LEFT + width.max(wanted * ONE) + 8.0,
                y + 13,
                line.value,
                line.row.reference.unwrap_or_default(),
            );
        }
        text + "</svg>\n"
    }
}

fn range(spread: Spread) -> String {
    format!(
        "{} ({}-{})",
        shown(spread.median),
        shown(spread.least),
        shown(spread.most)
    )
}
