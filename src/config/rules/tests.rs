//! Tables of cases on both sides of each limit.

use super::*;

#[test]
fn numbers_are_digits_within_both_bounds() {
    let rule: Integer<u16> = Integer::new(1, 65_535, "");
    for (text, value) in [
        ("0", None),
        ("1", Some(1)),
        ("65535", Some(65_535)),
        ("65536", None),
        ("00080", Some(80)),
        ("", None),
        ("+1", None),
        ("-1", None),
        (" 1", None),
        ("1 ", None),
        ("1.0", None),
        ("1e3", None),
        ("1_000", None),
        ("٣", None),
        ("99999999999999999999999999", None),
    ] {
        assert_eq!(rule.parse(text), value, "{text:?}");
    }
    assert_eq!(rule.allowed(), "1 to 65535");
    let rule: Integer<u8> = Integer::new(0, 1000, "entries").zero("means no bound");
    assert_eq!(rule.parse("256"), None, "never cut to the type's size");
    assert_eq!(rule.allowed(), "0 to 1000 entries; 0 means no bound");
}

#[test]
fn intervals_may_be_switched_off() {
    let rule = Interval { min: 100, max: 200 };
    for (text, value) in [
        ("0", Some(None)),
        ("99", None),
        ("100", Some(Some(Duration::from_millis(100)))),
        ("200", Some(Some(Duration::from_millis(200)))),
        ("201", None),
        ("off", None),
    ] {
        assert_eq!(rule.parse(text), value, "{text:?}");
    }
}

#[test]
fn delays_are_a_list_without_gaps() {
    let rule = DelayList {
        items_max: 3,
        ms_max: 50,
    };
    let ms = |values: &[u64]| {
        Some(
            values
                .iter()
                .copied()
                .map(Duration::from_millis)
                .collect::<Vec<_>>(),
        )
    };
    for (text, value) in [
        ("5", ms(&[5])),
        ("0,50,7", ms(&[0, 50, 7])),
        ("1, 2, 3", ms(&[1, 2, 3])),
        ("1,2,3,4", None),
        ("51", None),
        ("", None),
        (",", None),
        ("1,", None),
        (",1", None),
        ("1,,2", None),
        ("1;2", None),
        ("-1", None),
    ] {
        assert_eq!(rule.parse(text), value, "{text:?}");
    }
}

#[test]
fn words_are_exact_unless_any_case_will_do() {
    let exact = Choice {
        options: &[("true", true), ("false", false)],
        any_case: false,
    };
    for (text, value) in [
        ("true", Some(true)),
        ("false", Some(false)),
        ("True", None),
        ("1", None),
        ("yes", None),
        ("true ", None),
    ] {
        assert_eq!(exact.parse(text), value, "{text:?}");
    }
    let any = Choice {
        options: &[("INFO", 1), ("DEBUG", 2)],
        any_case: true,
    };
    assert_eq!(any.parse("debug"), Some(2));
    assert_eq!(any.parse("DeBuG"), Some(2));
    assert_eq!(any.parse("TRACE"), None);
    assert_eq!(any.allowed(), "INFO, DEBUG (in any case)");
}

#[test]
fn names_are_plain_and_not_too_long() {
    let rule = Name { length_max: 5 };
    for (text, good) in [
        ("a", true),
        ("a.b_:", true),
        ("A-9:x", true),
        ("abcdef", false),
        ("", false),
        ("a b", false),
        ("a/b", false),
        ("é", false),
        ("a\n", false),
        ("{a}", false),
    ] {
        assert_eq!(rule.parse(text).is_some(), good, "{text:?}");
    }
}

#[test]
fn lines_have_no_control_characters_and_secrets_may_have_all() {
    let line = Line { bytes_max: 6 };
    for (text, good) in [
        ("", false),
        ("prod", true),
        ("1.0+é", true),
        ("123456", true),
        ("1234567", false),
        ("a\nb", false),
        ("a\u{7f}", false),
        ("\u{85}", false),
    ] {
        assert_eq!(line.parse(text).is_some(), good, "{text:?}");
    }
    let secret = AnyText { bytes_max: 6 };
    for (text, good) in [
        ("", false),
        ("a\n:@/%", true),
        ("1234567", false),
        (" ", true),
    ] {
        assert_eq!(secret.parse(text).is_some(), good, "{text:?}");
    }
}

