//! sea-streamer: a hundred entries a read, each acknowledged by itself, written as more is read.

use std::env;
use std::time::Duration;

use sea_streamer_redis::{
    AutoCommit, AutoStreamReset, RedisConnectOptions, RedisConsumerOptions, RedisStreamer,
};
use sea_streamer_types::{
    Consumer as _, ConsumerGroup, ConsumerMode, ConsumerOptions as _, StreamKey, Streamer as _,
};

/// Entries of one read.
const COUNT: usize = 100;

fn main() {
    let words: Vec<String> = env::args().collect();
    let [_, host, port, group] = &words[..] else {
        panic!("host, port and group are missing");
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(drain(&format!("redis://{host}:{port}"), group));
}

async fn drain(url: &str, group: &str) {
    let mut connect = RedisConnectOptions::default();
    connect.set_message_field("payload");
    let streamer = RedisStreamer::connect(url.parse().expect("an address"), connect)
        .await
        .expect("connect");
    let mut options = RedisConsumerOptions::new(ConsumerMode::LoadBalanced);
    options
        .set_consumer_group(ConsumerGroup::new(group))
        .expect("a group");
    options.set_auto_stream_reset(AutoStreamReset::Earliest);
    options.set_auto_commit(AutoCommit::Rolling);
    // By default what was acknowledged last waits up to ten seconds, longer than all the rest takes.
    options.set_auto_commit_interval(Duration::from_millis(10));
    options.set_batch_size(COUNT);
    let stream = StreamKey::new("event-stream").expect("a stream");
    let consumer = streamer
        .create_consumer(&[stream], options)
        .await
        .expect("a consumer");
    loop {
        let message = consumer.next().await.expect("an entry");
        consumer.ack(&message).expect("acknowledge");
    }
}
