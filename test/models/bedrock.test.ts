import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { guard, startFreehold } from "../support/freehold.ts";
import { until } from "../support/until.ts";
import { apiKey, lineOf, PRICES, putModels, startModels } from "./models-under-test.ts";
import { startBedrock } from "./scripted-bedrock.ts";

const API_KEY = "bedrock-api-key-QmFzZTY0";
const REGION = "eu-central-1";
const TEMPORARY = {
  accessKeyId: "ASIAEXAMPLE0EXAMPLE0",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  sessionToken: "FwoGZXIvYXdzEBYaDH+token/==",
  region: REGION,
  service: "bedrock",
};

const freehold = await startFreehold();
const main = await startModels(freehold);
const keyed = await startBedrock({ apiKey: API_KEY });
const signed = await startBedrock({ signed: TEMPORARY });
after(() => {
  keyed.close();
  signed.close();
});
const key = await apiKey(freehold, "a");
const openai = new OpenAI({ apiKey: key, baseURL: `${freehold.app.url}/v1`, maxRetries: 0 });
const anthropic = new Anthropic({ apiKey: key, baseURL: freehold.app.url, maxRetries: 0 });
const a = freehold.as(freehold.credentials.a.member);
const operator = freehold.trusted(freehold.platform.admin);

const ARGUMENTS = { city: "Rome", days: 3 };
const ENDED_WRONGLY = ["cut", "half", "throttled", "damaged"] as const;
const model = (name: string, provider = "bedrock"): object => ({ provider, model: name, prices: PRICES, outputTokensMax: 200 });
const providers = {
  main: { kind: "openai", baseUrl: main.url },
  bedrock: { kind: "bedrock", region: REGION, baseUrl: keyed.url },
  signing: { kind: "bedrock", region: REGION, baseUrl: signed.url, auth: "aws" },
};
await putModels(freehold, main.url, {
  providers,
  models: {
    nova: model("say-5"),
    "nova-tool": model(`tool-${Buffer.from(JSON.stringify(ARGUMENTS)).toString("base64url")}`),
    "nova-long": model("say-100"),
    "nova-stubborn": model("stubborn-200"),
    "nova-refusing": model("fail-400"),
    "nova-failing": model("fail-503"),
    ...Object.fromEntries(ENDED_WRONGLY.map((verb) => [verb, model(verb)])),
    "nova-signed": model("vendor.say-5:0", "signing"),
    gpt: model("say-3", "main"),
  },
  routes: { spare: { targets: [{ model: "nova-failing" }, { model: "gpt" }] } },
});
const setKey = async (name: string, value: string): Promise<number> =>
  (await operator.send("PUT", `/admin/v1/models/keys/${name}`, { json: { key: value } })).status;
const { accessKeyId, secretAccessKey, sessionToken } = TEMPORARY;
assert.equal(await setKey("bedrock", API_KEY), 204);
assert.equal(await setKey("signing", `${accessKeyId}:${secretAccessKey}:${sessionToken}`), 204);

const messages = [{ role: "user" as const, content: "Say something." }];
const parameters = { type: "object" as const, properties: { city: { type: "string" } } };

