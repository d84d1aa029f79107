import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, jsonSchema, streamText, tool } from "ai";
import OpenAI from "openai";
import { guard, startFreehold } from "../support/freehold.ts";
import { apiKey, lineOf, PRICES, PROVIDER_KEY, putModels, startModels } from "./models-under-test.ts";
import { startBedrock } from "./scripted-bedrock.ts";

const freehold = await startFreehold();
const provider = await startModels(freehold);
const bedrock = await startBedrock({ apiKey: PROVIDER_KEY });
after(() => bedrock.close());
const key = await apiKey(freehold, "a");
const baseURL = `${freehold.app.url}/v1`;
const openai = new OpenAI({ apiKey: key, baseURL, maxRetries: 0 });
const aiSdk = createOpenAI({ apiKey: key, baseURL });
const a = freehold.as(freehold.credentials.a.member);

const ARGUMENTS = { city: "Rome", days: 3 };
const model = (name: string, of: string): object => ({ provider: of, model: name, prices: PRICES, outputTokensMax: 200 });
const toolName = `tool-${Buffer.from(JSON.stringify(ARGUMENTS)).toString("base64url")}`;
await putModels(freehold, provider.url, {
  providers: {
    claude: { kind: "anthropic", baseUrl: provider.url },
    compatible: { kind: "openai-compatible", baseUrl: provider.url, auth: "bearer" },
    main: { kind: "openai", baseUrl: provider.url, cacheKey: "none" },
    bedrock: { kind: "bedrock", region: "eu-central-1", baseUrl: bedrock.url },
  },
  models: {
    claude: model("say-5", "claude"),
    "claude-tool": model(toolName, "claude"),
    "claude-half": model("half-5", "claude"),
    compatible: model("say-5", "compatible"),
    "compatible-tool": model(toolName, "compatible"),
    nova: model("say-5", "bedrock"),
    "nova-tool": model(toolName, "bedrock"),
    gpt: model("say-5", "main"),
    failing: model("fail-503", "main"),
  },
  routes: { spare: { targets: [{ model: "failing" }, { model: "claude" }] } },
});
for (const name of ["compatible", "bedrock"])
  await freehold.trusted(freehold.platform.admin).send("PUT", `/admin/v1/models/keys/${name}`, { json: { key: PROVIDER_KEY } });

const TEXT = "tok tok tok tok tok";
const parameters = { type: "object" as const, properties: { city: { type: "string" } }, additionalProperties: false };
const tools = [{ type: "function" as const, name: "look_up", description: "Looks up.", parameters, strict: null }];

