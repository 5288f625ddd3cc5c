// A service on Deno with Hono and node-redis 4: health over HTTP, and a loop that acknowledges each message without waiting for the answer.
import { Hono } from "hono";
import { createClient } from "redis-4";

const [host, port, group, count] = Deno.args;
const url = `redis://${host}:${port}`;
const consumer = createClient({ url });
const publisher = createClient({ url });
await Promise.all([consumer.connect(), publisher.connect()]);

const app = new Hono();
app.get("/health/live", (context) => context.text("OK"));
Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, app.fetch);

for (;;) {
  const streams = await consumer.xReadGroup(group, "peer", [{ key: "event-stream", id: ">" }], {
    COUNT: Number(count),
    BLOCK: 1000,
  });
  for (const stream of streams ?? []) {
    for (const { id, message } of stream.messages) {
      JSON.parse(message.payload);
      JSON.parse(message.headers);
      publisher.xAck("event-stream", group, id).catch(console.error);
    }
  }
}
