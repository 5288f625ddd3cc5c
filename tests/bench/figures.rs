//! What was measured: for each contestant and quantity one number a round.

use std::collections::BTreeMap;

use super::lab;

/// Every number of a run.
#[derive(Debug, Default)]
pub struct Figures {
    values: BTreeMap<(String, String), Vec<f64>>,
    /// What weir was started with last before a contestant's figures.
    settings: BTreeMap<String, String>,
}

/// Median, least and most of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Figures {
    /// A contestant's figure of one round.
    pub fn note(&mut self, contestant: &str, quantity: &str, value: f64) {
        eprintln!("bench:   {contestant}: {quantity} {}", shown(value));
        let settings = lab::last_settings();
        self.settings.insert(contestant.to_owned(), settings);
        let key = (contestant.to_owned(), quantity.to_owned());
        self.values.entry(key).or_default().push(value);
    }

    /// Has one of a contestant's quantities, all rounds of it, stand for another.
    pub fn judge(&mut self, contestant: &str, quantity: &str, judged: &str) {
        let key = |quantity: &str| (contestant.to_owned(), quantity.to_owned());
        if let Some(values) = self.values.get(&key(quantity)).cloned() {
            self.values.insert(key(judged), values);
        }
    }

    /// What a contestant's rounds came to; `None` when it was not measured.
    pub fn spread(&self, contestant: &str, quantity: &str) -> Option<Spread> {
        let key = (contestant.to_owned(), quantity.to_owned());
        spread(self.values.get(&key)?)
    }

    /// The settings that a contestant ran with if it is a weir; all others had their defaults. Means nothing for a reference.
    pub fn settings(&self, contestant: &str) -> &str {
        self.settings.get(contestant).map_or("", String::as_str)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &[f64])> {
        self.values
            .iter()
            .map(|((contestant, quantity), values)| (&**contestant, &**quantity, &**values))
    }
}

fn spread(values: &[f64]) -> Option<Spread> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let middle = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    };
    Some(Spread {
        median,
        least,
        most,
    })
}

/// A number with as many digits as mean something.
pub fn shown(value: f64) -> String {
    match value.abs() {
        10_000.0.. => format!("{:.0}k", value / 1_000.0),
        1_000.0.. => format!("{:.1}k", value / 1_000.0),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
