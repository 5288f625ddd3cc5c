//! Tests of the schedules file: what is taken, and the words for everything else.

use super::*;

const GOOD: &str = r#"{"name":"a","every":"10s","event":"tick","aggregateId":"one"}"#;
const PAYLOAD_MAX: usize = 100;

fn read(text: &str) -> Result<Vec<Schedule>, Vec<String>> {
    parse(text, PAYLOAD_MAX).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// The good schedule with a member more, or another one in its place.
fn with(member: &str, value: &str) -> String {
    let members: Members = serde_json::from_str(GOOD).unwrap();
    let kept: Vec<String> = members
        .iter()
        .filter(|(name, _)| *name != member)
        .map(|(name, text)| format!("{name:?}:{text}"))
        .collect();
    format!("[{{{},{member:?}:{value}}}]", kept.join(","))
}

/// What is said of the good schedule with this member.
fn said(member: &str, value: &str) -> Option<String> {
    match read(&with(member, value)) {
        Ok(_) => None,
        Err(problems) => Some(problems.join("\n")),
    }
}

#[test]
fn every_member_becomes_what_it_says() {
    let text = r#" [ {
        "name": "nightly.report", "cron": "0 30 3 * * *", "timeZone": "Europe/Sofia",
        "event": "report.due", "aggregateId": "reports/é",
        "payload": { "b": 1.0, "a": [ 18446744073709551616 ] },
        "headers": { "team": "billing" }, "enabled": false, "onMissed": "once"
    } ] "#;
    let schedules = read(text).unwrap();
    let [schedule] = schedules.as_slice() else {
        panic!("{schedules:?}")
    };
    assert_eq!(schedule.name, "nightly.report");
    assert_eq!(schedule.timing.zone().iana_name(), Some("Europe/Sofia"));
    assert_eq!(
        (schedule.enabled, schedule.on_missed),
        (false, OnMissed::Once)
    );
    assert_eq!(
        schedule.content,
        Content::Event(EventTemplate {
            event: "report.due".to_owned(),
            aggregate_id: "reports/é".to_owned(),
            payload: r#"{"b":1.0,"a":[18446744073709551616]}"#.to_owned(),
            headers: vec![("team".to_owned(), "billing".to_owned())],
        })
    );
}

#[test]
fn what_is_left_out_has_a_default() {
    let schedules = read(&format!("[{GOOD}]")).unwrap();
    let schedule = &schedules[0];
    assert!(matches!(schedule.timing, Timing::Every(ms) if ms.get() == 10_000));
    assert_eq!(
        (schedule.enabled, schedule.on_missed),
        (true, OnMissed::Skip)
    );
    let Content::Event(event) = &schedule.content else {
        panic!("{schedule:?}")
    };
    assert_eq!((event.payload.as_str(), event.headers.len()), ("null", 0));
    assert!(read("[]").unwrap().is_empty());
}

