import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { temporaryFolder } from "../support/engines.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import type { Client, Reply } from "../support/freehold-client.ts";
import { apiKey, PRICES, PROVIDER_KEY, startModels } from "./models-under-test.ts";
import { KEPT, TRAP } from "./scripted-keeping.ts";
import { startProvider } from "./scripted-provider.ts";

const file = path.join(temporaryFolder(), "gateway.json");
writeFileSync(file, "{}");
const freehold = await startFreehold({ settings: { gateway: { file } } });
const model = (provider: string, name: string): object => ({ provider, model: name, prices: PRICES, outputTokensMax: 200 });
const provider = await startModels(freehold, {
  routes: {},
  models: {
    keeping: model("main", "keep-2"),
    claude: model("claude", "keep-2"),
    small: model("main", "say-2"),
    haiku: model("claude", "say-2"),
  },
});
const a = freehold.as(freehold.credentials.a.member);
const b = freehold.trusted(freehold.credentials.b.member);
const admin = freehold.as(freehold.credentials.a.admin);

interface Protocol {
  readonly target: string;
  readonly model: string;
  /** The smallest request whose answer says what was kept. */
  readonly request: object;
  readonly ids: readonly string[];
  /** What names something kept. */
  readonly ways: Readonly<Record<string, (id: string) => object>>;
  /** What looks like it, and is the caller's own or everybody's. */
  readonly free: Readonly<Record<string, object>>;
}

const user = (...content: readonly object[]): object => ({ role: "user", content });
const inChat = (content: object): object => ({ messages: [user(content)] });
const inMessages = (block: object): object => ({ messages: [user(block)] });
const schema = {
  type: "object",
  properties: { file_id: { type: "string", default: "x" } },
  examples: [{ file_id: "x", audio: { id: "x" } }],
};
const image = "https://example.com/a.png";
/** What a request has whose answer says what was kept. */
const spoken = { modalities: ["text" as const, "audio" as const], audio: { format: "wav" as const, voice: "alloy" } };
const running = [{ type: "code_execution_20250825" as const, name: "code_execution" as const }];

