//! Batches while Redis refuses, is cut off or dies: all or nothing, and no client is told what is not so.

use super::*;

#[test]
fn a_batch_that_redis_cannot_finish_leaves_nothing() {
    let redis = TestRedis::start();
    // Room for one more id, and no more.
    redis.run::<String>(&[
        "XADD",
        STREAM,
        "18446744073709551615-18446744073709551614",
        "a",
        "b",
    ]);
    let mut service = configured(&redis)
        .variable("GROUP_START", "$")
        .start_ready();
    let answer = post(service.port(), &[], &batch("order-1", 2));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(
        redis.length(STREAM),
        1,
        "the first of the two is gone again"
    );
}

#[test]
fn a_cut_reply_is_an_unknown_outcome_and_is_never_written_twice() {
    let redis = TestRedis::start();
    let proxy = TcpProxy::start(redis.port());
    let mut service = TestService::configure_at("127.0.0.1", proxy.port())
        .variable("API_KEY", KEY)
        .start_ready();
    let port = service.port();
    let once = ("Idempotency-Key", "k");
    let body = batch("order-1", 5);
    // The server learns the script first, so that the next write is one round trip.
    assert_eq!(post(port, &[], &batch("warm-up", 2)).status, 201);
    let mut unknown = 0;
    for attempt in 0..200 {
        if unknown == 3 {
            break;
        }
        let name = format!("try-{attempt}");
        // The publisher's reply or another thread's: whichever comes first is cut.
        let asked = std::thread::scope(|scope| {
            let client =
                scope.spawn(|| post(port, &[("Idempotency-Key", &name)], &batch(&name, 5)));
            proxy.set(Mode::CutReplyAfter(0));
            client.join().unwrap()
        });
        let count = || {
            let entries = redis.entries(STREAM);
            let ours = |entry: &&crate::support::redis_client::Entry| {
                entry.text("aggregateId").as_deref() == Some(&*name)
            };
            entries.iter().filter(ours).count()
        };
        match asked.status {
            201 => assert_eq!(count(), 5),
            503 if asked.json()["reason"] == "outcome-unknown" => {
                unknown += 1;
                assert!(matches!(count(), 0 | 5), "all or nothing: {}", count());
                // What the answer advises: the same key, again.
                wait_until("the repetition passes", SOON, || {
                    post(port, &[("Idempotency-Key", &name)], &batch(&name, 5)).status == 201
                });
                assert_eq!(count(), 5, "once, whatever became of the first");
            }
            _ => assert!(matches!(count(), 0), "{} {}", asked.status, asked.text()),
        }
    }
    assert_eq!(unknown, 3, "replies of the publisher were hardly ever cut");
    assert_eq!(post(port, &[once], &body).status, 201);
}

#[test]
fn a_redis_killed_in_the_middle_leaves_no_client_without_an_answer() {
    let mut redis = TestRedis::configure().append_only().start();
    let mut service = configured(&redis)
        .variable("PUBLISH_RATE", "0")
        .start_ready();
    let port = service.port();
    let answers: Vec<(String, Answer)> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|client| {
                scope.spawn(move || {
                    let mut answers = Vec::new();
                    for number in 0..40 {
                        let name = format!("{client}-{number}");
                        let answer = post(port, &[], &batch(&name, 20));
                        answers.push((name, answer));
                    }
                    answers
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        redis.kill();
        redis.restart();
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    let entries = redis.entries(STREAM);
    let count = |name: &str| {
        let ours = |entry: &&crate::support::redis_client::Entry| {
            entry.text("aggregateId").as_deref() == Some(name)
        };
        entries.iter().filter(ours).count()
    };
    let mut statuses = HashSet::new();
    for (name, answer) in answers {
        let found = count(&name);
        match answer.status {
            201 => assert_eq!(found, 20, "{name}"),
            503 if answer.json()["reason"] == "outcome-unknown" => {
                assert!(matches!(found, 0 | 20), "{found}");
            }
            503 => assert_eq!(found, 0, "{name}: {}", answer.text()),
            _ => panic!("{} {}", answer.status, answer.text()),
        }
        statuses.insert(answer.status);
    }
    assert!(statuses.contains(&201), "{statuses:?}");
    service.wait_ready();
    assert_eq!(post(port, &[], &event("after")).status, 201);
}
