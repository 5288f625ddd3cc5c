// node-redis: a hundred entries a read, payload and headers parsed, one acknowledgement a read.
import { createClient } from "redis";

const [host, port, group] = process.argv.slice(2);
const client = createClient({ url: `redis://${host}:${port}` });
await client.connect();
for (;;) {
  const reply = await client.xReadGroup(group, "peer", [{ key: "event-stream", id: ">" }], {
    COUNT: 100,
    BLOCK: 1000,
  });
  if (!reply) continue;
  const entries = reply[0].messages;
  for (const { message } of entries) {
    JSON.parse(message.payload);
    JSON.parse(message.headers);
  }
  await client.xAck("event-stream", group, entries.map(({ id }) => id));
}
