import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { inspect } from "node:util";
import { Fault, Secret } from "../../src/kernel/index.ts";
import { createOpenAiEmbedder, type Embedder, type EmbedderPorts, type OpenAiEmbedderSettings } from "../../src/stores/search/index.ts";
import { createEgress } from "../../src/wire/index.ts";

interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: { readonly model: string; readonly input: string[]; readonly encoding_format: string; readonly dimensions?: number };
}

type Reply = (received: Received) => { readonly status?: number; readonly body: string } | undefined;

const KEY = "sk-test-a-key-that-nobody-may-see";
const egress = createEgress({ policy: { loopback: true, ports: [443] } });
after(() => egress.close());

const ports: EmbedderPorts = {
  async post(url, headers, body, timeoutMs, bounds) {
    const answer = await egress.request("platform", { method: "POST", url, headers, body, timeoutMs, ...bounds });
    return { status: answer.status, bytes: await answer.bytes() };
  },
};

/** A real server with these replies; undefined is none at all. */
async function serve(reply: Reply): Promise<{ readonly url: string; readonly received: Received[] }> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Received["body"]; // the embedder's own request
      const whole = { path: request.url ?? "", headers: request.headers, body };
      received.push(whole);
      const answer = reply(whole);
      if (answer) response.writeHead(answer.status ?? 200, { "content-type": "application/json" }).end(answer.body);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo; // a listening TCP server has one
  return { url: `http://127.0.0.1:${port}/v1`, received };
}

function embedder(url: string, more: Partial<OpenAiEmbedderSettings> = {}): Embedder {
  return createOpenAiEmbedder({ url, model: "small", apiKey: new Secret(KEY), dimensions: 3, ...more }, ports);
}

/** A vector that tells from which text it is. */
function vectorOf(text: string): number[] {
  return [text.length, 1, 0];
}

const honest: Reply = ({ body }) => ({
  body: JSON.stringify({
    object: "list",
    data: body.input.map((text, index) => ({ object: "embedding", index, embedding: vectorOf(text) })),
  }),
});

function one(embedding: unknown, index: unknown = 0): Reply {
  return () => ({ body: JSON.stringify({ data: [{ index, embedding }] }) });
}

