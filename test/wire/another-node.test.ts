/**
 * The tests of the engine once more, on a Node whose inside is not as expected: none of its bindings can be had, and no socket has the places
 * of `onread`. What the engine does is the same then, by the streams of Node's public interface.
 */
import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";

const hidden = new Set(["kBuffer", "kBufferCb"]);
const { getOwnPropertySymbols } = Object;
Object.getOwnPropertySymbols = (of: object) => getOwnPropertySymbols(of).filter(({ description = "" }) => !hidden.has(description));
Object.assign(process, {
  binding(name: string): never {
    throw new Error(`no such binding: ${name}`);
  },
});

// only from here on: the engine looks when it is loaded
const { rawWriterOf, readInto } = await import("../../src/wire/http1/raw-socket.ts");
const { listenTcp } = await import("./loopback.ts");

test("another Node is met with its public interface", async (t) => {
  const port = await listenTcp(t, () => undefined);
  const socket = connect(port, "127.0.0.1");
  await new Promise((resolve) => void socket.once("connect", resolve));
  assert.equal(
    rawWriterOf(socket, () => undefined),
    undefined,
  );
  assert.equal(
    readInto(socket, () => undefined),
    false,
  );
  socket.destroy();
});

for (const room of [
  "forward",
  "upstream",
  "interim",
  "trailers",
  "http-server",
  "http-body",
  "http-connection",
  "http-refusal",
  "upstream-connection",
  "upstream-poison",
]) {
  await import(`./${room}.test.ts`);
}
