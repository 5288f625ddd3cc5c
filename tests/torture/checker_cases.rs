//! The checker's own proof: small made-up runs, each wrong in one way, and what it must say of them.

use std::collections::HashSet;

use weir::domain::entry_id::EntryId;

use super::Plan;
use super::checker::{self, Disturbance, Evidence, Expected, Letter, Rules};
use super::fleet::{Ending, Life};
use super::records::{self, WHOLE};
use super::report::Summary;

/// What is told of a made-up run besides its records.
struct Case {
    what: &'static str,
    /// Records: life, attempt, id, aggregate and so on; times are line numbers times ten.
    records: &'static [&'static str],
    /// Lives that were killed, with the moment.
    killed: &'static [(u32, u64)],
    disturbed: Option<(Option<u32>, u64, u64)>,
    letters: &'static [(&'static str, &'static str)],
    taken_over: &'static [(u32, &'static str)],
    /// Lives whose breaker opened.
    probing: &'static [u32],
    attempts_exact: bool,
    /// Part of the one violation, or empty when there is none.
    wrong: &'static str,
}

/// Two events of one aggregate, `1-1` and `1-2`, must have come to their end.
const CASES: &[Case] = &[
    Case {
        what: "one after the other",
        records: &["B 1 1 1-1", "E 1 1 1-1 done", "B 1 1 1-2", "E 1 1 1-2 done"],
        wrong: "",
        ..CLEAN
    },
    Case {
        what: "an end that was torn when its process died",
        records: &[
            "B 1 1 1-1",
            "torn: E 1 1",
            "B 2 2 1-1",
            "E 2 2 1-1 done",
            "B 2 1 1-2",
            "E 2 1 1-2 done",
        ],
        killed: &[(1, 15)],
        wrong: "",
        ..CLEAN
    },
    Case {
        what: "one is missing",
        records: &["B 1 1 1-1", "E 1 1 1-1 done"],
        wrong: "lost",
        ..CLEAN
    },
    Case {
        what: "a dead letter of an event that succeeds",
        records: &["B 1 1 1-1", "E 1 1 1-1 done"],
        letters: &[("1-2", "rejected")],
        wrong: "would have succeeded",
        ..CLEAN
    },
    Case {
        what: "wrong order",
        records: &["B 1 1 1-2", "E 1 1 1-2 done", "B 1 1 1-1", "E 1 1 1-1 done"],
        wrong: "was handled after",
        ..CLEAN
    },
    Case {
        what: "wrong order, because it came from elsewhere",
        records: &["B 1 1 1-2", "E 1 1 1-2 done", "B 1 1 1-1", "E 1 1 1-1 done"],
        taken_over: &[(1, "1-1")],
        wrong: "",
        ..CLEAN
    },
    Case {
        what: "a failed entry is overtaken",
        records: &[
            "B 1 1 1-1",
            "E 1 1 1-1 failed",
            "B 1 1 1-2",
            "E 1 1 1-2 done",
            "B 1 2 1-1",
            "E 1 2 1-1 done",
        ],
        wrong: "overtook",
        ..CLEAN
    },
    Case {
        what: "a failed entry is overtaken, because another has it",
        records: &[
            "B 1 1 1-1",
            "E 1 1 1-1 failed",
            "B 1 1 1-2",
            "E 1 1 1-2 done",
            "B 2 2 1-1",
            "E 2 2 1-1 done",
        ],
        taken_over: &[(2, "1-1")],
        wrong: "",
        ..CLEAN
    },
    Case {
        what: "overlap",
        records: &["B 1 1 1-1", "B 1 1 1-2", "E 1 1 1-1 done", "E 1 1 1-2 done"],
        wrong: "of the same aggregate ran",
        ..CLEAN
    },
    Case {
        what: "side by side in two lives is allowed",
        records: &["B 1 1 1-1", "B 2 1 1-2", "E 1 1 1-1 done", "E 2 1 1-2 done"],
        wrong: "",
        ..CLEAN
    },
    Case {
        what: "done twice",
        records: &[
            "B 1 1 1-1",
            "E 1 1 1-1 done",
            "B 2 2 1-1",
            "E 2 2 1-1 done",
            "B 1 1 1-2",
            "E 1 1 1-2 done",
        ],
        wrong: "nothing explains it",
        ..CLEAN
    },
    Case {
        what: "done twice, because the first replica died",
        records: &[
            "B 1 1 1-1",
            "E 1 1 1-1 done",
            "B 2 2 1-1",
            "E 2 2 1-1 done",
            "B 2 1 1-2",
            "E 2 1 1-2 done",
            "B 1 1 9-9",
        ],
        killed: &[(1, 15)],
        wrong: "",
        ..CLEAN
    },
    Case {
        what: "done twice, and the death came long after",
        records: &[
            "B 1 1 1-1",
            "E 1 1 1-1 done",
            "B 2 2 1-1",
            "E 2 2 1-1 done",
            "B 2 1 1-2",
            "E 2 1 1-2 done",
            "B 1 1 9-9",
        ],
        killed: &[(1, 50_000)],
        wrong: "nothing explains it",
        ..CLEAN
    },
    Case {
        what: "done twice, because Redis was away",
        records: &[
            "B 1 1 1-1",
            "E 1 1 1-1 done",
            "B 2 2 1-1",
            "E 2 2 1-1 done",
            "B 1 1 1-2",
            "E 1 1 1-2 done",
        ],
        disturbed: Some((None, 10, 20)),
        wrong: "",
        ..CLEAN
    },
    Case {
        what: "a thawed replica begins what another has finished",
        records: &[
            "B 1 1 1-2",
            "E 1 1 1-2 done",
            "B 2 2 1-1",
            "E 2 2 1-1 done",
            "B 1 3 1-1",
            "E 1 3 1-1 done",
        ],
        disturbed: Some((Some(1), 15, 35)),
        wrong: "came back from its freeze",
        ..CLEAN
    },
    Case {
        what: "a count that forgets",
        records: &[
            "B 1 1 1-1",
            "E 1 1 1-1 failed",
            "B 1 1 1-1",
            "E 1 1 1-1 done",
            "B 1 1 1-2",
            "E 1 1 1-2 done",
        ],
        wrong: "calls were forgotten",
        ..CLEAN
    },
    Case {
        what: "a count that forgets, because the call was a probe",
        records: &[
            "B 1 1 1-1",
            "E 1 1 1-1 failed",
            "B 1 1 1-1",
            "E 1 1 1-1 done",
            "B 1 1 1-2",
            "E 1 1 1-2 done",
        ],
        probing: &[1],
        wrong: "",
        ..CLEAN
    },
    Case {
        what: "a count that charges too much",
        records: &["B 1 2 1-1", "E 1 2 1-1 done", "B 1 1 1-2", "E 1 1 1-2 done"],
        attempts_exact: true,
        wrong: "though nothing was disturbed",
        ..CLEAN
    },
    Case {
        what: "an exact count that forgets, because the call was a probe",
        records: &[
            "B 1 1 1-1",
            "E 1 1 1-1 failed",
            "B 1 1 1-1",
            "E 1 1 1-1 done",
            "B 1 1 1-2",
            "E 1 1 1-2 done",
        ],
        probing: &[1],
        attempts_exact: true,
        wrong: "",
        ..CLEAN
    },
    Case {
        what: "a count that charges too much beside probes",
        records: &["B 1 2 1-1", "E 1 2 1-1 done", "B 1 1 1-2", "E 1 1 1-2 done"],
        probing: &[1],
        attempts_exact: true,
        wrong: "though nothing was disturbed",
        ..CLEAN
    },
    Case {
        what: "kills that hit nothing",
        records: &["B 1 1 1-1", "E 1 1 1-1 done", "B 2 1 1-2", "E 2 1 1-2 done"],
        killed: &[(1, 30)],
        wrong: "proves too little",
        ..CLEAN
    },
];

