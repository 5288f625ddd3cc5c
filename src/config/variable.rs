//! What one row of the table of variables consists of.
//!
//! A row is a [`Variable`]: words for people ([`About`]) and a [`Rule`] that both reads the value and says what is allowed, so
//! that documentation and parser cannot disagree.

use super::rules::Rule;

/// The headings under which variables are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Where Redis is and how to talk to it.
    Redis,
    /// Who the service is and where it serves HTTP.
    Service,
    /// What is consumed, and as whom.
    Stream,
    /// How deliveries are bounded and repeated.
    Delivery,
    /// What others may publish over HTTP.
    Publishing,
    /// Who handles which events.
    Handler,
    /// What is written to standard output.
    Log,
    /// Starting, stopping, and what is scheduled in between.
    Process,
}

impl Group {
    /// All groups in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Redis,
        Self::Service,
        Self::Stream,
        Self::Delivery,
        Self::Publishing,
        Self::Handler,
        Self::Log,
        Self::Process,
    ];

    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::Service => "Service and HTTP",
            Self::Stream => "Stream and consumer group",
            Self::Delivery => "Delivery",
            Self::Publishing => "Publishing over HTTP",
            Self::Handler => "Handler",
            Self::Log => "Log",
            Self::Process => "Start, stop, schedule",
        }
    }
}

/// What holds when a variable is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// It must be set.
    Required,
    /// It must be set, except in the case named.
    RequiredUnless(&'static str),
    /// This text, read by the same rule as a given value.
    Value(&'static str),
    /// Nothing; the words say what happens instead.
    Unset(&'static str),
}

impl Fallback {
    /// The words for a column "default".
    pub fn words(self) -> String {
        match self {
            Self::Required => "required".to_owned(),
            Self::RequiredUnless(case) => format!("required, unless {case}"),
            Self::Value(text) | Self::Unset(text) => text.to_owned(),
        }
    }
}

/// How much of a given value may be repeated in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// All of it.
    Open,
    /// Nothing of it.
    Secret,
    /// A URL without user, password and query; nothing of what is none.
    Url,
    /// A path may be shown; anything else might be a secret that was put where the path of its file belongs.
    PathOfSecret,
}

/// The words of a row.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// The variable's name.
    pub name: &'static str,
    /// The heading it stands under.
    pub group: Group,
    /// What holds when it is not set.
    pub fallback: Fallback,
    /// One line on what it is for.
    pub help: &'static str,
    /// How much of a value may be shown.
    pub secrecy: Secrecy,
    /// Whether an empty value counts as not set; otherwise it is an error.
    pub empty_is_unset: bool,
    /// A good value, for messages about required variables.
    pub example: Option<&'static str>,
    /// Names under which other software knows the same thing; using one earns a warning with the right name.
    pub also_called: &'static [&'static str],
}

impl About {
    pub(super) const fn new(
        name: &'static str,
        group: Group,
        fallback: Fallback,
        help: &'static str,
    ) -> Self {
        Self {
            name,
            group,
            fallback,
            help,
            secrecy: Secrecy::Open,
            empty_is_unset: false,
            example: None,
            also_called: &[],
        }
    }

    pub(super) const fn secrecy(mut self, secrecy: Secrecy) -> Self {
        self.secrecy = secrecy;
        self
    }

    pub(super) const fn empty_is_unset(mut self) -> Self {
        self.empty_is_unset = true;
        self
    }

    pub(super) const fn example(mut self, example: &'static str) -> Self {
        self.example = Some(example);
        self
    }

    pub(super) const fn also_called(mut self, names: &'static [&'static str]) -> Self {
        self.also_called = names;
        self
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Variable<R> {
    /// The words.
    pub about: About,
    /// What is allowed, and how it is read.
    pub rule: R,
}

/// A row whose value type does not matter: for help, documentation and tests.
pub trait Row: Sync {
    /// The words of the row.
    fn about(&self) -> &About;
    /// What is allowed, unit included.
    fn allowed(&self) -> String;
    /// Whether the rule accepts this text.
    fn accepts(&self, text: &str) -> bool;
}

impl<R: Rule + Sync> Row for Variable<R> {
    fn about(&self) -> &About {
        &self.about
    }

    fn allowed(&self) -> String {
        self.rule.allowed()
    }

    fn accepts(&self, text: &str) -> bool {
        self.rule.parse(text).is_some()
    }
}
