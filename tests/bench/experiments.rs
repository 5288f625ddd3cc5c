//! What is measured, and in which order.

mod drain;
mod growth;
mod http;
mod idle;
mod outside;
mod peers;
mod rest;

use super::figures::Figures;
use super::lab::Lab;

/// One experiment: contestants that take turns.
pub struct Experiment {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(&Lab, usize, &mut Figures),
}

/// All of them.
pub static EXPERIMENTS: &[Experiment] = &[
    Experiment {
        name: "drain",
        about: "a backlog is handled and acknowledged",
        run: drain::run,
    },
    Experiment {
        name: "idle",
        about: "an event is added to a stream at rest, every few milliseconds",
        run: idle::run,
    },
    Experiment {
        name: "webhook",
        about: "each event is posted to a server that answers at once, 8 at a time",
        run: outside::webhook,
    },
    Experiment {
        name: "command",
        about: "a program is run for each event, 4 at a time",
        run: outside::command,
    },
    Experiment {
        name: "publish",
        about: "POST /events over 64 connections, one event and a hundred a request",
        run: http::publish,
    },
    Experiment {
        name: "live",
        about: "GET /health/live over 1 and 16 connections",
        run: http::live,
    },
    Experiment {
        name: "pages",
        about: "every page over 16 kept connections",
        run: http::pages,
    },
    Experiment {
        name: "burst",
        about: "64 connections are opened at once",
        run: http::burst,
    },
    Experiment {
        name: "rest",
        about: "start, memory and wake-ups of a service that has nothing to do",
        run: rest::run,
    },
    Experiment {
        name: "aggregates",
        about: "a backlog of 10, 1,000 and 100,000 aggregates",
        run: growth::aggregates,
    },
    Experiment {
        name: "held-back",
        about: "a backlog behind 1,000 aggregates whose events fail",
        run: growth::held_back,
    },
    Experiment {
        name: "stream",
        about: "the end of a stream of 1e4, 1e6 and 1e7 entries",
        run: growth::stream,
    },
    Experiment {
        name: "replicas",
        about: "a backlog is shared by 1 to 4 replicas",
        run: growth::replicas,
    },
];

/// What needs more than this machine has, so that it has to be asked for.
pub static PEERS: Experiment = Experiment {
    name: "peers",
    about: "other services and libraries drain a backlog",
    run: peers::run,
};

/// Lets the contestants of each round take turns, the other way round every other time.
pub fn take_turns<T>(rounds: usize, contestants: &[T], mut measure: impl FnMut(&T)) {
    for round in 0..rounds {
        if round % 2 == 0 {
            contestants.iter().for_each(&mut measure);
        } else {
            contestants.iter().rev().for_each(&mut measure);
        }
    }
}