#[test]
fn hosts_are_names_addresses_or_sockets() {
    let host = |text: &str| Some(HostValue::Host(text.to_owned()));
    let socket = |text: &str| Some(HostValue::Socket(PathBuf::from(text)));
    let longest_path = format!("/{}", "p".repeat(106));
    let longest_name = format!("{}.b", "a".repeat(251));
    for (text, value) in [
        ("localhost", host("localhost")),
        ("redis.example.com", host("redis.example.com")),
        ("redis.example.com.", host("redis.example.com.")),
        ("my_redis-1", host("my_redis-1")),
        ("10.0.0.1", host("10.0.0.1")),
        ("::1", host("::1")),
        ("[::1]", host("::1")),
        ("/run/redis.sock", socket("/run/redis.sock")),
        (longest_path.as_str(), socket(&longest_path)),
        (&format!("{longest_path}p"), None),
        (longest_name.as_str(), host(&longest_name)),
        (&format!("{longest_name}b"), None),
        ("", None),
        ("/", None),
        (".", None),
        ("a..b", None),
        (".a", None),
        ("-a", None),
        ("a b", None),
        ("redis:6379", None),
        ("[10.0.0.1]", None),
        ("redis://localhost", None),
        ("user@host", None),
        ("a\n", None),
        ("é", None),
    ] {
        assert_eq!(Host.parse(text), value, "{text:?}");
    }
}

#[test]
fn listening_takes_addresses_only() {
    for (text, good) in [
        ("0.0.0.0", true),
        ("127.0.0.1", true),
        ("::", true),
        ("[::1]", true),
        ("localhost", false),
        ("1.2.3", false),
        ("1.2.3.4:80", false),
        ("", false),
    ] {
        assert_eq!(Address.parse(text).is_some(), good, "{text:?}");
    }
}

#[test]
fn a_stream_may_carry_a_hash_tag_but_no_stray_closing_brace() {
    let rule = StreamName { length_max: 10 };
    for (text, good) in [
        ("a", true),
        ("a.b:c_d-e", true),
        ("0123456789", true),
        ("0123456789a", false),
        ("", false),
        ("{a}", true),
        ("x:{a}:y", true),
        ("}{a}", true),
        ("{a}}", true),
        ("{{a}", true),
        ("a{b", true),
        ("a}b", false),
        ("{}", false),
        ("{}x", false),
        ("{}{a}", false),
        ("a}b{c", false),
        ("a b", false),
        ("a*", false),
    ] {
        assert_eq!(rule.parse(text).is_some(), good, "{text:?}");
    }
}

#[test]
fn a_stream_that_is_accepted_keeps_its_neighbours_in_its_slot() {
    // What decides the slot: the tag, or the whole key when there is none.
    let slot = |key: &str| hash_tag(key).unwrap_or(key).to_owned();
    let rule = StreamName { length_max: 10 };
    for text in ["a", "{a}", "x:{a}:y", "}{a}", "{a}}", "{{a}", "a{b"] {
        assert!(rule.parse(text).is_some());
        let beside = format!("weir:{{{}}}:group:cursor", slot(text));
        assert_eq!(slot(&beside), slot(text), "{text:?}");
    }
}

#[test]
fn time_zones_are_those_of_the_iana_database() {
    for (text, good) in [
        ("UTC", true),
        ("Europe/Sofia", true),
        ("America/Argentina/Buenos_Aires", true),
        ("Asia/Kathmandu", true),
        ("Mars/Olympus", false),
        ("Etc/Unknown", false),
        ("+02:00", false),
        ("", false),
        ("../../etc/passwd", false),
    ] {
        assert_eq!(Zone.parse(text).is_some(), good, "{text:?}");
    }
}

#[test]
fn a_group_starts_at_everything_nothing_or_an_id() {
    let after = |id: &str| Some(GroupStart::After(id.to_owned()));
    for (text, value) in [
        ("0", Some(GroupStart::Beginning)),
        ("0-0", Some(GroupStart::Beginning)),
        ("$", Some(GroupStart::End)),
        ("5", after("5-0")),
        ("1751154013653-7", after("1751154013653-7")),
        ("18446744073709551615-0", after("18446744073709551615-0")),
        ("18446744073709551616-0", None),
        (">", None),
        ("-", None),
        ("+", None),
        ("1-", None),
        ("", None),
        ("latest", None),
    ] {
        assert_eq!(StartId.parse(text), value, "{text:?}");
    }
}
