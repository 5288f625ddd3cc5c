//! What is not permitted, gathered, so that one line of `ACL SETUSER` mends it.

use super::points::Point;
use crate::exit_status::ExitStatus;
use crate::redis_io::errors::RedisIoError;
use crate::redis_io::rights::Need;

/// Commands, keys and types that are not as weir needs them.
#[derive(Debug, Default)]
pub(super) struct Denied {
    commands: Vec<(Need, &'static str)>,
    keys: Vec<(Need, String)>,
    strange: Vec<(String, String)>,
}

impl Denied {
    /// Whether this command is not permitted.
    pub(super) fn has(&self, name: &str) -> bool {
        self.commands.iter().any(|(_, denied)| *denied == name)
    }

    /// A command that is not permitted; the first need of it counts.
    pub(super) fn command(&mut self, need: Need, name: &'static str) {
        if !self.has(name) {
            self.commands.push((need, name));
        }
    }

    /// A pattern of keys that is not permitted.
    pub(super) fn key(&mut self, need: Need, pattern: &str) {
        if !self.keys.iter().any(|(_, denied)| denied == pattern) {
            self.keys.push((need, pattern.to_owned()));
        }
    }

    /// A key that holds something else.
    pub(super) fn strange(&mut self, key: &str, error: &RedisIoError) {
        if !self.strange.iter().any(|(known, _)| known == key) {
            self.strange.push((key.to_owned(), error.text.clone()));
        }
    }

    /// A point for each need, and one for each strange key.
    pub(super) fn points(&self, user: &str) -> Vec<(&'static str, Point)> {
        let mut points = Vec::new();
        for need in [Need::Start, Need::Work, Need::Convenience, Need::Commands] {
            let of_need = |wanted: &Need| *wanted == need;
            let commands = self.commands.iter().filter(|(wanted, _)| of_need(wanted));
            let commands = commands.map(|(_, name)| ((*name).to_owned(), format!("'+{name}'")));
            let keys = self.keys.iter().filter(|(wanted, _)| of_need(wanted));
            let keys =
                keys.map(|(_, pattern)| (format!("the key {pattern}"), format!("'~{pattern}'")));
            let (what, rules): (Vec<String>, Vec<String>) = commands.chain(keys).unzip();
            if what.is_empty() {
                continue;
            }
            let what = format!("{user} may not use {}", what.join(", "));
            let fix = format!("redis-cli ACL SETUSER {user} {}", rules.join(" "));
            let refused = ExitStatus::Refused;
            points.push((
                "rights",
                match need {
                    Need::Start => Point::bad(refused, format!("{what}: weir does not start"), fix),
                    Need::Work => {
                        Point::bad(refused, format!("{what}: a part of the work fails"), fix)
                    }
                    Need::Convenience => Point::doubt(format!("{what}: weir gets by"), fix),
                    Need::Commands => {
                        Point::doubt(format!("{what}: only other commands of weir need it"), fix)
                    }
                },
            ));
        }
        for (key, text) in &self.strange {
            let fix = format!("rename or delete the key {key}, or set STREAM to another one");
            points.push((
                "keys",
                Point::bad(ExitStatus::Configuration, format!("{key}: {text}"), fix),
            ));
        }
        points
    }
}