#[test]
fn every_rule_has_its_words() {
    for (member, value, words) in [
        (
            "name",
            "\"\"",
            "schedule number 1: name is not as it may be; allowed: 1 to 64 of A-Z a-z 0-9 . _ -",
        ),
        ("name", "\"a:b\"", "schedule number 1: name is not"),
        ("name", "7", "schedule number 1: name is not"),
        (
            "evry",
            "1",
            r#"schedule "a": "evry" is unknown; allowed: name, cron, every, timeZone, event"#,
        ),
        (
            "cron",
            "\"* * * * *\"",
            r#"schedule "a": every does not go together with cron"#,
        ),
        (
            "timeZone",
            "\"Europe/Sofia\"",
            r#"schedule "a": timeZone goes with cron; every counts from 1970 in UTC"#,
        ),
        (
            "every",
            "\"99ms\"",
            r#"schedule "a": every is not as it may be; allowed: a number and ms, s, m, h or d"#,
        ),
        ("every", "10000", r#"schedule "a": every is not"#),
        (
            "event",
            "\"a b\"",
            r#"schedule "a": event must be 1 to 128 of A-Z a-z 0-9 . _ : / @ + -"#,
        ),
        (
            "aggregateId",
            "\"a b\"",
            r#"schedule "a": aggregateId must be 1 to 255 bytes of printable text without white space"#,
        ),
        (
            "aggregateId",
            "null",
            r#"schedule "a": aggregateId must be a string"#,
        ),
        (
            "enabled",
            "\"true\"",
            r#"schedule "a": enabled is not as it may be; allowed: true, false"#,
        ),
        (
            "onMissed",
            "\"all\"",
            r#"schedule "a": onMissed is not as it may be; allowed: "skip", "once""#,
        ),
        (
            "headers",
            "[]",
            r#"schedule "a": headers must be an object"#,
        ),
        (
            "headers",
            r#"{"a":1}"#,
            r#"schedule "a": headers the value of "a" must be a string"#,
        ),
        (
            "headers",
            r#"{"Weir-Tick":"x"}"#,
            r#"schedule "a": headers has names that begin with weir-"#,
        ),
        (
            "headers",
            r#"{"a":"1","A":"2"}"#,
            r#"schedule "a": headers "A" stands twice"#,
        ),
    ] {
        let said = said(member, value).unwrap_or_else(|| panic!("{member} {value} is taken"));
        assert!(said.contains(words), "{member} {value}: {said}");
    }
}

#[test]
fn both_sides_of_every_limit() {
    let text = |length: usize| format!("\"{}\"", "x".repeat(length));
    let headers = |count: usize| {
        let pairs: Vec<String> = (0..count).map(|n| format!("\"h{n}\":\"\"")).collect();
        format!("{{{}}}", pairs.join(","))
    };
    let header = |name: usize, value: usize| format!("{{{}:{}}}", text(name), text(value));
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (member, taken, refused) in [
        ("name", text(64), text(65)),
        ("event", text(128), text(129)),
        ("aggregateId", text(255), text(256)),
        ("payload", text(98), text(99)),
        ("headers", headers(29), headers(30)),
        ("headers", header(1024, 1024), header(1025, 1)),
        ("headers", header(1, 0), header(0, 1)),
        ("headers", header(1, 1024), header(1, 1025)),
        ("every", "\"100ms\"".to_owned(), "\"99ms\"".to_owned()),
        ("every", "\"366d\"".to_owned(), "\"367d\"".to_owned()),
        ("every", "\"1m\"".to_owned(), "\"1\"".to_owned()),
        (
            "every",
            "\"31622400s\"".to_owned(),
            "\"99999999999999999999d\"".to_owned(),
        ),
    ] {
        assert_eq!(said(member, &taken), None, "{member}");
        let said = said(member, &refused);
        assert!(said.is_some(), "{member} {refused}");
    }
    let deep = |depth| parse(&with("payload", &nested(depth)), 1_000);
    assert!(deep(64).is_ok());
    assert!(
        deep(65).unwrap_err()[0]
            .to_string()
            .contains("is nested deeper than 64")
    );
}

#[test]
fn the_kind_of_timing_is_required_and_its_words_name_the_mistake() {
    let cron = |pattern: &str, more: &str| {
        read(&format!(
            r#"[{{"name":"a","cron":{pattern}{more},"event":"e","aggregateId":"1"}}]"#
        ))
    };
    assert!(cron("\"*/5 * * * * *\"", "").is_ok());
    for (pattern, more, words) in [
        ("\"* * *\"", "", "cron cannot be used: Invalid pattern"),
        (
            "\"0 0 30 2 *\"",
            "",
            "cron cannot be used: no such day ever comes",
        ),
        ("5", "", "cron is no text"),
        (
            "\"* * * * *\"",
            r#","timeZone":"Mars/Base""#,
            "timeZone is unknown; allowed: a time zone of the IANA",
        ),
        ("\"* * * * *\"", r#","timeZone":3"#, "timeZone is unknown"),
    ] {
        let problems = cron(pattern, more).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains(words), "{problems:?}");
    }
    let neither = read(r#"[{"name":"a","event":"e","aggregateId":"1"}]"#).unwrap_err();
    assert_eq!(neither, [r#"schedule "a": cron or every is required"#]);
}

#[test]
fn all_problems_of_all_schedules_are_reported() {
    let other = GOOD.replace("\"a\"", "\"b\"");
    let problems = read(&format!("[{GOOD},{other},{GOOD},7,{{}}]")).unwrap_err();
    assert_eq!(
        problems,
        [
            r#"schedule "a": name stands twice; allowed: once in the file"#,
            "schedule number 4: is not a JSON object",
            "schedule number 5: name is required; allowed: 1 to 64 of A-Z a-z 0-9 . _ -",
            "schedule number 5: cron or every is required",
            "schedule number 5: event is required",
            "schedule number 5: aggregateId is required",
        ]
    );
    let twice = GOOD.replace('{', r#"{"event":"x","#);
    let problems = read(&format!("[{twice}]")).unwrap_err();
    assert_eq!(problems, [r#"schedule "a": event is given twice"#]);
}

#[test]
fn the_file_as_a_whole_has_its_rules() {
    for (text, words) in [
        ("", "it is not JSON (line 1, column 0)"),
        ("[", "it is not JSON"),
        ("{}", "it is not an array of schedules"),
        ("[]]", "it is not JSON"),
    ] {
        let problems = read(text).unwrap_err();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with(words), "{problems:?}");
    }
    let many = |count: usize| {
        let all: Vec<String> = (0..count)
            .map(|n| GOOD.replace("\"a\"", &format!("\"a{n}\"")))
            .collect();
        read(&format!("[{}]", all.join(",")))
    };
    assert_eq!(many(SCHEDULES_MAX).unwrap().len(), SCHEDULES_MAX);
    assert_eq!(
        many(SCHEDULES_MAX + 1).unwrap_err(),
        ["it has 1001 schedules; allowed: at most 1000"]
    );
}