describe("the OpenAI-compatible embedder", () => {
  test("asks for floats of the model at /embeddings below the base address", async () => {
    for (const slash of ["", "/", "//"]) {
      const { url, received } = await serve(honest);
      await embedder(`${url}${slash}`).embed(["Hello"]);
      assert.deepEqual(received[0]?.body, { model: "small", input: ["Hello"], encoding_format: "float" });
      assert.equal(received[0]?.path, "/v1/embeddings");
      assert.equal(received[0]?.headers.authorization, `Bearer ${KEY}`);
    }
  });

  test("names model and dimensions in its own name, and asks for dimensions only where it is told to", async () => {
    const { url, received } = await serve(honest);
    const asking = embedder(url, { requestDimensions: true });
    await asking.embed(["Hello"]);
    assert.deepEqual([asking.name, received[0]?.body.dimensions], ["openai:small/3", 3]);
  });

  test("gives unit vectors in the order of the texts, however many and in whatever order they are answered", async () => {
    const { url, received } = await serve(({ body }) => ({
      body: JSON.stringify({ data: body.input.map((text, index) => ({ index, embedding: vectorOf(text) })).toReversed() }),
    }));
    const texts = Array.from({ length: 150 }, (_, at) => "x".repeat(at + 1));
    const vectors = await embedder(url).embed(texts);
    assert.deepEqual(
      received.map(({ body }) => body.input.length),
      [64, 64, 22],
    );
    for (const [at, vector] of vectors.entries()) {
      assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-6);
      assert.ok(Math.abs((vector[0] ?? 0) / (vector[1] ?? 0) - (at + 1)) < 1e-3, `text ${at}`);
    }
  });

  test("sends no text without content and gives it the zero vector", async () => {
    const { url, received } = await serve(honest);
    const vectors = await embedder(url).embed(["", "Hello", " \n"]);
    assert.deepEqual(
      received.map(({ body }) => body.input),
      [["Hello"]],
    );
    assert.deepEqual(
      vectors.map((vector) => Math.round(Math.hypot(...vector))),
      [0, 1, 0],
    );
    assert.deepEqual(await embedder(url).embed([""]), [new Float32Array(3)]);
    assert.equal(received.length, 1);
  });

  test("takes a zero vector and numbers of any size", async () => {
    assert.deepEqual(await embedder((await serve(one([0, 0, 0]))).url).embed(["x"]), [new Float32Array(3)]);
    const [large] = await embedder((await serve(one([1e308, 1e308, 0]))).url).embed(["x"]);
    assert.ok(Math.abs(Math.hypot(...(large ?? [])) - 1) < 1e-6);
  });

  const hostile: readonly (readonly [what: string, reply: Reply])[] = [
    ["no vector", () => ({ body: JSON.stringify({ data: [] }) })],
    [
      "a vector too many",
      ({ body }) => ({ body: JSON.stringify({ data: [...body.input, "x"].map((_, index) => ({ index, embedding: [1, 0, 0] })) }) }),
    ],
    ["the wrong index", one([1, 0, 0], 1)],
    ["a negative index", one([1, 0, 0], -1)],
    ["no index", one([1, 0, 0], null)],
    ["an index that is a text", one([1, 0, 0], "0")],
    ["too few dimensions", one([1, 0])],
    ["too many dimensions", one([1, 0, 0, 0])],
    ["something else than numbers", one([1, "0", null])],
    ["base64 instead of floats", one("AACAPwAAAAAAAAAA")],
    ["NaN", () => ({ body: '{"data":[{"index":0,"embedding":[NaN,0,0]}]}' })],
    ["a number beyond a double", () => ({ body: '{"data":[{"index":0,"embedding":[1e999,0,0]}]}' })],
    ["the same name twice", () => ({ body: '{"data":[],"data":[{"index":0,"embedding":[1,0,0]}]}' })],
    ["a list of nothing", () => ({ body: '{"data":[null]}' })],
    ["no object", () => ({ body: "[]" })],
    ["no JSON", () => ({ body: "<html>" })],
    ["nothing", () => ({ body: "" })],
    ["endless nesting", () => ({ body: "[".repeat(10_000) })],
    ["a huge body", () => ({ body: `{"data":[{"index":0,"embedding":[1,0,0]}],"more":"${"x".repeat(200_000)}"}` })],
    ["status 500", () => ({ status: 500, body: `{"error":{"message":"${KEY}"}}` })],
    ["status 401 with the key in it", () => ({ status: 401, body: `{"error":{"message":"Incorrect API key provided: ${KEY}"}}` })],
    ["a redirect", () => ({ status: 302, body: "" })],
  ];
  for (const [what, reply] of hostile) {
    test(`refuses an answer with ${what}, and tells nobody the key`, async () => {
      const { url } = await serve(reply);
      await assert.rejects(embedder(url).embed(["x"]), (error) => {
        assert.ok(error instanceof Fault);
        assert.equal(error.code, "upstream_invalid");
        assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(KEY));
        return true;
      });
    });
  }

  test("does not wait longer than its time limit", async () => {
    const { url } = await serve(() => undefined);
    await assert.rejects(embedder(url, { timeoutMs: 20 }).embed(["x"]), { code: "upstream_timeout" });
  });

  test("stops when the caller goes away", async () => {
    const away = new AbortController();
    const { url } = await serve(() => {
      away.abort(new Error("gone"));
      return undefined;
    });
    await assert.rejects(embedder(url).embed(["x"], away.signal), { message: "gone" });
  });

  test("says upstream_unreachable where nothing listens, and where a client fails in its own way keeps the key to itself", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as AddressInfo; // a listening TCP server has one
    await new Promise((resolve) => server.close(resolve));
    await assert.rejects(embedder(`http://127.0.0.1:${port}/v1`).embed(["x"]), { code: "upstream_unreachable" });
    const talkative: EmbedderPorts = { post: (_url, headers) => Promise.reject(new Error(JSON.stringify(headers))) };
    const broken = createOpenAiEmbedder({ url: "http://e.example/v1", model: "m", apiKey: new Secret(KEY), dimensions: 3 }, talkative);
    await assert.rejects(broken.embed(["x"]), (error) => {
      assert.ok(error instanceof Fault && error.code === "upstream_unreachable");
      assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(KEY));
      return true;
    });
  });

  test("refuses settings that cannot work", () => {
    const bad: Partial<OpenAiEmbedderSettings>[] = [
      { url: "ftp://e.example/v1" },
      { url: "e.example" },
      { url: "https://user:word@e.example/v1" },
      { url: "https://e.example/v1?key=1" },
      { model: "" },
      { dimensions: 0 },
      { dimensions: 5_000 },
    ];
    for (const settings of bad) assert.throws(() => embedder("https://e.example/v1", settings), { code: "invalid_settings" });
  });
});
