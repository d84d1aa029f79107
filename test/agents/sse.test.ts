import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { parseSse, SSE_BOUNDS, type SseBounds, type SseEvent } from "../../src/agents/sse.ts";
import { Fault } from "../../src/kernel/index.ts";

async function* inPieces(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array, void, void> {
  let start = 0;
  for (const size of sizes) {
    yield bytes.subarray(start, start + size);
    start += size;
  }
  yield bytes.subarray(start);
}

/** What a reader sees: the events, and the code of the fault behind them if there is one. */
async function read(
  bytes: Uint8Array | string,
  sizes: readonly number[] = [],
  bounds?: SseBounds,
): Promise<{ events: SseEvent[]; fault?: string }> {
  const events: SseEvent[] = [];
  try {
    for await (const event of parseSse(inPieces(Buffer.from(bytes), sizes), bounds)) events.push(event);
  } catch (error) {
    assert.ok(error instanceof Fault);
    return { events, fault: error.code };
  }
  return { events };
}

function seedFor(t: { diagnostic(message: string): void }): number {
  const seed = Number(process.env["FC_SEED"] ?? randomInt(2 ** 31));
  t.diagnostic(`seed ${seed} (FC_SEED=${seed} repeats it)`);
  return seed;
}

test("events are read as the standard says", async () => {
  const cases: [string, SseEvent[]][] = [
    ["data: a\n\n", [{ name: "message", data: "a" }]],
    ["data:a\n\n", [{ name: "message", data: "a" }]],
    ["data:  a\n\n", [{ name: "message", data: " a" }]],
    ["data: a\ndata: b\n\n", [{ name: "message", data: "a\nb" }]],
    ["data\n\n", [{ name: "message", data: "" }]],
    ["event: x\ndata: a\n\n", [{ name: "x", data: "a" }]],
    ["event:\ndata: a\n\n", [{ name: "message", data: "a" }]],
    [": comment\n\nid: 1\nretry: 5\nunknown: x\n\n", []],
    ["data: a:b\n\n", [{ name: "message", data: "a:b" }]],
    ["\n\n\r\n\r\rdata: a\r\n\r\n", [{ name: "message", data: "a" }]],
    ["\uFEFFdata: a\n\n", [{ name: "message", data: "a" }]],
    ["data: \uFEFFa\n\n\uFEFFdata: b\n\n", [{ name: "message", data: "\uFEFFa" }]],
    ["data: unfinished\n", []],
  ];
  for (const [text, events] of cases) assert.deepEqual(await read(text), { events }, JSON.stringify(text));
});

test("an event with a name and no data counts", async () => {
  assert.deepEqual(await read("event: done\n\n"), { events: [{ name: "done", data: "" }] });
});

test("however the bytes of any stream are cut, a reader sees the same events and the same fault", async (t) => {
  const line = fc.oneof(
    fc.constantFrom("", "data: x", "data", "event: done", ": comment", "id: 7", "\uFEFFdata: y", "data: é漢😀"),
    fc.string({ unit: "binary", maxLength: 12 }).map((text) => `data:${text}`),
  );
  const text = fc.array(fc.tuple(line, fc.constantFrom("\n", "\r", "\r\n"))).map((lines) => Buffer.from(lines.flat().join("")));
  const broken = fc.tuple(text, fc.uint8Array({ maxLength: 4 }), text).map((parts) => Buffer.concat(parts));
  const bounds = { eventsMax: 6, eventBytesMax: 40 };
  await fc.assert(
    fc.asyncProperty(fc.oneof(text, broken), fc.array(fc.nat({ max: 9 }), { maxLength: 60 }), async (bytes, sizes) => {
      assert.deepEqual(await read(bytes, sizes, bounds), await read(bytes, [], bounds));
    }),
    { seed: seedFor(t), numRuns: 500 },
  );
});

test("what is written as events is read as these events, whatever the line ends", async (t) => {
  const data = fc.string({ unit: "grapheme", maxLength: 20 }).map((text) => text.replace(/[\r\n]/g, " "));
  const events = fc.array(
    fc.record({ name: fc.constantFrom("message", "done", "x"), data: fc.array(data, { minLength: 1, maxLength: 3 }) }),
  );
  await fc.assert(
    fc.asyncProperty(events, fc.constantFrom("\n", "\r", "\r\n"), async (list, end) => {
      const text = list.map((event) => [`event: ${event.name}`, ...event.data.map((part) => `data: ${part}`), "", ""].join(end)).join("");
      assert.deepEqual(await read(text), { events: list.map((event) => ({ name: event.name, data: event.data.join("\n") })) });
    }),
    { seed: seedFor(t), numRuns: 300 },
  );
});

test("as many events as allowed are read, and not one more", async () => {
  const allowed = "data: x\n\n".repeat(SSE_BOUNDS.eventsMax);
  assert.equal((await read(allowed)).events.length, SSE_BOUNDS.eventsMax);
  assert.deepEqual((await read(`${allowed}data: x\n\n`)).fault, "upstream_invalid");
});

test("an event larger than allowed is refused, be it one line, many lines or comments, with or without an end", async () => {
  const { eventBytesMax } = SSE_BOUNDS;
  const whole = `data:${"x".repeat(eventBytesMax - "data:\n\n".length)}\n\n`;
  assert.equal((await read(whole)).events.length, 1);
  for (const large of [
    `x${whole}`,
    "data: x\n".repeat(eventBytesMax / 8 + 1),
    ": x\n".repeat(eventBytesMax / 4 + 1),
    "x".repeat(eventBytesMax + 1),
  ]) {
    assert.deepEqual(await read(large), { events: [], fault: "upstream_invalid" });
  }
});

test("bytes that are not UTF-8 are refused behind the events before them", async () => {
  const bytes = Buffer.concat([Buffer.from("data: a\n\ndata: "), Buffer.from([0xc3, 0x28]), Buffer.from("\n\n")]);
  assert.deepEqual(await read(bytes), { events: [{ name: "message", data: "a" }], fault: "upstream_invalid" });
});
