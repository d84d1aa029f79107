import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import OpenAI from "openai";
import { TextRewriter } from "../../src/models/meter/text-rewriter.ts";
import { temporaryFolder } from "../support/engines.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import type { Client, Reply } from "../support/freehold-client.ts";
import { apiKey, PROVIDER_KEY, startModels } from "./models-under-test.ts";
import { startProvider } from "./scripted-provider.ts";

const file = path.join(temporaryFolder(), "gateway.json");
writeFileSync(file, "{}");
const freehold = await startFreehold({ settings: { gateway: { file } } });
const provider = await startModels(freehold);
const a = freehold.as(freehold.credentials.a.member);
const b = freehold.trusted(freehold.credentials.b.member);
const admin = freehold.as(freehold.credentials.a.admin);

const PATH = "/v1/responses";
const ask = async (client: Client, json: object = {}): Promise<Reply> =>
  await client.post(PATH, { model: "small", input: "Say something.", ...json });

interface Ids {
  readonly response: string;
  readonly item: string;
}

/** The ids of a new answer as the tenant gets them. */
async function idsOf(client: Client): Promise<Ids> {
  const { id, output } = (await ask(client)).json<{ id: string; output: { id: string }[] }>();
  return { response: id, item: output[0]?.id ?? "" };
}

/** What uses an id; the provider knows all that it has ever made for the account. */
const WAYS: Readonly<Record<string, (ids: Ids) => object>> = {
  previous_response_id: ({ response }) => ({ previous_response_id: response }),
  "a reference to an item": ({ item }) => ({ input: [{ type: "item_reference", id: item }] }),
  "an item": ({ item }) => ({ input: [{ type: "message", role: "assistant", id: item, content: [{ type: "output_text", text: "x" }] }] }),
  "an approval": ({ item }) => ({ input: [{ type: "mcp_approval_response", approval_request_id: item, approve: true }] }),
  "a file": ({ item }) => ({ input: [{ role: "user", content: [{ type: "input_file", file_id: item }] }] }),
  "a container": ({ item }) => ({ tools: [{ type: "code_interpreter", container: item }] }),
  "files of a container": ({ item }) => ({ tools: [{ type: "code_interpreter", container: { type: "auto", file_ids: [item] } }] }),
  "a vector store": ({ item }) => ({ tools: [{ type: "file_search", vector_store_ids: [item] }] }),
  "a prompt": ({ item }) => ({ prompt: { id: item } }),
  conversation: ({ item }) => ({ conversation: item }),
  "the conversation's id": ({ item }) => ({ conversation: { id: item } }),
};
const RAW: Ids = { response: "resp_1", item: "msg_1" };

async function assertRefused(send: () => Promise<Reply>, about: string): Promise<void> {
  const before = provider.seen.length;
  const reply = await send();
  assert.deepEqual([reply.status, reply.code], [404, "not_found"], `${about}: ${reply.text}`);
  assert.equal(provider.seen.length, before, about);
}