const PROTOCOLS: Readonly<Record<"chat" | "messages" | "responses", Protocol>> = {
  chat: {
    target: "/v1/chat/completions",
    model: "keeping",
    request: { messages: [{ role: "user", content: "Say something." }], ...spoken },
    ids: KEPT.chat,
    ways: {
      "a file": (id) => inChat({ type: "file", file: { file_id: id } }),
      "what the assistant has said": (id) => ({ messages: [{ role: "assistant", audio: { id } }, user()] }),
      "a voice": (id) => ({ audio: { format: "wav", voice: { id } } }),
      "a picture that was sent before": (id) => inChat({ type: "image_url", image_url: null, uuid: id }),
      "a cache of Gemini": (id) => ({ extra_body: { google: { cached_content: id } } }),
      "an index of Azure": (id) => ({ data_sources: [{ parameters: { index_name: id } }] }),
      "a base of knowledge": (id) => ({ tools: [{ type: "retrieval", retrieval: { knowledge_id: id } }] }),
      "blocks of a cache": (id) => ({ kv_transfer_params: { remote_engine_id: id } }),
      "a skill": (id) => ({ skills: [{ type: "custom", skill_id: id }] }),
    },
    free: {
      metadata: { metadata: { file_id: "x", container_id: "y" } },
      "the schema of a tool": { tools: [{ type: "function", function: { name: "f", parameters: schema } }] },
      "the schema of an answer": { response_format: { type: "json_schema", json_schema: { name: "n", schema } } },
      "a call of a tool": {
        messages: [
          {
            role: "assistant",
            tool_calls: [{ id: "call_1", type: "function", function: { name: "f", arguments: { file_id: "x", audio: { id: "y" } } } }],
          },
          { role: "tool", tool_call_id: "call_1", content: "x" },
        ],
      },
      pictures: inChat({ type: "image_url", image_url: { url: image } }),
      "pictures inside": inChat({ type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } }),
      "a voice of the provider's": { audio: { format: "wav", voice: "alloy" }, store: true },
    },
  },
  messages: {
    target: "/v1/messages",
    model: "claude",
    request: {
      max_tokens: 50,
      messages: [{ role: "user", content: "Say something." }],
      diagnostics: { previous_message_id: null },
      tools: running,
    },
    ids: KEPT.messages,
    ways: {
      "a document": (id) => inMessages({ type: "document", source: { type: "file", file_id: id } }),
      "a picture": (id) => inMessages({ type: "image", source: { type: "file", file_id: id } }),
      "a file for a container": (id) => inMessages({ type: "container_upload", file_id: id }),
      "a document that a tool has given": (id) =>
        inMessages({ type: "tool_result", tool_use_id: "t", content: [{ type: "document", source: { type: "file", file_id: id } }] }),
      "what code has made": (id) => ({
        messages: [
          { role: "assistant", content: [{ type: "bash_code_execution_tool_result", content: { content: [{ file_id: id }] } }] },
          user(),
        ],
      }),
      "what was cited": (id) => ({
        messages: [{ role: "assistant", content: [{ type: "text", text: "x", citations: [{ file_id: id }] }] }, user()],
      }),
      "a container": (id) => ({ container: id }),
      "a container with skills": (id) => ({ container: { id, skills: [{ type: "anthropic", skill_id: "pptx" }] } }),
      "a skill of somebody's": (id) => ({ container: { skills: [{ type: "custom", skill_id: id }] } }),
      "the answer before": (id) => ({ diagnostics: { previous_message_id: id } }),
    },
    free: {
      metadata: { metadata: { user_id: "x", file_id: "y" } },
      "the schema of a tool": { tools: [{ name: "f", input_schema: schema, input_examples: [{ file_id: "x" }] }] },
      "a call of a tool": {
        messages: [
          { role: "assistant", content: [{ type: "tool_use", id: "t", name: "f", input: { file_id: "x", source: { file_id: "y" } } }] },
          user({ type: "tool_result", tool_use_id: "t", content: "x" }),
        ],
      },
      "a skill of the provider's": { container: { skills: [{ type: "anthropic", skill_id: "pptx", version: "latest" }] } },
      "a server of tools": { mcp_servers: [{ type: "url", url: "https://mcp.example.com", name: "m", authorization_token: "t" }] },
    },
  },
  responses: {
    target: "/v1/responses",
    model: "keeping",
    request: { input: "Say something." },
    ids: KEPT.responses,
    ways: {
      "a skill": (id) => ({
        tools: [{ type: "shell", environment: { type: "container_auto", skills: [{ type: "skill_reference", skill_id: id }] } }],
      }),
      "a container of a shell": (id) => ({ tools: [{ type: "shell", environment: { type: "container_reference", container_id: id } }] }),
      "a tunnel": (id) => ({ tools: [{ type: "mcp", server_label: "s", tunnel_id: id }] }),
      "a connection of Azure": (id) => ({ tools: [{ type: "mcp", server_label: "s", project_connection_id: id }] }),
      "an agent of Azure": (id) => ({ agent_reference: { name: id } }),
      "an answer to compare with": (id) => ({ prompt_cache_options: { comparison_response_id: id } }),
      "an approval that was given": (id) => ({ input: [{ type: "mcp_call", approval_request_id: id }] }),
    },
    free: {
      metadata: { metadata: { file_id: "x" } },
      "the schema of a tool": { tools: [{ type: "function", name: "f", parameters: schema }] },
      "a namespace of tools": { tools: [{ type: "namespace", name: "n", tools: [{ type: "function", name: "f", parameters: schema }] }] },
      "a skill of the provider's": { tools: [{ type: "shell", environment: { skills: [{ skill_id: "openai-spreadsheets" }] } }] },
    },
  },
};