const CLEAN: Case = Case {
    what: "",
    records: &[],
    killed: &[],
    disturbed: None,
    letters: &[],
    taken_over: &[],
    probing: &[],
    attempts_exact: false,
    wrong: "",
};

pub fn run(_: &'static str, _: Plan) -> Summary {
    let mut summary = Summary::default();
    for case in CASES {
        let found = judge(case);
        let right = match case.wrong {
            "" => found.is_empty(),
            wrong => found.len() == 1 && found[0].contains(wrong),
        };
        if !right {
            summary.violations.push(format!(
                "the checker says of \"{}\": {found:?}, and should say \"{}\"",
                case.what, case.wrong
            ));
        }
    }
    summary.notes.push(format!("{} cases", CASES.len()));
    summary
}

fn judge(case: &Case) -> Vec<String> {
    let records: Vec<String> = case
        .records
        .iter()
        .enumerate()
        .map(|(line, record)| {
            // kind life attempt id [outcome]
            if record.starts_with("torn: ") {
                return (*record).to_owned();
            }
            let words: Vec<&str> = record.split(' ').collect();
            let (ms, head, id) = (line * 10, words[1..3].join(" "), words[3]);
            let mut end = vec!["aggregate"];
            end.extend(&words[4..]);
            format!("{} {ms} {head} {id} {}{WHOLE}", words[0], end.join(" "))
        })
        .collect();
    let text = records.join("\n");
    let (calls, mut violations) = records::parse(&text);
    let lives = (1..=2)
        .map(|number| Life {
            number,
            seat: format!("replica-{number}"),
            end: Some(
                case.killed
                    .iter()
                    .find(|(life, _)| *life == number)
                    .map_or((Ending::Stopped(Some(0)), 100_000), |(_, at)| {
                        (Ending::Killed, *at)
                    }),
            ),
        })
        .collect();
    let id = |text: &str| -> EntryId { text.parse().expect("an entry id") };
    let evidence = Evidence {
        expected: ["1-1", "1-2"]
            .map(|text| Expected {
                id: id(text),
                event: "ok".to_owned(),
            })
            .to_vec(),
        letters: case
            .letters
            .iter()
            .map(|(text, reason)| Letter {
                id: id(text),
                reason: (*reason).to_owned(),
            })
            .collect(),
        calls,
        lives,
        disturbances: case
            .disturbed
            .map(|(life, from, to)| Disturbance { life, from, to })
            .into_iter()
            .collect(),
        taken_over: case
            .taken_over
            .iter()
            .map(|(life, text)| (*life, id(text)))
            .collect::<HashSet<_>>(),
        probing: case.probing.iter().copied().collect(),
    };
    let rules = Rules {
        attempts_exact: case.attempts_exact,
        ..Rules::default()
    };
    let mut summary = Summary::default();
    checker::check(&evidence, rules, &mut summary);
    violations.extend(summary.violations);
    violations
}
