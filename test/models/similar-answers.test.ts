import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { guard, startFreehold } from "../support/freehold.ts";
import type { Client, Reply } from "../support/freehold-client.ts";
import { until } from "../support/until.ts";
import { startModels } from "./models-under-test.ts";

const freehold = await startFreehold();
const provider = await startModels(freehold);
const a = freehold.as(freehold.credentials.a.member);
const b = freehold.trusted(freehold.credentials.b.member);
const admins = { a: freehold.as(freehold.credentials.a.admin), b: freehold.trusted(freehold.credentials.b.admin) };
const operator = freehold.trusted(freehold.platform.admin);
const onlooker = freehold.trusted(freehold.platform.viewer, "admin");

const CHAT = "/v1/chat/completions";
const SIMILAR = { ttlMs: 600_000, similar: { model: "letters", threshold: 0.95 } };
const ASKED = "What is the capital of France?";
const LIKE = "What's the capital of France, please?";
const UNLIKE = "Zebras jump quickly over my fuzzy box.";

const system = { role: "system", content: "Answer in one word." };
const question = (text: string, more: object = {}): object => ({
  model: "small",
  messages: [system, { role: "user", content: text }],
  temperature: 0,
  ...more,
});

async function set(admin: Client, document: object): Promise<void> {
  const reply = await admin.send("PUT", "/tenant/v1/models", { json: { document } });
  assert.equal(reply.status, 200, reply.text);
}

/** Asks until the answer to exactly this is kept, and with it the question; gives the answer that was. */
async function kept(client: Client, json: object, path = CHAT): Promise<Reply> {
  return await until("the answer to be kept", async () => {
    const reply = await client.post(path, json);
    return reply.headers["x-freehold-cache"] === "hit" ? reply : undefined;
  });
}

/** How often the provider was asked for an answer meanwhile; embeddings are not counted. */
async function asked(work: () => Promise<Reply>): Promise<{ readonly reply: Reply; readonly count: number }> {
  const before = answersOf();
  const reply = await work();
  assert.equal(reply.status, 200, reply.text);
  return { reply, count: answersOf() - before };
}

function answersOf(): number {
  return provider.seen.filter(({ path }) => !path.endsWith("/embeddings")).length;
}

/** Not until an answer is kept is it given to a question that is like its own. */
async function likeHit(client: Client, json: object, path = CHAT): Promise<Reply> {
  return await until("the question to be kept", async () => {
    const reply = await client.post(path, json);
    return reply.headers["x-freehold-cache"] === "similar" ? reply : undefined;
  });
}