describe("models of Amazon Bedrock", () => {
  guard(freehold);

  test("answer a client of OpenAI as a whole, asked in their own protocol", async () => {
    const asking = openai.chat.completions.create({
      model: "nova",
      messages: [{ role: "developer", content: "Be short." }, ...messages],
      max_completion_tokens: 50,
      temperature: 0.5,
      stop: ["END"],
    });
    const { data, response } = await asking.withResponse();
    assert.equal(data.choices[0]?.message.content, "tok tok tok tok tok");
    assert.deepEqual([data.choices[0].finish_reason, data.usage?.completion_tokens], ["stop", 5]);
    const { path, headers, body } = keyed.asked.at(-1) ?? assert.fail();
    assert.equal(path, "/model/say-5/converse");
    for (const name of ["cookie", "x-tenant-id", "x-api-key", "x-tenant-context"]) assert.equal(headers[name], undefined);
    assert.deepEqual(body.system, [{ text: "Be short." }]);
    assert.deepEqual(body.messages, [{ role: "user", content: [{ text: "Say something." }] }]);
    assert.deepEqual(body.inferenceConfig, { maxTokens: 50, temperature: 0.5, stopSequences: ["END"] });
    assert.equal(response.headers.get("x-freehold-upstream-request-id"), "req-bedrock");
    const { outcome, source, protocol, input, output } = await lineOf(freehold, response.headers.get("x-request-id"));
    assert.deepEqual([outcome, source, protocol, input, output], ["ok", "reported", "chat-completions", data.usage?.prompt_tokens, 5]);
  });

  test("stream to a client of OpenAI, each piece as it comes", async () => {
    const asking = openai.chat.completions.create({ model: "nova", messages, stream: true, stream_options: { include_usage: true } });
    const { data, response } = await asking.withResponse();
    const pieces: string[] = [];
    const ends: unknown[] = [];
    let tokens: number | undefined;
    for await (const { choices, usage } of data) {
      const text = choices[0]?.delta.content ?? "";
      if (text !== "") pieces.push(text);
      if (choices[0]?.finish_reason) ends.push(choices[0].finish_reason);
      tokens = usage?.completion_tokens ?? tokens;
    }
    assert.deepEqual([pieces, ends, tokens], [["tok ", "tok ", "tok ", "tok ", "tok "], ["stop"], 5]);
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    assert.equal(keyed.asked.at(-1)?.path, "/model/say-5/converse-stream");
    const { outcome, source, output } = await lineOf(freehold, response.headers.get("x-request-id"));
    assert.deepEqual([outcome, source, output], ["ok", "reported", 5]);
  });

  test("answer a client of Anthropic, whole and streamed, with calls of tools", async () => {
    const whole = await anthropic.messages.create({ model: "nova", max_tokens: 50, messages });
    assert.deepEqual([whole.stop_reason, whole.usage.output_tokens, whole.content[0]?.type], ["end_turn", 5, "text"]);
    const tools = [{ name: "look_up", description: "Looks up.", input_schema: parameters }];
    const request = { model: "nova-tool", max_tokens: 50, messages, tools };
    for (const message of [await anthropic.messages.create(request), await anthropic.messages.stream(request).finalMessage()]) {
      const [call] = message.content;
      assert.ok(call?.type === "tool_use");
      assert.deepEqual([call.name, call.input, message.stop_reason], ["look_up", ARGUMENTS, "tool_use"]);
    }
    assert.deepEqual(keyed.asked.at(-1)?.body.toolConfig, {
      tools: [{ toolSpec: { name: "look_up", description: "Looks up.", inputSchema: { json: parameters } } }],
    });
  });

  test("are asked with signed requests where the key is one of AWS", async () => {
    for (const stream of [false, true]) {
      const reply = await a.post("/v1/chat/completions", { model: "nova-signed", messages, stream });
      assert.equal(reply.status, 200, `${reply.text} ${signed.problems.join()}`);
      assert.ok(reply.text.includes("tok"), reply.text);
    }
    assert.equal(signed.asked.at(-1)?.path, "/model/vendor.say-5%3A0/converse-stream");
    assert.equal(await setKey("signing", "only-one-part"), 204);
    const reply = await until("the key to be known everywhere", async () => {
      const refused = await a.post("/v1/chat/completions", { model: "nova-signed", messages });
      return refused.status === 200 ? undefined : refused;
    });
    assert.equal(reply.code, "invalid_settings");
    assert.ok(reply.text.includes("<access key id>:<secret access key>") && !reply.text.includes("only-one-part"), reply.text);
  });

  test("end a stream that ends wrongly with an error, and never as if it were whole", async () => {
    for (const verb of ENDED_WRONGLY) {
      const reply = await a.post("/v1/chat/completions", { model: verb, messages, stream: true });
      assert.equal(reply.status, 200);
      assert.ok(reply.text.includes('"error"') && !reply.text.includes("[DONE]"), `${verb}: ${reply.text}`);
      const { source, output } = await lineOf(freehold, reply.headers["x-request-id"]);
      assert.deepEqual([source, output > 0], ["counted", true], verb);
    }
  });

  test("keep to budgets: an answer is bounded by what is left, and a stream that goes on past it is ended", async () => {
    const budgetOf = async (limit: number, strict: boolean): Promise<void> => {
      const budgets = [{ name: `bedrock-${limit}`, unit: "tokens", per: "day", limit, strict }];
      assert.equal((await operator.send("PUT", "/admin/v1/tenants/a/models", { json: { document: { budgets } } })).status, 200);
    };
    await budgetOf(250, true);
    const bounded = await a.post("/v1/chat/completions", { model: "nova-long", messages, max_tokens: 200 });
    assert.equal(bounded.status, 200, bounded.text);
    const max = keyed.asked.at(-1)?.body.inferenceConfig?.maxTokens ?? 0;
    assert.ok(max > 0 && max < 200, String(max));
    await budgetOf(600, false);
    const asking = { model: "nova-stubborn", messages, max_tokens: 200, stream: true };
    let last = await a.post("/v1/chat/completions", asking);
    for (let at = 0; at < 4 && last.status === 200 && !last.text.includes("insufficient_quota"); at++)
      last = await a.post("/v1/chat/completions", asking);
    assert.equal(last.status, 200, last.text);
    assert.ok(last.text.includes("insufficient_quota") && !last.text.includes("[DONE]"), last.text);
    assert.equal((await lineOf(freehold, last.headers["x-request-id"])).outcome, "cut");
    await operator.send("PUT", "/admin/v1/tenants/a/models", { json: { document: {} } });
  });

  test("are left for another target when they fail, and their refusals are told in the caller's protocol", async () => {
    const reply = await a.post("/v1/chat/completions", { model: "spare", messages });
    assert.deepEqual([reply.status, reply.headers["x-freehold-model"]], [200, "gpt"], reply.text);
    await assert.rejects(anthropic.messages.create({ model: "nova-refusing", max_tokens: 50, messages }), Anthropic.BadRequestError);
  });

  test("need a region, which is said when the settings are saved", async () => {
    const document = { providers: { bedrock: { kind: "bedrock" } }, models: {}, plans: {} };
    const reply = await operator.send("PUT", "/admin/v1/models", { json: { document } });
    assert.deepEqual([reply.status, reply.text.includes("region of AWS")], [400, true], reply.text);
  });

  test("are asked as the platform does: with its credential, and nothing of the caller's", () => {
    assert.deepEqual([...keyed.problems, ...signed.problems], []);
  });
});
