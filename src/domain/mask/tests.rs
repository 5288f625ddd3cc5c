//! Both sides of every rule.

use super::*;
use proptest::prelude::*;

const RULES: Masking = Masking {
    aggregate_ids: AggregateIds::Full,
};

fn masked(text: &str) -> String {
    RULES.text(text).into_owned()
}

const JWT: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";

#[test]
fn passwords_in_urls_are_hidden_and_plain_urls_stay() {
    for (text, shown) in [
        (
            "redis://user:hunter2@host:6379/0",
            "redis://***@host:6379/0",
        ),
        ("rediss://:hunter2@host", "rediss://***@host"),
        (
            "at redis://u:p@h, at http://a:b@c/d",
            "at redis://***@h, at http://***@c/d",
        ),
        ("https://ghp_abc@github.com/x", "https://***@github.com/x"),
        ("redis://u:p@ss@host", "redis://***@host"),
        ("redis://u:pa/ss#w?rd@host", "redis://***@host"),
        ("redis://u:é日@host", "redis://***@host"),
        ("smtp://bob@x.com:pw@mail.x.com", "smtp://***@mail.x.com"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("http://host/path?x=1#y", "http://host/path?x=1#y"),
        ("://", "://"),
        ("redis://@host", "redis://@host"),
    ] {
        assert_eq!(masked(text), shown, "{text}");
    }
}

#[test]
fn bearer_tokens_and_jwts_are_hidden_and_sentences_stay() {
    for (text, shown) in [
        ("Bearer abc.def-1", "Bearer ***"),
        ("got bearer abcdef, then", "got bearer ***, then"),
        ("BEARER  a/b+c==", "BEARER  ***"),
        ("a bearer token is needed", "a bearer token is needed"),
        ("forbearer abc", "forbearer abc"),
        ("bearer", "bearer"),
        ("Basic dXNlcjpwYXNz", "Basic ***"),
        ("basic authentication failed", "basic authentication failed"),
        (JWT, "***"),
        (&format!("jwt {JWT}."), "jwt ***."),
        (&format!("x{JWT}"), "x***"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.", "***."),
        ("eyJ.abc", "eyJ.abc"),
        ("eyJhbGciOiJIUzI1NiJ9", "eyJhbGciOiJIUzI1NiJ9"),
        ("heyJude.mp3", "heyJude.mp3"),
    ] {
        assert_eq!(masked(text), shown, "{text}");
    }
}

#[test]
fn e_mail_addresses_are_hidden_and_versions_stay() {
    for (text, shown) in [
        ("bob@example.com", "***@***"),
        ("mail bob.b+x@mail.example.co.uk.", "mail ***@***."),
        ("<José@bücher.de>", "<***@***>"),
        ("user=bob%40example.com&x=1", "user=***@***&x=1"),
        ("a@b.com@c.org", "***@***@c.org"),
        ("weir@1.0.0", "weir@1.0.0"),
        ("order.created@v1", "order.created@v1"),
        ("root@localhost", "root@localhost"),
        ("@example.com", "@example.com"),
        ("bob@", "bob@"),
        ("bob@.com", "bob@.com"),
    ] {
        assert_eq!(masked(text), shown, "{text}");
    }
}

#[test]
fn card_numbers_are_hidden_and_ids_and_times_stay() {
    for (text, shown) in [
        ("4111111111111111", "***"),
        ("card 5555555555554444 charged", "card *** charged"),
        ("378282246310005", "***"),
        ("4222222222222", "***"),
        ("6304000000000000000", "***"),
        ("4111 1111 1111 1111", "*** *** *** ***"),
        ("4111-1111-1111-1111.", "***-***-***-***."),
        ("3782 822463 10005", "*** *** ***"),
        ("x4111111111111111y", "x***y"),
        ("1 4111111111111111", "1 ***"),
        ("4111111111111112", "4111111111111112"),
        ("411111111111111", "411111111111111"),
        ("41111111111111110000", "41111111111111110000"),
        ("4111  1111 1111 1111", "4111  1111 1111 1111"),
        ("1526919030474-0", "1526919030474-0"),
        ("1751154013653", "1751154013653"),
        ("0.4111111111111111", "0.4111111111111111"),
    ] {
        assert_eq!(masked(text), shown, "{text}");
    }
    // Of all milliseconds and microseconds of this decade none is taken for a card.
    for time in (1_700_000_000_000_u64..2_000_000_000_000).step_by(999_999_937) {
        assert!(!scan::is_card_number(&time.to_string()));
        assert!(!scan::is_card_number(&(time * 1000).to_string()));
    }
}

#[test]
fn values_behind_secret_names_in_text_are_hidden() {
    for (text, shown) in [
        ("password=hunter2", "password=***"),
        ("GET /x?token=abc&page=2", "GET /x?token=***&page=2"),
        ("REDIS_PW=hunter2 REDIS_DB=1", "REDIS_PW=*** REDIS_DB=1"),
        ("pw = hunter2;", "pw = ***;"),
        ("author=bob", "author=bob"),
        ("Authorization: Bearer abc", "Authorization: ***"),
        (
            "Authorization: Digest a=b, c=d\r\nHost: x",
            "Authorization: ***\r\nHost: x",
        ),
        ("authorization=Bearer abc x", "authorization=*** x"),
        ("Cookie: a=b; c=d", "Cookie: ***"),
        ("X-Api-Key: abc", "X-Api-Key: ***"),
        (
            "payload {\"password\":\"hunter2\",\"a\":1}",
            "payload {\"password\":\"***\",\"a\":1}",
        ),
        (
            "x {\"password\" : \"a\\\"b\", \"c\":2}",
            "x {\"password\" : \"***\", \"c\":2}",
        ),
        (
            "x {\\\"password\\\":\\\"hunter2\\\",\\\"a\\\":1}",
            "x {\\\"password\\\":\\\"***\\\",\\\"a\\\":1}",
        ),
        ("x {\"password\":\"hunter2", "x {\"password\":\"***"),
        ("x {\"token\":12345,\"b\":2}", "x {\"token\":***,\"b\":2}"),
        ("x {\"token\":null}", "x {\"token\":null}"),
        (
            "x {\"auth\":{\"a\":[1,\"}\"]},\"b\":2}",
            "x {\"auth\":***,\"b\":2}",
        ),
        (
            "Settings { password: \"hunter2\" }",
            "Settings { password: \"***\" }",
        ),
        (
            "Settings { password: Some(\"hunter2\") }",
            "Settings { password: *** }",
        ),
        ("token: hunter2", "token: ***"),
        (
            "cannot read the token: permission denied",
            "cannot read the token: permission denied",
        ),
        ("auth::login failed", "auth::login failed"),
        ("password", "password"),
        ("password=", "password="),
        ("='x'", "='x'"),
    ] {
        assert_eq!(masked(text), shown, "{text}");
    }
}

#[test]
fn json_in_text_is_hidden_at_any_depth() {
    for (text, shown) in [
        (r#"{"password":"hunter2"}"#, r#"{"password":"***"}"#),
        (r#"{"p\u0061ssword":"hunter2"}"#, r#"{"password":"***"}"#),
        (
            r#"{"password":"a","password":"***"}"#,
            r#"{"password":"***","password":"***"}"#,
        ),
        (
            r#"{"b":1,"a":[{"user":{"authToken":[1,2]}}]}"#,
            r#"{"b":1,"a":[{"user":{"authToken":"***"}}]}"#,
        ),
        (
            r#"{"payload":"{\"pw\":\"x\"}"}"#,
            r#"{"payload":"{\"pw\":\"***\"}"}"#,
        ),
        (r#""{\"pw\":\"x\"}""#, r#""{\"pw\":\"***\"}""#),
        (
            r#"{"pin":true,"auth":true,"token":null}"#,
            r#"{"pin":true,"auth":true,"token":null}"#,
        ),
        (r#"{"n":4111111111111111}"#, r#"{"n":"***"}"#),
        (r#"{"pw":1.5,"x":-2}"#, r#"{"pw":"***","x":-2}"#),
        (r#"["bob@example.com", 1]"#, r#"["***@***",1]"#),
        (r#"{"bob@example.com": []}"#, r#"{"***@***":[]}"#),
        (r#"{ "a" : "untouched" }"#, r#"{ "a" : "untouched" }"#),
        (r#"{"aggregateId":"bob"}"#, r#"{"aggregateId":"bob"}"#),
        ("[]", "[]"),
        ("{}", "{}"),
        ("{", "{"),
    ] {
        assert_eq!(masked(text), shown, "{text}");
    }
}

#[test]
fn json_deeper_than_the_bound_is_hidden_as_a_whole_and_fits_the_stack_of_our_threads() {
    std::thread::Builder::new()
        .stack_size(512 * 1024)
        .spawn(mask_deep_json)
        .expect("a test thread starts")
        .join()
        .expect("deep JSON is masked");
}

fn mask_deep_json() {
    let deep = format!("{}\"bob@example.com\"{}", "[".repeat(100), "]".repeat(100));
    let shown = masked(&deep);
    assert!(shown.contains("***") && !shown.contains("bob"));
    // Deeper than the parser goes: scanned as text.
    let deeper = format!("{}\"bob@example.com\"", "[".repeat(10_000));
    assert!(!masked(&deeper).contains("bob"));
    let mut nested = r#"{"password":"hunter2"}"#.to_owned();
    for _ in 0..8 {
        nested = serde_json::to_string(&serde_json::json!({ "a": nested })).expect("JSON");
    }
    assert!(!masked(&nested).contains("hunter2"), "{}", masked(&nested));
    let mut wide = "1".to_owned();
    for _ in 0..3 {
        let inner = serde_json::to_string(&wide).expect("JSON");
        wide = format!("{}{inner}{}", "[".repeat(40), "]".repeat(40));
    }
    let _ = masked(&wide);
}

#[test]
fn aggregate_ids_follow_the_setting_at_any_depth() {
    let text = r#"{"aggregateId":"order-1","a":[{"aggregateId":"order-1"}]}"#;
    let hashed = Masking {
        aggregate_ids: AggregateIds::Hash,
    };
    let off = Masking {
        aggregate_ids: AggregateIds::Off,
    };
    let hash_text = hash("order-1");
    assert_eq!(hash_text.len(), "sha256:".len() + 12);
    assert_ne!(hash_text, hash("order-2"));
    assert_eq!(hash(&hash_text), hash_text);
    assert_eq!(
        hashed.text(text),
        format!(r#"{{"aggregateId":"{hash_text}","a":[{{"aggregateId":"{hash_text}"}}]}}"#)
    );
    assert_eq!(off.text(text), r#"{"a":[{}]}"#);
    assert_eq!(hashed.treatment("aggregateId"), Treatment::Hash);
    assert_eq!(off.treatment("aggregateId"), Treatment::Omit);
    assert_eq!(off.treatment("aggregateIds"), Treatment::Show);
    assert_eq!(RULES.treatment("aggregateId"), Treatment::Show);
    assert_eq!(RULES.treatment("apiKey"), Treatment::Hide);
}

#[test]
fn what_is_no_json_comes_back_as_a_json_string() {
    assert_eq!(
        RULES.json("{\"pw\":1, \"a\": 2}"),
        "{\"pw\":\"***\",\"a\":2}"
    );
    assert_eq!(RULES.json("bob@example.com\n"), "\"***@***\\n\"");
}

#[test]
fn hostile_text_takes_linear_time() {
    for seed in [
        "://a:b/",
        "a@",
        "=",
        "pw:",
        "pw: ",
        "bearer ",
        "eyJ",
        "eyJaaaaaaaaaa.",
        "1-",
        "4111 ",
        "\\\"pw\\\":",
        "{\"pw\":{",
        "password:(",
        "a@b.",
        "%40",
        "\"",
        "pw=\\",
        "basic ",
        "1",
    ] {
        let text = seed.repeat(60_000 / seed.len());
        let started = std::time::Instant::now();
        let _ = RULES.text(&text);
        let _ = RULES.text(&format!("{{{text}"));
        // Quadratic time would be some 10^9 steps.
        assert!(started.elapsed().as_millis() < 1000, "{seed}");
    }
}

/// Text made of the pieces the rules look for, so that they meet in every order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "password",
            "token",
            "Authorization",
            "author",
            "x-api-key",
            "pw",
            "=",
            ":",
            "://",
            ": ",
            "@",
            "%40",
            "bearer ",
            "Basic ",
            "eyJhbGciOiJIUzI1NiJ9",
            ".",
            "4111111111111111",
            "4111 1111 1111 1111",
            "-",
            " ",
            "\"",
            "\\",
            "\\\"",
            "'",
            "{",
            "}",
            "[",
            "]",
            "(",
            ")",
            ",",
            ";",
            "&",
            "bob@example.com",
            "redis://u:p@h",
            "***",
            "null",
            "é",
            "\n",
            "1",
            "a.bc",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_map(String::from),
        "[a-z0-9]{1,4}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        pieces().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::vec((pieces(), inner.clone()), 0..4)
                .prop_map(|members| members.into_iter().collect::<serde_json::Value>()),
            inner.prop_map(|value| serde_json::Value::from(value.to_string())),
        ]
    })
}

proptest! {
    #[test]
    fn masking_twice_is_masking_once(text in pieces()) {
        let once = masked(&text);
        prop_assert_eq!(masked(&once), once);
    }

    #[test]
    fn masking_any_text_twice_is_masking_it_once(text in any::<String>()) {
        let once = masked(&text);
        prop_assert_eq!(masked(&once), once);
    }

    #[test]
    fn masked_json_is_json_and_masking_it_again_changes_nothing(value in json_value()) {
        let text = value.to_string();
        let once = RULES.json(&text);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&once).is_ok());
        let again = masked(&once);
        prop_assert_eq!(masked(&again), again);
    }

    #[test]
    fn a_secret_under_a_secret_name_never_shows(before in "[a-z ]{0,8}", after in "[ -~]{0,8}", secret in "[A-Za-z0-9]{12}") {
        let text = format!("{before}{{\"pw\":\"{secret}\",\"x\":\"{}\"}}", after.replace(['"', '\\'], ""));
        prop_assert!(!masked(&text).contains(&secret), "{}", masked(&text));
    }
}