describe("a client of Responses at models that do not speak it", () => {
  guard(freehold);

  for (const name of ["claude", "compatible", "nova"]) {
    test(`gets a whole answer (${name})`, async () => {
      const asking = openai.responses.create({ model: name, instructions: "Be short.", input: "Say something.", max_output_tokens: 50 });
      const { data, response } = await asking.withResponse();
      assert.deepEqual([data.object, data.status, data.model, data.output_text], ["response", "completed", name, TEXT]);
      assert.deepEqual([data.usage?.output_tokens, data.instructions], [5, "Be short."]);
      const { outcome, source, protocol, output } = await lineOf(freehold, response.headers.get("x-request-id"));
      assert.deepEqual([outcome, source, protocol, output], ["ok", "reported", "responses", 5]);
    });

    test(`gets a stream as it comes, whose events are one answer in order (${name})`, async () => {
      const stream = openai.responses.stream({ model: name, input: "Say something." });
      const types: string[] = [];
      const numbers: number[] = [];
      let text = "";
      for await (const event of stream) {
        types.push(event.type);
        numbers.push(event.sequence_number);
        if (event.type === "response.output_text.delta") text += event.delta;
      }
      assert.deepEqual(
        numbers,
        numbers.map((_, at) => at),
      );
      assert.equal(text.trim(), TEXT);
      assert.equal(types.filter((type) => type === "response.output_text.delta").length, 5);
      assert.deepEqual(
        types.filter((type) => type !== "response.output_text.delta"),
        [
          "response.created",
          "response.in_progress",
          "response.output_item.added",
          "response.content_part.added",
          "response.output_text.done",
          "response.content_part.done",
          "response.output_item.done",
          "response.completed",
        ],
      );
      const final = await stream.finalResponse();
      assert.deepEqual([final.output_text, final.usage?.output_tokens], [text, 5]);
    });

    test(`calls tools, whole and streamed, and gives back what they have said (${name})`, async () => {
      const request = { model: `${name}-tool`, input: "Where?", tools, tool_choice: "required" as const };
      for (const { output } of [await openai.responses.create(request), await openai.responses.stream(request).finalResponse()]) {
        const [call] = output;
        assert.ok(call?.type === "function_call");
        assert.deepEqual([call.name, JSON.parse(call.arguments), call.status], ["look_up", ARGUMENTS, "completed"]);
      }
      const { output } = await openai.responses.create(request);
      const [call] = output;
      assert.ok(call?.type === "function_call");
      const again = await openai.responses.create({
        model: name,
        tools,
        input: [{ role: "user", content: "Where?" }, call, { type: "function_call_output", call_id: call.call_id, output: "Sunny." }],
      });
      assert.equal(again.output_text, TEXT);
      const sent = JSON.stringify(name === "nova" ? bedrock.asked.at(-1)?.body.messages : provider.seen.at(-1)?.body["messages"]);
      assert.ok(sent.includes("Sunny.") && sent.includes(call.call_id) && sent.includes("look_up"), sent);
    });
  }

  test("says what it was asked with parts, files, a format and bounds", async () => {
    const picture = `data:image/png;base64,${Buffer.from("a picture").toString("base64")}`;
    const { status, incomplete_details: details } = await openai.responses.create({
      model: "compatible",
      input: [
        { role: "developer", content: "Be short." },
        {
          role: "user",
          content: [
            { type: "input_text", text: "What is it?" },
            { type: "input_image", image_url: picture, detail: "auto" },
          ],
        },
      ],
      text: { format: { type: "json_schema", name: "city", schema: parameters } },
      temperature: 0.5,
      max_output_tokens: 3,
    });
    assert.deepEqual([status, details], ["completed", null]);
    const { path, body } = provider.seen.at(-1) ?? assert.fail();
    assert.equal(path, "/v1/chat/completions");
    assert.deepEqual([body["temperature"], body["max_tokens"] ?? body["max_completion_tokens"]], [0.5, 3]);
    assert.deepEqual(body["messages"], [
      { role: "system", content: "Be short." },
      {
        role: "user",
        content: [
          { type: "text", text: "What is it?" },
          { type: "image_url", image_url: { url: picture } },
        ],
      },
    ]);
    const format = body["response_format"] as { type: string; json_schema: { name: string; schema: unknown } };
    assert.deepEqual([format.type, format.json_schema.name, format.json_schema.schema], ["json_schema", "city", parameters]);
  });

  test("is served through the AI SDK by what it asks of itself", async () => {
    for (const name of ["claude", "nova"]) {
      const whole = await generateText({ model: aiSdk(name), prompt: "Say something." });
      assert.deepEqual([whole.text, whole.finishReason, whole.usage.outputTokens], [TEXT, "stop", 5]);
      const streamed = streamText({ model: aiSdk(name), prompt: "Say something." });
      assert.equal((await streamed.text).trim(), TEXT);
      const { toolCalls } = await generateText({
        model: aiSdk(`${name}-tool`),
        prompt: "Where?",
        tools: { look_up: tool({ inputSchema: jsonSchema(parameters) }) },
      });
      assert.deepEqual(
        toolCalls.map(({ toolName: called, input }): [string, unknown] => [called, input]),
        [["look_up", ARGUMENTS]],
      );
    }
  });

  test("falls to a model that does not speak it, and back", async () => {
    const reply = await a.post("/v1/responses", { model: "spare", input: "x" });
    assert.deepEqual([reply.status, reply.headers["x-freehold-model"]], [200, "claude"], reply.text);
    assert.equal((await a.post("/v1/responses", { model: "gpt", input: "x" })).status, 200);
    assert.equal(provider.seen.at(-1)?.path, "/v1/responses");
  });

  test("is refused by name what a provider would have to remember or to do, and nothing is sent", async () => {
    const before = provider.seen.length;
    const strange: readonly [field: string, members: object][] = [
      ["previous_response_id", { previous_response_id: "resp_1" }],
      ["conversation", { conversation: "conv_1" }],
      ["tools.0.type", { tools: [{ type: "web_search" }] }],
      ["input.0.type", { input: [{ type: "item_reference", id: "msg_1" }] }],
      ["input.0.call_id", { input: [{ type: "function_call_output", call_id: "call_9", output: "x" }] }],
    ];
    for (const [field, members] of strange) {
      const reply = await a.post("/v1/responses", { model: "claude", input: "x", ...members });
      assert.deepEqual([reply.status, reply.json<{ error: { code: string } }>().error.code], [400, "malformed_request"], reply.text);
      assert.ok(reply.text.includes(field), reply.text);
    }
    assert.equal(provider.seen.length, before);
  });

  test("is told of a stream that breaks off by an error, and never by an end", async () => {
    const reply = await a.post("/v1/responses", { model: "claude-half", input: "x", stream: true });
    assert.ok(reply.text.includes("event: error") && !reply.text.includes("response.completed"), reply.text);
    assert.equal((await lineOf(freehold, reply.headers["x-request-id"])).outcome, "broken");
  });
});