/** Addresses that lead into an account, or to files of its servers. */
const ADDRESSES = [
  "gs://bucket/of-somebody",
  "ms://file-1",
  "FILE:///etc/passwd",
  "https://generativelanguage.googleapis.com/v1beta/files/abc",
  "https://x@GenerativeLanguage.GoogleAPIs.com.:443/v1beta/files/abc",
];

const ask = async (client: Client, { target, model: name, request }: Protocol, json: object = {}): Promise<Reply> =>
  await client.post(target, { model: name, ...request, ...json });

/** Everything in a text that has the mark of some tenant, and what is behind it. */
function marked(text: string): ReadonlyMap<string, string> {
  return new Map([...text.matchAll(/"([a-z0-9_]+)\.[A-Za-z0-9_-]{22}"/g)].map(([whole, id = ""]) => [id, JSON.parse(whole) as string]));
}

async function assertRefused(protocol: Protocol, json: object, about: string): Promise<void> {
  const before = provider.seen.length;
  const reply = await ask(a, protocol, json);
  assert.deepEqual([reply.status, reply.code], [404, "not_found"], `${about}: ${reply.text}`);
  const { error, type } = reply.json<{ error: { type: string }; type?: string }>();
  const expected = protocol.target === "/v1/messages" ? ["error", "not_found_error"] : [undefined, "invalid_request_error"];
  assert.deepEqual([type, error.type], expected, about);
  assert.equal(provider.seen.length, before, about);
}

