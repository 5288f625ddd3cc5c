// ioredis: a hundred entries a read, payload and headers parsed, one acknowledgement a read.
import { Redis } from "ioredis";

const [host, port, group] = process.argv.slice(2);
const redis = new Redis({ host, port: Number(port) });
for (;;) {
  const reply = await redis.xreadgroup(
    "GROUP", group, "peer", "COUNT", 100, "BLOCK", 1000, "STREAMS", "event-stream", ">",
  );
  if (!reply) continue;
  const entries = reply[0][1];
  for (const [, fields] of entries) {
    for (let place = 0; place < fields.length; place += 2) {
      if (fields[place] === "payload" || fields[place] === "headers") JSON.parse(fields[place + 1]);
    }
  }
  await redis.xack("event-stream", group, ...entries.map(([id]) => id));
}
