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