describe("what a provider keeps for the platform's account", () => {
  guard(freehold);

  test("is reached by the tenant that was given its id, whatever uses it", async () => {
    const ids = await idsOf(a);
    assert.ok(ids.response.startsWith("resp_1.") && ids.item.startsWith("msg_1."), JSON.stringify(ids));
    for (const [about, way] of Object.entries(WAYS)) {
      const reply = await ask(a, way(ids));
      assert.equal(reply.status, 200, `${about}: ${reply.text}`);
      assert.partialDeepStrictEqual(provider.seen.at(-1)?.body, way(RAW), about);
    }
  });

  test("is not reached by another tenant, that has seen the id, or made it up", async () => {
    const ofB = await idsOf(b);
    const ofA = await idsOf(a);
    for (const [about, way] of Object.entries(WAYS)) {
      const forged = { response: `resp_1${ofA.item.slice(5)}`, item: `msg_1${ofA.response.slice(6)}` };
      for (const ids of [ofB, RAW, forged, { response: "", item: "." }, { response: ofA.response.slice(0, -1), item: `${ofA.item}A` }])
        await assertRefused(() => ask(a, way(ids)), `${about} ${JSON.stringify(ids)}`);
    }
  });

  test("is not reached by an id that only the provider's reader would see", async () => {
    const { item } = await idsOf(a);
    for (const body of [
      String.raw`{"model":"small","input":[{"type":"item_reference","\u0069d":"msg_1"}]}`,
      String.raw`{"model":"small","\u0069nput":[{"type":"item_reference","id":"msg\u005f1"}]}`,
      `{"model":"small","input":[{"type":"item_reference","id":"msg_1","id":${JSON.stringify(item)}}]}`,
      `{"model":"small","input":[{"type":"item_reference","id":${JSON.stringify(item)},"id":"msg_1"}]}`,
      `{"model":"small","input":[{"x":{"y":[1,"]}"]},"type":"item_reference","ID" : "msg_1"}]}`,
      `{"model":"small","Previous_Response_Id":"resp_1","input":"x"}`,
    ]) {
      await assertRefused(() => a.send("POST", PATH, { body, headers: { "content-type": "application/json" } }), body);
    }
  });

  test("has no other path", async () => {
    const { response } = await idsOf(a);
    for (const [method, target] of [
      ["GET", `${PATH}/${response}`],
      ["DELETE", `${PATH}/${response}`],
      ["GET", `${PATH}/${response}/input_items`],
      ["POST", "/v1/conversations"],
    ] as const) {
      assert.equal((await a.send(method, target)).status, 404, target);
    }
    assert.equal((await ask(a, { background: true })).code, "invalid_json");
  });

  test("is named so in every event of a stream too, and a client goes on with it", async () => {
    const ids = await idsOf(a);
    for (const model of ["small", "dripping"]) {
      const { text } = await ask(a, { model, stream: true });
      const found = [...text.matchAll(/"((?:resp|msg)_1[^"]*)"/g)].map(([, id]) => id);
      assert.ok(found.length > 6, text);
      assert.deepEqual(new Set(found), new Set([ids.response, ids.item]));
    }
    const client = new OpenAI({ apiKey: await apiKey(freehold, "a"), baseURL: `${freehold.app.url}/v1` });
    const stream = await client.responses.create({ model: "small", input: "x", stream: true });
    let last = "";
    for await (const event of stream) if (event.type === "response.completed") last = event.response.id;
    const next = await client.responses.create({ model: "small", input: "y", previous_response_id: last });
    assert.equal(next.status, "completed");
    assert.equal(provider.seen.at(-1)?.body["previous_response_id"], "resp_1");
  });

  test("leaves every other byte of requests and answers as it is", async () => {
    const { item } = await idsOf(a);
    const body = `{ "input" : [ {"type":"item_reference", "id" :${JSON.stringify(item)}} ],\n "metadata":{"id":"mine"}, "tools":[{"type":"function","name":"f","parameters":{"properties":{"id":{"default":"x"},"o":{"default":{"file_id":"y"}}}}}], "model":"say-3"}`;
    const reply = await a.send("POST", PATH, { body, headers: { "content-type": "application/json" } });
    assert.equal(reply.status, 200, reply.text);
    assert.equal(provider.seen.at(-1)?.text, body.replace(item, "msg_1"));
    const plain = reply.text.replaceAll(/\.[A-Za-z0-9_-]{22}"/g, '"');
    assert.ok(plain.startsWith('{"id":"resp_1","object":"response","created_at":1,'), plain);
  });

  test("is reached by a route of the gateway document under the same rule", async () => {
    const settings = {
      provider: "openai",
      auth: { header: { authorization: `Bearer ${PROVIDER_KEY}` } },
      override: { endpoint: new URL(provider.url).origin },
    };
    writeFileSync(file, JSON.stringify({ routes: [{ id: "ai", uri: "/ai/v1/responses", plugins: { "ai-proxy": settings } }] }));
    await freehold.app.reloadGateway();
    const send = async (credential: Readonly<Record<string, string>>, id: string): Promise<readonly [number, string]> => {
      const response = await fetch(`${freehold.app.url}/ai/v1/responses`, {
        method: "POST",
        headers: { ...credential, "content-type": "application/json" },
        body: JSON.stringify({ model: "say-3", input: "x", previous_response_id: id }),
      });
      return [response.status, await response.text()];
    };
    const { member } = freehold.credentials.a;
    const [status, text] = await send(member, (await idsOf(a)).response);
    assert.equal(status, 200, text);
    assert.match(text, /^\{"id":"resp_1\.[A-Za-z0-9_-]{22}"/);
    for (const id of ["resp_1", (await idsOf(b)).response]) assert.equal((await send(member, id))[0], 404);
  });

  test("is the tenant's own at its own provider, byte for byte", async () => {
    const own = await startProvider("sk-own-of-a");
    try {
      const document = {
        providers: { mine: { kind: "openai", baseUrl: own.url } },
        models: { "say-2": { provider: "mine" } },
      };
      assert.equal((await admin.send("PUT", "/tenant/v1/models", { json: { document } })).status, 200);
      await admin.send("PUT", "/tenant/v1/models/keys/mine", { json: { key: "sk-own-of-a" } });
      const body = '{"model":"say-2","input":[{"type":"item_reference","id":"msg_1"}],"conversation":"conv_1"}';
      const reply = await a.send("POST", PATH, { body, headers: { "content-type": "application/json" } });
      assert.equal(reply.status, 200, reply.text);
      assert.deepEqual([own.seen.at(-1)?.text, reply.json()["id"]], [body, "resp_1"]);
    } finally {
      await admin.send("PUT", "/tenant/v1/models", { json: { document: {} } });
      own.close();
    }
  });

  test("is found in JSON that comes in pieces of any size", () => {
    const json = String.raw`{"a":[{"id":"x\"\\","\u0069d":"é","n":{"id":null,"id":"y"}},"id"],"id":"","b":{"c":{},"id":"z"}} {"id":"\\"}`;
    const rewritten = (size: number): string => {
      const rewriter = new TextRewriter({
        takes: ({ name }) => name === "id",
        change: (text, { depth, top }) => `<${text}|${depth}${top}>`,
      });
      const bytes = Buffer.from(json);
      const made: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += size) made.push(rewriter.push(bytes.subarray(at, at + size)));
      return Buffer.concat([...made, rewriter.push(undefined)]).toString();
    };
    const whole = rewritten(json.length * 2);
    assert.equal(
      whole,
      String.raw`{"a":[{"id":"<x\"\\|3a>","\u0069d":"<é|3a>","n":{"id":null,"id":"<y|4a>"}},"id"],"id":"<|1id>","b":{"c":{},"id":"<z|2b>"}} {"id":"<\\|1id>"}`,
    );
    for (let size = 1; size < json.length; size++) assert.equal(rewritten(size), whole, String(size));
  });
});
