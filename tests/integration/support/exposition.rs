//! A strict reader of the `OpenMetrics` text format: what a scraper may rely on is checked while it is read.

use std::collections::{BTreeMap, BTreeSet};

use super::http::{self, Answer};

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// With its suffix.
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// One metric with all its samples.
#[derive(Debug, Clone)]
pub struct Family {
    pub name: String,
    pub kind: String,
    pub unit: Option<String>,
    pub help: String,
    pub samples: Vec<Sample>,
}

/// A page that was read.
#[derive(Debug, Clone)]
pub struct Exposition {
    pub families: Vec<Family>,
}

/// The page of a running service.
#[track_caller]
pub fn scrape(port: u16) -> Exposition {
    let answer = http::get(port, "/metrics");
    assert_eq!(answer.status, 200, "{}", answer.text());
    of(&answer)
}

/// The page in an answer.
#[track_caller]
pub fn of(answer: &Answer) -> Exposition {
    Exposition::parse(&answer.text())
}

impl Exposition {
    #[track_caller]
    pub fn parse(page: &str) -> Self {
        let page = page.strip_suffix("# EOF\n").expect("the end mark is last");
        let mut families: Vec<Family> = Vec::new();
        let mut seen = BTreeSet::new();
        for line in page.split_inclusive('\n') {
            let line = line.strip_suffix('\n').expect("every line ends");
            assert!(!line.is_empty() && line.trim() == line, "{line:?}");
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a help text");
                let name = name.to_owned();
                assert!(
                    families.iter().all(|family| family.name != name),
                    "{name} twice"
                );
                families.push(Family {
                    name,
                    kind: String::new(),
                    unit: None,
                    help: help.to_owned(),
                    samples: Vec::new(),
                });
                continue;
            }
            let family = families.last_mut().expect("a family");
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                assert_eq!(name, family.name);
                kind.clone_into(&mut family.kind);
            } else if let Some(rest) = line.strip_prefix("# UNIT ") {
                let (name, unit) = rest.split_once(' ').expect("a unit");
                assert_eq!(name, family.name);
                assert!(name.ends_with(&format!("_{unit}")), "{name} {unit}");
                family.unit = Some(unit.to_owned());
            } else {
                assert!(!line.starts_with('#'), "{line}");
                let sample = sample(line);
                let series = format!("{}{:?}", sample.name, sample.labels);
                assert!(seen.insert(series), "{line} twice");
                let suffix = sample.name.strip_prefix(family.name.as_str());
                let suffixes: &[&str] = match family.kind.as_str() {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    "histogram" => &["_sum", "_count", "_bucket"],
                    "info" => &["_info"],
                    kind => panic!("{kind} of {}", family.name),
                };
                assert!(
                    suffix.is_some_and(|suffix| suffixes.contains(&suffix)),
                    "{line}"
                );
                assert!(family.kind != "counter" || sample.value >= 0.0, "{line}");
                family.samples.push(sample);
            }
        }
        for family in &families {
            if family.kind == "histogram" {
                check_histogram(family);
            }
        }
        Self { families }
    }

    /// The one sample of that name whose labels are these.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels)
            .unwrap_or_else(|| panic!("no {name} {labels:?}"))
    }

    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: BTreeMap<String, String> = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.samples()
            .find(|sample| sample.name == name && sample.labels == labels)
            .map(|sample| sample.value)
    }

    /// The sum over all label values.
    pub fn sum(&self, name: &str) -> f64 {
        let samples = self.samples().filter(|sample| sample.name == name);
        samples.map(|sample| sample.value).sum()
    }

    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.families.iter().flat_map(|family| &family.samples)
    }
}

/// Labels without `le`, sorted.
type Labels = Vec<(String, String)>;

/// Buckets rise, the last is infinite and holds all.
#[track_caller]
fn check_histogram(family: &Family) {
    let mut groups: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        let bound = labels.remove("le");
        let labels: Vec<_> = labels.into_iter().collect();
        if let Some(bound) = bound {
            let bound = bound.replace("+Inf", "inf").parse().expect("a bound");
            groups
                .entry(labels)
                .or_default()
                .push((bound, sample.value));
        } else if sample.name.ends_with("_count") {
            counts.insert(labels, sample.value);
        }
    }
    assert_eq!(groups.len(), counts.len(), "{}", family.name);
    for (labels, buckets) in groups {
        assert!(
            buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1),
            "{} {labels:?}",
            family.name
        );
        let last = buckets.last().expect("a bucket");
        assert!(last.0.is_infinite());
        assert!(
            (last.1 - counts[&labels]).abs() < 0.5,
            "{} {labels:?}",
            family.name
        );
    }
}

#[track_caller]
fn sample(line: &str) -> Sample {
    let name: String = line
        .chars()
        .take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
        .collect();
    assert!(!name.is_empty(), "{line}");
    let mut labels = BTreeMap::new();
    let mut rest = &line[name.len()..];
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            rest = rest.strip_prefix(',').unwrap_or(rest);
            let (label, behind) = rest.split_once("=\"").expect("a label");
            let (value, behind) = quoted(behind);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = behind;
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').expect("one space before the value");
    Sample {
        name,
        labels,
        value: value.parse().unwrap_or_else(|_| panic!("{line}")),
    }
}

/// A label's value whose opening quote has been taken off, and what stands behind its closing one.
#[track_caller]
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[at + 1..]),
            '\\' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, other @ ('"' | '\\'))) => value.push(other),
                other => panic!("{other:?} is escaped in {text}"),
            },
            other => value.push(other),
        }
    }
    panic!("no closing quote in {text}")
}
