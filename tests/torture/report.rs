//! What a scenario answers: numbers, and what was wrong.

use std::fmt;

/// The outcome of a scenario.
#[derive(Debug, Default)]
pub struct Summary {
    pub published: usize,
    pub handled: usize,
    pub dead_letters: usize,
    pub calls: usize,
    pub duplicates: usize,
    /// Events that Redis lost before anybody had read them.
    pub lost_by_redis: usize,
    pub kills: usize,
    /// Kills that hit a running call.
    pub hits: usize,
    /// What the scenario itself counts.
    pub notes: Vec<String>,
    pub violations: Vec<String>,
}

impl Summary {
    /// Adds another run of the same scenario.
    pub fn absorb(&mut self, other: Self, which: &str) {
        self.published += other.published;
        self.handled += other.handled;
        self.dead_letters += other.dead_letters;
        self.calls += other.calls;
        self.duplicates += other.duplicates;
        self.lost_by_redis += other.lost_by_redis;
        self.kills += other.kills;
        self.hits += other.hits;
        self.notes.extend(other.notes);
        let violations = other.violations.into_iter();
        self.violations
            .extend(violations.map(|violation| format!("{which}: {violation}")));
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} published, {} handled in {} calls, {} duplicates",
            self.published, self.handled, self.calls, self.duplicates
        )?;
        if self.dead_letters > 0 {
            write!(f, ", {} dead letters", self.dead_letters)?;
        }
        if self.lost_by_redis > 0 {
            write!(f, ", {} lost by Redis", self.lost_by_redis)?;
        }
        if self.kills > 0 {
            write!(
                f,
                ", {} kills ({} hit a running call)",
                self.kills, self.hits
            )?;
        }
        for note in &self.notes {
            write!(f, ", {note}")?;
        }
        Ok(())
    }
}
