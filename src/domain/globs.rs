//! Globs over event names: `EVENTS`. `*` stands for any run of characters, also none, `?` for one; everything else for itself.
//!
//! Used by the configuration, which reads them, and by the filter handler, which asks them. Linear in name times pattern at worst.

/// The longest pattern, bytes: as long as the longest event name (contract).
pub const PATTERN_BYTES_MAX: usize = 128;

/// The most patterns. Each event that matches none is held against all of them.
pub const PATTERNS_MAX: usize = 64;

/// A list of patterns; a name matches when one of them does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Globs(Vec<String>);

impl Globs {
    /// Reads a list separated by commas; spaces around a pattern are not part of it. `None` when it has no pattern, an empty one,
    /// one with control characters, or more or longer ones than allowed.
    pub fn parse(text: &str) -> Option<Self> {
        let patterns: Vec<String> = text
            .split(',')
            .map(|pattern| pattern.trim_matches(' '))
            .map(|pattern| {
                let good = (1..=PATTERN_BYTES_MAX).contains(&pattern.len())
                    && !pattern.chars().any(char::is_control);
                good.then(|| pattern.to_owned())
            })
            .collect::<Option<_>>()?;
        (patterns.len() <= PATTERNS_MAX).then_some(Self(patterns))
    }

    /// Whether one of the patterns matches the whole name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, name))
    }

    /// The same, but a pattern of nothing except stars does not count: who asks for everything has not asked for this name.
    pub fn names(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|pattern| pattern.bytes().any(|byte| byte != b'*') && matches(pattern, name))
    }
}

/// Goes on greedily and, at a mismatch, lets the last star take one character more: no recursion, no blow-up.
fn matches(pattern: &str, name: &str) -> bool {
    let mut rest = name;
    let mut wanted = pattern;
    // Behind the last star: what of the pattern is left, and what of the name it was held against.
    let mut star: Option<(&str, &str)> = None;
    loop {
        let mut letters = rest.chars();
        let letter = letters.next();
        let mut signs = wanted.chars();
        match (signs.next(), letter) {
            (Some('*'), _) => {
                wanted = signs.as_str();
                star = Some((wanted, rest));
                continue;
            }
            (None, None) => return true,
            (Some(sign), Some(letter)) if sign == '?' || sign == letter => {
                wanted = signs.as_str();
                rest = letters.as_str();
                continue;
            }
            _ => {}
        }
        let Some((behind, held)) = star else {
            return false;
        };
        let mut held = held.chars();
        if held.next().is_none() {
            return false;
        }
        rest = held.as_str();
        wanted = behind;
        star = Some((wanted, rest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_and_a_question_mark_one_character() {
        for (pattern, name, matched) in [
            ("order.created", "order.created", true),
            ("order.created", "order.created2", false),
            ("order.created", "order", false),
            ("order.*", "order.created", true),
            ("order.*", "order.", true),
            ("order.*", "order", false),
            ("order.*", "reorder.x", false),
            ("*.created", "order.created", true),
            ("*.created", "a.created.created", true),
            ("*.created", "a.created.", false),
            ("*", "", true),
            ("*", "anything", true),
            ("**", "anything", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "abbbcc", true),
            ("a*b*c", "acb", false),
            ("?", "é", true),
            ("?", "", false),
            ("??", "é", false),
            ("caf?", "café", true),
            ("[a]", "a", false),
            ("[a]", "[a]", true),
            ("A", "a", false),
        ] {
            assert_eq!(matches(pattern, name), matched, "{pattern} {name}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let pattern = "*a".repeat(63) + "*b";
        assert!(!matches(&pattern, &"a".repeat(128)));
    }

    #[test]
    fn a_list_is_separated_by_commas() {
        let globs = Globs::parse("order.*, invoice.paid").unwrap();
        for (name, matched) in [
            ("order.created", true),
            ("invoice.paid", true),
            ("invoice.sent", false),
            (" invoice.paid", false),
        ] {
            assert_eq!(globs.matches(name), matched, "{name}");
        }
    }

    #[test]
    fn both_sides_of_every_limit() {
        let long = |bytes: usize| "x".repeat(bytes);
        let many = |count: usize| vec!["x"; count].join(",");
        for (text, good) in [
            ("", false),
            (" ", false),
            ("a,", false),
            (",a", false),
            ("a\nb", false),
            ("a b", true),
            (&*long(128), true),
            (&*long(129), false),
            (&*many(64), true),
            (&*many(65), false),
        ] {
            assert_eq!(Globs::parse(text).is_some(), good, "{text:?}");
        }
    }

    #[test]
    fn stars_alone_name_nothing() {
        for (text, named) in [
            ("*", false),
            ("**", false),
            ("*,order.*", false),
            ("test-event", true),
            ("test-*", true),
            ("order.*,*-event", true),
            ("?*", true),
        ] {
            assert_eq!(
                Globs::parse(text).unwrap().names("test-event"),
                named,
                "{text}"
            );
        }
    }
}