describe("answers to questions that are like one another", () => {
  guard(freehold);

  test("are not given unless the tenant wants them", async () => {
    await set(admins.a, { cache: { ttlMs: 600_000 } });
    await kept(a, question(ASKED, { seed: 1 }));
    const { reply, count } = await asked(() => a.post(CHAT, question(LIKE, { seed: 1 })));
    assert.deepEqual([reply.headers["x-freehold-cache"], count], [undefined, 1]);
    assert.ok(!provider.seen.some(({ path }) => path.endsWith("/embeddings")));
  });

  test("are given to a like question, not to another, and cost an embedding only", async () => {
    await set(admins.a, { cache: SIMILAR });
    const first = await kept(a, question(ASKED));
    const again = await likeHit(a, question(LIKE));
    assert.equal(again.text, first.text);
    const { count } = await asked(() => a.post(CHAT, question(LIKE)));
    assert.equal(count, 0);
    assert.equal((await asked(() => a.post(CHAT, question(UNLIKE)))).count, 1);
    const ledger = await until("the line of the answer", async () => {
      const { lines } = (await admins.a.get("/tenant/v1/models/ledger?limit=50")).json<{ lines: Record<string, unknown>[] }>();
      return lines.find(({ requestId }) => requestId === again.headers["x-request-id"]);
    });
    assert.deepEqual([ledger["outcome"], ledger["input"], ledger["cost"]], ["cached", 0, 0]);
    const { text } = await onlooker.get("/metrics");
    for (const result of ["hit", "similar", "miss"])
      assert.match(text, new RegExp(`^freehold_model_cache_total\\{tenant="a",model="small",result="${result}"\\} [1-9]`, "m"));
  });

  test("never cross tenants, whatever b asks in the words of a", async () => {
    await set(admins.a, { cache: SIMILAR });
    await set(admins.b, { cache: SIMILAR });
    for (const [owner, other, seed] of [
      [a, b, 20],
      [b, a, 30],
    ] as const) {
      for (const [at, text] of [ASKED, LIKE].entries()) {
        await kept(owner, question(ASKED, { seed: seed + at }));
        await likeHit(owner, question(LIKE, { seed: seed + at }));
        const { reply, count } = await asked(() => other.post(CHAT, question(text, { seed: seed + at })));
        assert.deepEqual([reply.headers["x-freehold-cache"], count], [undefined, 1], text);
      }
    }
  });

  test("need every other byte of the request to be the same, no tools, and no stream", async () => {
    await set(admins.a, { cache: SIMILAR });
    const base = question(ASKED, { seed: 4 });
    await kept(a, base);
    await likeHit(a, question(LIKE, { seed: 4 }));
    const user = { role: "user", content: LIKE };
    const tools = [{ type: "function", function: { name: "look_up", parameters: { type: "object" } } }];
    for (const other of [
      { model: "say-3" },
      { temperature: 1 },
      { user: "somebody" },
      { messages: [{ role: "system", content: "Answer in two words." }, user] },
      { messages: [system, { role: "user", content: "Hello." }, { role: "assistant", content: "Hello." }, user] },
      { messages: [system, { ...user, name: "somebody" }] },
      { messages: [system, user, { role: "assistant", content: "Par" }] },
      { tools },
      { stream: true },
    ]) {
      const { reply, count } = await asked(() => a.post(CHAT, question(LIKE, { seed: 4, ...other })));
      assert.deepEqual([reply.headers["x-freehold-cache"], count], [undefined, 1], JSON.stringify(other));
    }
    // tools are left out even where both have the same ones
    await kept(a, question(ASKED, { seed: 5, tools }));
    assert.equal((await asked(() => a.post(CHAT, question(LIKE, { seed: 5, tools })))).count, 1);
  });

  test("are given in the other protocol too, and not from one to the other", async () => {
    await set(admins.a, { cache: SIMILAR });
    const ask = (text: string): object => ({
      model: "haiku",
      max_tokens: 50,
      messages: [{ role: "user", content: [{ type: "text", text }] }],
    });
    const first = await kept(a, ask(ASKED), "/v1/messages");
    assert.equal((await likeHit(a, ask(LIKE), "/v1/messages")).text, first.text);
    assert.equal((await asked(() => a.post(CHAT, ask(LIKE)))).count, 1);
  });

  test("are looked for under the guardrails of now only", async () => {
    await set(admins.a, { cache: SIMILAR });
    await kept(a, question(ASKED, { seed: 6 }));
    await likeHit(a, question(LIKE, { seed: 6 }));
    await set(admins.a, { cache: SIMILAR, guardrails: { deny: { words: ["halibut"] } } });
    assert.equal((await asked(() => a.post(CHAT, question(LIKE, { seed: 6 })))).count, 1);
    assert.equal((await a.post(CHAT, question(`${LIKE} Halibut`, { seed: 6 }))).code, "content_refused");
  });

  test("hold nothing up when the model of embeddings cannot be asked", async () => {
    for (const model of ["nowhere", "failing", "unauthorised", "haiku"]) {
      await set(admins.a, { cache: { ...SIMILAR, similar: { model, threshold: 0.9 } } });
      const { reply, count } = await asked(() => a.post(CHAT, question(`${ASKED} ${model}`, { seed: 7 })));
      assert.equal(reply.headers["x-freehold-cache"], undefined, model);
      assert.ok(count >= 1);
    }
  });

  test("of a tenant that was suspended are gone when it is served again", async () => {
    await set(admins.b, { cache: SIMILAR });
    await kept(b, question(ASKED, { seed: 8 }));
    await likeHit(b, question(LIKE, { seed: 8 }));
    for (const verb of ["suspend", "resume"]) assert.equal((await operator.post(`/admin/v1/tenants/b/${verb}`, {})).status, 200);
    const { reply, count } = await asked(() => b.post(CHAT, question(LIKE, { seed: 8 })));
    assert.deepEqual([reply.headers["x-freehold-cache"], count], [undefined, 1]);
  });
});
