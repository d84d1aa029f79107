import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { type Row, rounded } from "./bench.ts";
import type { Side } from "./gateway-peers.ts";

/** What is compared: the upstream asked directly and through Freehold, at the same fixed rate. */
export interface LatencyOrder {
  readonly upstream: number;
  readonly side: Side;
  readonly path: string;
  readonly credentials: string;
  readonly perSecond: number;
  readonly quick: boolean;
}

const CONNECTIONS = 64;
const ROUNDS = 3;
const TICK_MS = 1;
const HEAD_END = "\r\n\r\n";

/**
 * What Freehold adds to the 99th percentile when requests come at a fixed rate, whether or not the earlier ones are answered: each is
 * measured from the moment when it was due (no coordinated omission). Both ways are measured in turn; the row has the median difference.
 */
export async function addedLatency(ends: AsyncDisposableStack, order: LatencyOrder): Promise<Row> {
  const { upstream, side, path, perSecond, quick } = order;
  const credential = readFileSync(order.credentials, "utf8").split("\n")[0] ?? "";
  const seconds = quick ? 1 : 5;
  const direct = await openCallers(ends, upstream, `GET / HTTP/1.1\r\nhost: u\r\n${HEAD_END.slice(2)}`);
  const through = await openCallers(ends, side.port, `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${credential}\r\n\r\n`);
  const added: { p50: number; p99: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const a = await pace(direct, perSecond, seconds);
    const b = await pace(through, perSecond, seconds);
    added.push({ p50: b.p50 - a.p50, p99: b.p99 - a.p99 });
  }
  const middle = (pick: (one: { p50: number; p99: number }) => number): number =>
    added.map(pick).toSorted((x, y) => x - y)[1] ?? Number.NaN;
  return {
    name: "freehold-full-added-at-half-load",
    requestsPerS: rounded(perSecond),
    p50Ms: rounded(middle(({ p50 }) => p50)),
    p99Ms: rounded(middle(({ p99 }) => p99)),
  };
}

/** One connection; requests are pipelined only when an answer is late. */
interface Caller {
  readonly send: (dueMs: number) => void;
  readonly take: () => readonly number[];
}

async function openCallers(ends: AsyncDisposableStack, port: number, request: string): Promise<readonly Caller[]> {
  return await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const socket = connect(port, "127.0.0.1");
      await once(socket, "connect");
      socket.setNoDelay(true);
      ends.defer(() => void socket.destroy());
      return toCaller(socket, request);
    }),
  );
}

function toCaller(socket: Socket, request: string): Caller {
  const due: number[] = [];
  let waiting: number[] = [];
  let latencies: number[] = [];
  let text = "";
  let busy = false;
  const next = (): void => {
    const first = waiting.shift();
    busy = first !== undefined;
    if (first === undefined) return;
    due.push(first);
    socket.write(request);
  };
  socket.on("data", (piece: Buffer) => {
    text += piece.toString("latin1");
    for (;;) {
      const end = text.indexOf(HEAD_END);
      if (end === -1) return;
      if (!text.startsWith("HTTP/1.1 200 ")) throw new Error(`not 200: ${text.slice(0, 400)}`);
      const total = end + HEAD_END.length + Number(/content-length: (\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
      if (text.length < total) return;
      text = text.slice(total);
      latencies.push(performance.now() - (due.shift() ?? Number.NaN));
      next();
    }
  });
  return {
    send(dueMs) {
      waiting.push(dueMs);
      if (!busy) next();
    },
    take() {
      const taken = latencies;
      latencies = [];
      waiting = [];
      return taken;
    },
  };
}

async function pace(callers: readonly Caller[], perSecond: number, seconds: number): Promise<{ p50: number; p99: number }> {
  const startMs = performance.now();
  const total = Math.floor(perSecond * seconds);
  let sent = 0;
  await new Promise<void>((resolve) => {
    const tick = (): void => {
      const nowMs = performance.now();
      const dueCount = Math.min(total, Math.floor(((nowMs - startMs) / 1000) * perSecond));
      for (; sent < dueCount; sent++) callers[sent % callers.length]?.send(startMs + (sent * 1000) / perSecond);
      if (sent < total) setTimeout(tick, TICK_MS);
      else setTimeout(resolve, 200);
    };
    tick();
  });
  const sorted = Float64Array.from(callers.flatMap((caller) => [...caller.take()])).toSorted();
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}