describe("what names something that a provider keeps for the platform's account", () => {
  guard(freehold);

  for (const [name, protocol] of Object.entries(PROTOCOLS)) {
    test(`is the tenant's in an answer of ${name}, whole and streamed, and nothing else is`, async () => {
      const sent = { metadata: { file_id: TRAP, item_id: TRAP, container_id: TRAP } };
      for (const stream of [false, true]) {
        const { status, text } = await ask(a, protocol, { stream, ...(name === "responses" && sent) });
        assert.equal(status, 200, text);
        assert.deepEqual([...marked(text).keys()].toSorted(), protocol.ids.toSorted(), text);
        if (name !== "chat") assert.ok(text.includes(`"${TRAP}"`), text);
      }
    });

    test(`is taken from the tenant that was given it, by ${name}`, async () => {
      const [id = ""] = marked((await ask(a, protocol)).text).values();
      for (const [about, way] of Object.entries(protocol.ways)) {
        const reply = await ask(a, protocol, way(id));
        assert.equal(reply.status, 200, `${about}: ${reply.text}`);
        assert.partialDeepStrictEqual(provider.seen.at(-1)?.body, way(protocol.ids[0] ?? ""), about);
      }
    });

    test(`is taken from nobody else, by ${name}`, async () => {
      const [ofA = ""] = marked((await ask(a, protocol)).text).values();
      const [ofB = ""] = marked((await ask(b, protocol)).text).values();
      for (const [about, way] of Object.entries(protocol.ways)) {
        for (const id of [ofB, protocol.ids[0] ?? "", TRAP, `${TRAP}${ofA.slice(-23)}`, "", "."])
          await assertRefused(protocol, way(id), `${about} ${id}`);
      }
    });

    test(`is not looked for in what is a caller's own, by ${name}`, async () => {
      for (const [about, json] of Object.entries(protocol.free)) {
        const reply = await ask(a, protocol, json);
        assert.equal(reply.status, 200, `${about}: ${reply.text}`);
        const { metadata, ...rest } = json as Readonly<Record<string, unknown>>;
        assert.partialDeepStrictEqual(provider.seen.at(-1)?.body, rest, about);
        assert.ok(metadata === undefined || provider.seen.at(-1)?.body["metadata"] !== undefined, about);
      }
    });
  }

  test("is not looked for in an answer that was not asked for it: raw it opens nothing", async () => {
    const messages = [{ role: "user", content: "Say something." }];
    for (const { target, model: name } of [PROTOCOLS.chat, PROTOCOLS.messages]) {
      for (const stream of [false, true]) {
        const { status, text } = await a.post(target, { model: name, max_tokens: 50, messages, stream });
        assert.deepEqual([status, marked(text).size], [200, 0], text);
      }
    }
  });

  test("is no address that leads into the account", async () => {
    for (const url of ADDRESSES) {
      await assertRefused(PROTOCOLS.chat, inChat({ type: "image_url", image_url: { url } }), url);
      await assertRefused(PROTOCOLS.chat, inChat({ type: "image_url", image_url: url }), url);
      await assertRefused(PROTOCOLS.responses, { input: [user({ type: "input_file", file_url: url })] }, url);
    }
  });

  test("is found however it is written", async () => {
    for (const [protocol, body] of [
      [
        PROTOCOLS.chat,
        String.raw`{"model":"keeping","messages":[{"role":"user","content":[{"type":"file","file":{"file\u005fid":"x"}}]}]}`,
      ],
      [PROTOCOLS.chat, `{"model":"keeping","messages":[{"role":"assistant","audio":{"ID":"x"}}]}`],
      [PROTOCOLS.messages, `{"model":"claude","max_tokens":5,"messages":[],"container":{"ID":"x"}}`],
      [PROTOCOLS.messages, `{"model":"claude","max_tokens":5,"messages":[{"content":[{"input":{},"source":{"file_id":"x"}}]}]}`],
    ] as const) {
      const before = provider.seen.length;
      const reply = await a.send("POST", protocol.target, { body, headers: { "content-type": "application/json" } });
      assert.deepEqual([reply.status, reply.code, provider.seen.length], [404, "not_found", before], body);
    }
  });

  test("is not counted for another tenant", async () => {
    const count = async (client: Client, id: string): Promise<number> => {
      const document = PROTOCOLS.messages.ways["a document"]?.(id);
      return (await client.post("/v1/messages/count_tokens", { model: "claude", ...document })).status;
    };
    const id = marked((await ask(a, PROTOCOLS.messages)).text).get("file_1") ?? "";
    const before = provider.seen.length;
    assert.deepEqual([await count(b, id), await count(a, "file_1")], [404, 404]);
    assert.equal(provider.seen.length, before);
    assert.equal(await count(a, id), 200);
    assert.ok(provider.seen.at(-1)?.text.includes('"file_1"'));
  });

  test("cannot be said to a provider of another protocol", async () => {
    const id = marked((await ask(a, PROTOCOLS.messages)).text).get("file_1") ?? "";
    const before = provider.seen.length;
    for (const [target, json] of [
      ["/v1/chat/completions", { ...inChat({ type: "file", file: { file_id: id } }), model: "haiku" }],
      [
        "/v1/chat/completions",
        {
          messages: [
            { role: "assistant", audio: { id } },
            { role: "user", content: "x" },
          ],
          model: "haiku",
        },
      ],
      ["/v1/messages", { max_tokens: 5, ...inMessages({ type: "document", source: { type: "file", file_id: id } }), model: "small" }],
      ["/v1/messages", { max_tokens: 5, messages: [{ role: "user", content: "x" }], container: id, model: "small" }],
    ] as const) {
      const reply = await a.post(target, json);
      assert.deepEqual([reply.status, reply.code], [400, "malformed_request"], reply.text);
    }
    assert.equal(provider.seen.length, before);
  });

  test("goes on in clients that exist", async () => {
    const key = await apiKey(freehold, "a");
    const openai = new OpenAI({ apiKey: key, baseURL: `${freehold.app.url}/v1`, maxRetries: 0 });
    const said = await openai.chat.completions.create({ model: "keeping", messages: [{ role: "user", content: "x" }], ...spoken });
    const { audio } = said.choices[0]?.message ?? {};
    const messages = [
      { role: "assistant" as const, audio: { id: audio?.id ?? "" } },
      { role: "user" as const, content: "y" },
    ];
    await openai.chat.completions.create({ model: "keeping", messages });
    assert.deepEqual(provider.seen.at(-1)?.body["messages"], [{ role: "assistant", audio: { id: "audio_1" } }, messages[1]]);
    const anthropic = new Anthropic({ apiKey: key, baseURL: freehold.app.url, maxRetries: 0 });
    const first = await anthropic.beta.messages
      .stream({ model: "claude", max_tokens: 50, messages: [{ role: "user", content: "x" }], tools: running })
      .finalMessage();
    await anthropic.beta.messages.create({
      model: "claude",
      max_tokens: 50,
      container: first.container?.id ?? "",
      messages: [
        { role: "assistant", content: first.content as Anthropic.Beta.BetaContentBlockParam[] },
        { role: "user", content: "y" },
      ],
    });
    const text = provider.seen.at(-1)?.text ?? "";
    assert.ok(text.includes('"container":"container_1"') && text.includes('"file_id":"file_1"') && marked(text).size === 0, text);
  });

  test("is so by a route of the gateway document too", async () => {
    const { origin } = new URL(provider.url);
    const header = { authorization: `Bearer ${PROVIDER_KEY}` };
    const routes = [
      {
        id: "chat",
        uri: "/ai/v1/chat/completions",
        plugins: { "ai-proxy": { provider: "openai", auth: { header }, override: { endpoint: origin } } },
      },
      {
        id: "messages",
        uri: "/ai/v1/messages",
        plugins: { "ai-proxy": { provider: "anthropic", auth: { header }, override: { endpoint: origin } } },
      },
    ];
    writeFileSync(file, JSON.stringify({ routes }));
    await freehold.app.reloadGateway();
    for (const protocol of [PROTOCOLS.chat, PROTOCOLS.messages]) {
      const send = async (json: object): Promise<readonly [number, string]> => {
        const response = await fetch(`${freehold.app.url}/ai${protocol.target}`, {
          method: "POST",
          headers: { ...freehold.credentials.a.member, "content-type": "application/json" },
          body: JSON.stringify({ model: "keep-2", ...protocol.request, ...json }),
        });
        return [response.status, await response.text()];
      };
      const [status, text] = await send({});
      assert.deepEqual([status, [...marked(text).keys()].toSorted()], [200, protocol.ids.toSorted()], text);
      const [raw = "", id = ""] = [...marked(text)][0] ?? [];
      for (const [about, way] of Object.entries(protocol.ways)) {
        const before = provider.seen.length;
        assert.equal((await send(way(raw)))[0], 404, about);
        assert.equal(provider.seen.length, before, about);
        assert.equal((await send(way(id)))[0], 200, about);
        assert.partialDeepStrictEqual(provider.seen.at(-1)?.body, way(raw), about);
      }
    }
  });

  test("is the tenant's own at its own provider, byte for byte", async () => {
    const own = await startProvider("sk-own-of-a");
    try {
      const document = {
        providers: { mine: { kind: "openai", baseUrl: own.url }, claudes: { kind: "anthropic", baseUrl: own.url } },
        models: { keeping: { provider: "mine", model: "keep-2" }, claude: { provider: "claudes", model: "keep-2" } },
      };
      assert.equal((await admin.send("PUT", "/tenant/v1/models", { json: { document } })).status, 200);
      for (const name of ["mine", "claudes"]) await admin.send("PUT", `/tenant/v1/models/keys/${name}`, { json: { key: "sk-own-of-a" } });
      for (const protocol of Object.values(PROTOCOLS)) {
        for (const [about, way] of Object.entries(protocol.ways)) {
          const { status, text } = await ask(a, protocol, way("raw-1"));
          assert.equal(status, 200, `${about}: ${text}`);
          assert.equal(marked(text).size, 0, about);
          assert.partialDeepStrictEqual(own.seen.at(-1)?.body, way("raw-1"), about);
        }
      }
    } finally {
      await admin.send("PUT", "/tenant/v1/models", { json: { document: {} } });
      own.close();
    }
  });
});
