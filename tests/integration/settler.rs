//! The settler's order of work, seen through its channels and a real Redis.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use weir::domain::entry_id::EntryId;
use weir::domain::event::Body;
use weir::domain::lanes::Order;
use weir::redis_io::keys::Keys;
use weir::runtime::bell::Bell;
use weir::runtime::board::Board;
use weir::runtime::post::Post;
use weir::threads::settler::{self, FromSettler, SettlerParts};
use weir::threads::shared::GroupMemory;

use crate::support::redis_client::STREAM;
use crate::support::{TestRedis, settings};

const GROUP: &str = "settling";
const NAME: &str = "me";
const SOON: Duration = Duration::from_secs(20);

/// The settler's parts and the ends that the dispatcher has.
fn parts(redis: &TestRedis) -> (SettlerParts, Sender<Order<Body>>, Receiver<FromSettler>) {
    // However slow the machine is, no lease is in a hurry.
    let settings = settings::of(redis, GROUP, &[("CLAIM_IDLE_MS", "3600000")]);
    let (orders_in, orders) = bounded(16);
    let (dispatcher, told) = bounded(1_000);
    let parts = SettlerParts {
        settings: Arc::new(settings),
        keys: Arc::new(Keys::new(STREAM, GROUP)),
        name: NAME.to_owned(),
        memory: GroupMemory::default(),
        orders,
        dispatcher: Post::new(dispatcher, &Bell::default()),
        board: Board::default(),
    };
    (parts, orders_in, told)
}

/// So many entries, pending for us.
fn pending(redis: &TestRedis, count: usize) -> Vec<EntryId> {
    pending_with(redis, count, 1)
}

/// The same, with one field of so many bytes.
fn pending_with(redis: &TestRedis, count: usize, bytes: usize) -> Vec<EntryId> {
    let add = "local ids, more = {}, string.rep('x', ARGV[2]) for i = 1, ARGV[1] do ids[i] = redis.call('XADD', KEYS[1], '*', 'event', 'e', 'aggregateId', 'a', 'more', more) end return ids";
    let (count, bytes) = (count.to_string(), bytes.to_string());
    let ids: Vec<String> = redis.run(&["EVAL", add, "1", STREAM, &count, &bytes]);
    redis.run::<()>(&["XGROUP", "CREATE", STREAM, GROUP, "0"]);
    let words = ["XREADGROUP", "GROUP", GROUP, NAME, "STREAMS", STREAM, ">"];
    redis.run::<redis::Value>(&words);
    ids.iter().map(|id| id.parse().unwrap()).collect()
}

/// What the settler tells until everything is answered, as letters: `R` for leases renewed, `A` for an acknowledgement, `C` for a count.
fn told_of(redis: &TestRedis, scripts: usize) -> String {
    let (parts, orders, told) = parts(redis);
    let ids = pending(redis, scripts * 500);
    // All of them are there when it begins.
    orders.send(Order::Renew(ids.clone())).unwrap();
    orders.send(Order::Acknowledge(vec![ids[0]])).unwrap();
    orders.send(Order::Count(vec![(ids[1], 2)])).unwrap();
    let thread = std::thread::spawn(move || settler::run(parts).is_ok());
    let mut letters = String::new();
    let mut renewed = 0;
    while renewed < ids.len() || letters.len() < scripts + 2 {
        match told.recv_timeout(SOON).unwrap() {
            FromSettler::Renewed { ids, .. } => {
                renewed += ids.len();
                letters.push('R');
            }
            FromSettler::Confirmed(ids) => letters.extend(ids.iter().map(|_| 'A')),
            FromSettler::Counted { ids, .. } => letters.extend(ids.iter().map(|_| 'C')),
            FromSettler::Joined(_) | FromSettler::CursorWritten(_) => {}
            other => panic!("{other:?}"),
        }
    }
    drop(orders);
    assert!(thread.join().unwrap());
    letters
}

#[test]
fn parked_entries_that_are_too_large_for_one_lot_come_in_several() {
    let redis = TestRedis::start();
    let (parts, orders, told) = parts(&redis);
    let ids = pending_with(&redis, 5, 3 * 1024 * 1024);
    orders.send(Order::Fetch(ids.clone())).unwrap();
    let thread = std::thread::spawn(move || settler::run(parts).is_ok());
    let (mut fetched, mut lots) = (Vec::new(), Vec::new());
    while fetched.len() < ids.len() {
        if let FromSettler::Fetched(lot) = told.recv_timeout(SOON).unwrap() {
            lots.push(lot.len());
            fetched.extend(lot.into_iter().map(|one| one.id));
        }
    }
    drop(orders);
    assert!(thread.join().unwrap());
    assert_eq!((lots, fetched), (vec![3, 2], ids));
}

#[test]
fn acknowledgements_and_counts_do_not_wait_for_all_renewals() {
    let redis = TestRedis::start();
    // The lease of the entry acknowledged is among those renewed first.
    assert_eq!(told_of(&redis, 4), "RACRRR");
}
