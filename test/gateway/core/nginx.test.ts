import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { type Ending, startPlane, type TestPlane } from "../../support/data-plane.ts";
import { startNginx, type TestNginx } from "../../support/nginx.ts";

interface Mutations {
  readonly vectors: readonly { readonly id: string; readonly header: string }[];
}

const BIG = "x".repeat(300_000);
/** A second request inside the body of the first, for whoever takes the first to be shorter. */
const INNER = "GET /hello?inner HTTP/1.1\r\nHost: a.example\r\n\r\n";

describe("with nginx behind it", () => {
  let nginx: TestNginx;
  let plane: TestPlane;
  const closing: (() => Promise<void> | void)[] = [];
  const ending: Ending = { after: (close) => void closing.push(close) };

  before(async () => {
    nginx = await startNginx(`
      keepalive_requests 10000;
      location = /hello { default_type text/plain; return 200 "hello"; }
      location = /big { default_type text/plain; return 200 "${BIG.slice(0, 4_000)}"; }
      location = /empty { return 204; }
      location = /gone { return 301 /hello; }
      location = /short { client_max_body_size 10; proxy_pass http://127.0.0.1:1; }`);
    const upstream = { type: "roundrobin", nodes: { [`127.0.0.1:${nginx.port}`]: 1 } };
    plane = await startPlane(ending, { routes: [{ id: "all", uri: "/*", plugins: { "tenant-resolver": { required: false } }, upstream }] });
  });
  after(async () => {
    for (const close of closing.toReversed()) await close();
    await nginx.stop();
  });

  test("every kind of answer comes through as it was made, on connections that are kept", async () => {
    const answers = new Map<string, { status: number; length: number }>();
    for (const [method, target] of [
      ["GET", "/hello"],
      ["HEAD", "/hello"],
      ["GET", "/big"],
      ["GET", "/empty"],
      ["GET", "/gone"],
      ["POST", "/hello"],
    ] as const) {
      for (let round = 0; round < 20; round++) {
        const { status, text } = await plane.send(target, { method, ...(method === "POST" && { body: BIG }) });
        answers.set(`${method} ${target}`, { status, length: text.length });
      }
    }
    assert.deepEqual(answers.get("GET /hello"), { status: 200, length: 5 });
    assert.deepEqual(answers.get("HEAD /hello"), { status: 200, length: 0 });
    assert.deepEqual(answers.get("GET /big"), { status: 200, length: 4_000 });
    assert.deepEqual(answers.get("GET /empty"), { status: 204, length: 0 });
    assert.equal(answers.get("GET /gone")?.status, 301);
    assert.deepEqual(answers.get("POST /hello"), { status: 200, length: 5 });
  });

  test("a body that nginx refuses before it is complete is answered with its 413, and the next request is not harmed", async () => {
    for (let round = 0; round < 10; round++) {
      const { status } = await plane.send("/short", { method: "POST", body: BIG });
      assert.equal(status, 413);
      assert.equal((await plane.send("/hello")).text, "hello");
    }
  });

  test("one request of a caller is one request for nginx, however its framing was tampered with", async () => {
    const file = path.join(import.meta.dirname, "../../vectors/smuggling-te-mutations.json");
    const { vectors } = JSON.parse(readFileSync(file, "utf8")) as Mutations; // the file's shape
    const taken = await nginx.requests();
    let answered = 0;
    for (const { header } of vectors) {
      const head = `POST /hello HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Length: ${INNER.length + 5}\r\n${header}\r\n\r\n`;
      answered += count(await plane.raw(`${head}0\r\n\r\n${INNER}`));
    }
    for (const framing of ["Content-Length: 5\r\nContent-Length: 6", "Content-Length: +5", "Content-Length: 5,5", "Content-Length: 0x5"]) {
      answered += count(await plane.raw(`POST /hello HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n${framing}\r\n\r\n${INNER}`));
    }
    assert.equal((await nginx.requests()) - taken, answered);
  });

  test("requests in one packet are answered each once and in order", async () => {
    const taken = await nginx.requests();
    const one = (target: string, last: string): string => `GET ${target} HTTP/1.1\r\nHost: a.example\r\n${last}\r\n`;
    const text = await plane.raw(one("/hello", "") + one("/empty", "") + one("/big", "") + one("/hello", "Connection: close\r\n"));
    assert.deepEqual(
      [...text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status),
      ["200", "204", "200", "200"],
    );
    assert.equal((await nginx.requests()) - taken, 4);
  });
});

/** Answers of the upstream in what came back: those that the gateway did not refuse by itself. */
function count(text: string): number {
  return [...text.matchAll(/HTTP\/1\.1 200 /g)].length;
}
