import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { until } from "../support/until.ts";
import { get, RawClient } from "./loopback.ts";
import { startGateway } from "./proxying.ts";

const KEPT = "Host: a.example\r\n";

/** An upstream on a thread of its own: when it is told that nobody can look, it writes another answer on every connection, then says so. */
const POISONER = `
const { parentPort, workerData } = require("node:worker_threads");
const { createServer } = require("node:net");
const flags = new Int32Array(workerData);
const sockets = new Set();
const server = createServer({ noDelay: true }, (socket) => {
  sockets.add(socket);
  socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  socket.on("data", (bytes) => {
    const name = /GET \\/(\\d+)/.exec(bytes.toString("latin1"))[1];
    socket.write("HTTP/1.1 200 OK\\r\\ncontent-length: " + name.length + "\\r\\n\\r\\n" + name);
  });
});
let told = 0;
const look = () => {
  setImmediate(look);
  const now = Atomics.load(flags, 0);
  if (now === told) return;
  told = now;
  let left = sockets.size;
  const written = () => --left === 0 && Atomics.store(flags, 1, now);
  for (const socket of sockets) socket.write("HTTP/1.1 200 OK\\r\\ncontent-length: 6\\r\\n\\r\\npoison", written);
};
look();
server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
`;

/** Stands still until the other answer lies on the idle connection. */
function standStill(flags: Int32Array): void {
  const round = Atomics.add(flags, 0, 1) + 1;
  const end = performance.now() + 20_000;
  while (Atomics.load(flags, 1) !== round && performance.now() < end);
  assert.equal(Atomics.load(flags, 1), round, "the other answer was not sent while the loop stood still");
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
          let stood = false;
          // asked for when there is a connection, and again for another one
          headers.text = () => {
            if (!stood) standStill(flags);
            stood = true;
            return lines;
          };
        }
        return {};
      },
    });
    for (let i = 0; i < rounds; i++) {
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
