import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { until } from "../support/until.ts";
import { get, RawClient } from "./loopback.ts";
import { startGateway } from "./proxying.ts";

const KEPT = "Host: a.example\r\n";

/** An upstream on a thread of its own: behind each answer it writes another one as soon as it is told that nobody can look. */
const POISONER = `
const { parentPort, workerData } = require("node:worker_threads");
const { createServer } = require("node:net");
const flags = new Int32Array(workerData);
const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.on("data", (bytes) => {
    const name = /GET \\/(\\d+)/.exec(bytes.toString("latin1"))[1];
    socket.write("HTTP/1.1 200 OK\\r\\ncontent-length: " + name.length + "\\r\\n\\r\\n" + name);
    const wait = () => {
      if (Atomics.load(flags, 0) === 0) return void setImmediate(wait);
      socket.write("HTTP/1.1 200 OK\\r\\ncontent-length: 6\\r\\n\\r\\npoison", () => Atomics.store(flags, 1, 1));
    };
    setImmediate(wait);
  });
});
server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
`;

/** Stands still until the other answer lies on the idle connection. */
function standStill(flags: Int32Array): void {
  Atomics.store(flags, 0, 1);
  const end = performance.now() + 20_000;
  while (Atomics.load(flags, 1) === 0 && performance.now() < end);
  assert.equal(Atomics.load(flags, 1), 1, "the other answer was not sent while the loop stood still");
  const settled = performance.now() + 5;
  while (performance.now() < settled);
}

for (const when of ["before its connection was taken", "between that and the sending"] as const) {
  test(`an answer that nobody asked for never answers a request, also when it came while nobody could look, ${when}`, async (t) => {
    const rounds = Number(process.env["FREEHOLD_TEST_POISON"] ?? 100);
    const shared = new SharedArrayBuffer(8);
    const flags = new Int32Array(shared);
    const worker = new Worker(POISONER, { eval: true, workerData: shared });
    t.after(() => worker.terminate());
    const port = await new Promise<number>((resolve) => void worker.once("message", resolve));
    let block = false;
    const at = await startGateway(t, port, {
      change(_exchange, { headers }) {
        if (!block) return {};
        block = false;
        if (when.startsWith("before")) standStill(flags);
        else {
          const lines = headers.text();
          // asked for when there is a connection
          headers.text = () => (Atomics.load(flags, 0) === 0 && standStill(flags), lines);
        }
        return {};
      },
    });
    for (let i = 0; i < rounds; i++) {
      flags.fill(0);
      const client = new RawClient(at.port).send(`GET /${2 * i} HTTP/1.1\r\n${KEPT}\r\n`);
      await client.until(`\r\n\r\n${2 * i}`);
      await until("the connection is idle", () => at.pool.size().idle > 0);
      block = true;
      client.send(get(`/${2 * i + 1}`));
      const received = await client.closed;
      assert.ok(received.endsWith(`\r\n\r\n${2 * i + 1}`), `round ${i}: ${JSON.stringify(received)}`);
    }
    assert.deepEqual(at.failures, []);
  });
}
