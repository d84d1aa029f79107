/** Program: passes TCP connections on to a port of this machine, everything later by the given milliseconds in each direction. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

const [targetPort = Number.NaN, delayMs = Number.NaN] = process.argv.slice(2).map(Number);

/** What waits, the oldest first: the delay is the same for all. */
const waiting: { readonly dueMs: number; readonly run: () => void }[] = [];
/** How often a caller began to speak after it had been answered, on all connections together. */
let turns = 0;

/** Timers count whole milliseconds, so what is due sooner is looked for all the time. */
function look(): void {
  const now = performance.now();
  for (let first = waiting[0]; first && first.dueMs <= now; first = waiting[0]) {
    waiting.shift();
    first.run();
  }
  if (waiting.length > 0) setImmediate(look);
}

function later(run: () => void): void {
  waiting.push({ dueMs: performance.now() + delayMs, run });
  if (waiting.length === 1) setImmediate(look);
}

function pass(from: Socket, to: Socket, onPiece: () => void): void {
  from.setNoDelay(true);
  from.on("data", (piece) => {
    onPiece();
    later(() => to.write(piece));
  });
  from.on("end", () => later(() => to.end()));
  from.on("error", () => to.destroy());
}

const server = createServer((caller) => {
  const upstream = connect(targetPort, "127.0.0.1");
  let asked = false;
  pass(caller, upstream, () => {
    if (!asked) turns++;
    asked = true;
  });
  pass(upstream, caller, () => {
    asked = false;
  });
});
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
process.on("message", () => process.send?.(turns));
process.on("disconnect", () => process.exit());
