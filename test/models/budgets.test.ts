import assert from "node:assert/strict";
import { describe, test } from "node:test";
import OpenAI from "openai";
import type { App } from "../../src/cli/app.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import { until } from "../support/until.ts";
import { apiKey, PROVIDER_KEY, startModels } from "./models-under-test.ts";

const SEED = Number(process.env["FREEHOLD_TEST_SEED"] ?? Date.now() % 1_000_000);
/** How often random traffic is tried, each time with another seed. */
const ROUNDS = Number(process.env["FREEHOLD_TEST_ROUNDS"] ?? 1);
const freehold = await startFreehold();
const provider = await startModels(freehold);
const others: readonly App[] = [await freehold.second(), await freehold.second()];
const gateways = [freehold.app, ...others].map(({ url }) => url);
const operator = freehold.trusted(freehold.platform.admin);
const admin = freehold.as(freehold.credentials.a.admin);
const key = await apiKey(freehold, "a");
const messages = [{ role: "user", content: "Say something." }];

interface Budget {
  readonly name: string;
  readonly unit: "requests" | "tokens" | "money";
  readonly per: "minute" | "hour" | "day" | "month";
  readonly limit: number;
  readonly for?: string;
  readonly strict?: boolean;
}

let count = 0;
/** A budget that no test before has used. */
const fresh = (budget: Omit<Budget, "name">): Budget => ({ name: `budget-${++count}`, ...budget });

/** Gives tenant a these budgets and no others, and waits until every gateway knows them. */
async function give(...budgets: readonly Budget[]): Promise<void> {
  const reply = await operator.send("PUT", "/admin/v1/tenants/a/models", { json: { document: { models: [], budgets } } });
  assert.equal(reply.status, 200, reply.text);
  for (const { services } of [freehold.app, ...others]) {
    await until("every gateway to know the budgets", async () => {
      const tenant = await services.registry.find("a" as never);
      const known = tenant && (await services.models.catalogue(tenant)).budgets.map(({ name }) => name);
      return budgets.every(({ name }) => known?.includes(name));
    });
  }
}

interface Got {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

/** Begins a request and goes away when the first piece of the answer is there. */
async function leave(url: string, body: object): Promise<number> {
  const leaving = new AbortController();
  const { status, body: answer } = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}` },
    body: JSON.stringify({ messages, ...body }),
    signal: leaving.signal,
  });
  await answer?.getReader().read();
  leaving.abort();
  return status;
}

async function ask(url: string, body: object, credential = key): Promise<Got> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${credential}` },
    body: JSON.stringify({ messages, ...body }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

interface Use {
  readonly granted: number;
  readonly settled: number;
  readonly returned: number;
  readonly expired: number;
  readonly leased: number;
}

/** The books of a budget when nothing is on its way any more. */
async function settledUse(name: string): Promise<Use> {
  return await until(`budget ${name} to be settled`, async () => {
    const [row] = await freehold.sql<{ use: Use; live: boolean }>(
      `select jsonb_build_object('granted', sum(granted), 'settled', sum(settled), 'returned', sum(returned), 'expired', sum(expired), 'leased',
         (select coalesce(sum(amount), 0) from freehold.model_leases l where l.budget = $1)) as use,
         exists (select from freehold.model_leases l where l.budget = $1 and expires_at > now()) as live
       from freehold.model_use where budget = $1`,
      [name],
    );
    return row && !row.live && row.use.granted !== null ? row.use : undefined;
  });
}

interface Line {
  readonly request: string;
  readonly status: number;
  readonly outcome: string;
  readonly source: string;
  readonly input: number;
  readonly output: number;
  readonly cost: number;
}

/** What was written down for tenant a since then. */
async function linesSince(from: Date): Promise<readonly Line[]> {
  return await freehold.sql<Line & Record<string, unknown>>(
    `select request_id as request, l.status, outcome, source, input::int, output::int, cost::int
     from freehold.model_ledger l join freehold.tenants t on t.uuid = l.tenant_id where t.id = 'a' and at >= $1`,
    [from],
  );
}

describe("budgets of models", () => {
  guard(freehold);

  test("of one remaining request let one of 500 through that come at once to three gateways", async () => {
    const budget = fresh({ unit: "requests", per: "month", limit: 1 });
    await give(budget);
    const before = provider.billed.requests;
    const got = await Promise.all(Array.from({ length: 500 }, (_, at) => ask(gateways[at % gateways.length] ?? "", { model: "small" })));
    assert.equal(got.filter(({ status }) => status === 200).length, 1);
    assert.equal(provider.billed.requests - before, 1);
    const refused = got.find(({ status }) => status !== 200);
    assert.equal(refused?.status, 429);
    const { error } = JSON.parse(refused.text) as { error: Record<string, unknown> };
    assert.deepEqual([error["code"], error["type"], error["policy"]], ["insufficient_quota", "insufficient_quota", budget.name]);
    assert.equal(refused.headers.get("x-should-retry"), "false");
    const use = await settledUse(budget.name);
    assert.deepEqual([use.settled, use.granted], [1, 1 + use.returned + use.expired]);
  });

  test("of a minute say when to come back, and not longer than a minute", async () => {
    await give(fresh({ unit: "requests", per: "minute", limit: 0 }));
    const { status, text, headers } = await ask(freehold.app.url, { model: "small" });
    assert.deepEqual([status, (JSON.parse(text) as { error: { code: string } }).error.code], [429, "rate_limited"]);
    const waitMs = Number(headers.get("retry-after-ms"));
    assert.ok(waitMs > 0 && waitMs <= 60_000, `${waitMs}`);
  });

  test("are not used by what failed, was refused, or never had a model", async () => {
    const budget = fresh({ unit: "requests", per: "month", limit: 5 });
    await give(budget);
    for (const model of ["hopeless", "refusing", "nowhere", "unauthorised"])
      assert.notEqual((await ask(freehold.app.url, { model })).status, 200);
    assert.equal((await ask(freehold.app.url, { model: "small" })).status, 200);
    assert.equal((await settledUse(budget.name)).settled, 1);
  });

  test("bound an answer by what is left instead of refusing it", async () => {
    const budget = fresh({ unit: "tokens", per: "month", limit: 210 });
    await give(budget);
    const { status, text } = await ask(freehold.app.url, { model: "say-40", max_tokens: 5_000 });
    assert.equal(status, 200, text);
    const bound = Number(provider.seen.at(-1)?.body["max_tokens"]);
    assert.ok(bound > 0 && bound < 210, `max_tokens ${bound}`);
    assert.ok((await settledUse(budget.name)).settled <= 210);
  });

  test("of money are used at the price, and refuse a model without one", async () => {
    const budget = fresh({ unit: "money", per: "day", limit: 1 });
    await give(budget);
    const unpriced = await ask(freehold.app.url, { model: "unpriced" });
    assert.deepEqual([unpriced.status, (JSON.parse(unpriced.text) as { error: { policy: string } }).error.policy], [422, budget.name]);
    const { usage } = JSON.parse((await ask(freehold.app.url, { model: "say-3" })).text) as { usage: { prompt_tokens: number } };
    assert.equal((await settledUse(budget.name)).settled, usage.prompt_tokens * 2_000 + 3 * 8_000);
  });

  test("of money that an operator gives are not about a tenant's own provider, whose cost counts for the tenant's own", async () => {
    const [given, own] = [fresh({ unit: "money", per: "day", limit: 1 }), fresh({ unit: "money", per: "day", limit: 1 })];
    await give(given);
    const set = async (document: object): Promise<void> =>
      assert.equal((await admin.send("PUT", "/tenant/v1/models", { json: { document } })).status, 200);
    const providers = { mine: { kind: "openai-compatible", baseUrl: provider.url } };
    const mine = { provider: "mine", model: "say-3" };
    await set({ providers, models: { mine } });
    await admin.send("PUT", "/tenant/v1/models/keys/mine", { json: { key: PROVIDER_KEY } });
    assert.equal((await ask(freehold.app.url, { model: "mine" })).status, 200);
    await set({ providers, models: { mine }, budgets: [own] });
    assert.equal((await ask(freehold.app.url, { model: "mine" })).status, 422);
    const priced = { ...mine, prices: [{ from: "2026-01-01", input: 1, output: 5 }] };
    await set({
      providers,
      models: { mine: priced },
      routes: { both: { targets: [{ model: "mine" }, { model: "say-3" }] } },
      budgets: [own],
    });
    for (const model of ["mine", "both"]) {
      const { usage } = JSON.parse((await ask(freehold.app.url, { model })).text) as { usage: { prompt_tokens: number } };
      const times = model === "both" ? 2 : 1;
      assert.equal((await settledUse(`own:${own.name}`)).settled, times * (usage.prompt_tokens * 1_000 + 3 * 5_000));
    }
    assert.equal((await settledUse(given.name)).settled, 0);
    await set({});
  });

  test("end a stream that goes on past them, with what was used and an error that the client understands", async () => {
    const budget = fresh({ unit: "tokens", per: "month", limit: 190 });
    await give(budget);
    const client = new OpenAI({ apiKey: key, baseURL: `${freehold.app.url}/v1`, maxRetries: 0 });
    const stream = await client.chat.completions.create({
      model: "stubborn",
      messages: [{ role: "user", content: "Go on." }],
      stream: true,
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    await assert.rejects(
      async () => {
        for await (const chunk of stream) chunks.push(chunk);
      },
      (error: unknown) => error instanceof OpenAI.APIError && error.code === "insufficient_quota",
    );
    const words = chunks.filter(({ choices }) => choices[0]?.delta.content).length;
    assert.ok(words > 0 && words < 90, `${words} of 90 pieces came`);
    assert.ok((chunks.at(-1)?.usage?.completion_tokens ?? 0) >= words);
    const [line] = await freehold.sql<{ outcome: string }>("select outcome from freehold.model_ledger order by at desc limit 1");
    await settledUse(budget.name);
    assert.ok(line);
  });

  test("of a key, a user and a model are each one's own", async () => {
    const other = await apiKey(freehold, "a");
    await give(fresh({ unit: "requests", per: "month", limit: 1, for: "key" }));
    const statuses = [];
    for (const credential of [key, key, other, other]) statuses.push((await ask(freehold.app.url, { model: "small" }, credential)).status);
    assert.deepEqual(statuses, [200, 429, 200, 429]);
    await give(fresh({ unit: "requests", per: "month", limit: 1, for: "model" }));
    const byModel = [];
    for (const model of ["small", "small", "say-3"]) byModel.push((await ask(freehold.app.url, { model })).status);
    assert.deepEqual(byModel, [200, 429, 200]);
    const ofB = await ask(freehold.app.url, { model: "small" }, await apiKey(freehold, "b"));
    assert.equal(ofB.status, 200);
  });

  test("that a gateway has leased and never used are free again when the lease is over", async () => {
    const budget = fresh({ unit: "requests", per: "month", limit: 4 });
    await give(budget);
    assert.equal((await ask(freehold.app.url, { model: "small" })).status, 200);
    await settledUse(budget.name);
    // a gateway that died with everything that was left
    await freehold.sql(
      `with left_over as (update freehold.model_use set granted = granted + 3 where budget = $1 returning *)
       insert into freehold.model_leases select tenant_id, budget, subject, period, gen_random_uuid(), 3, now() + interval '1 hour' from left_over`,
      [budget.name],
    );
    assert.equal((await ask(freehold.app.url, { model: "small" })).status, 429);
    await freehold.sql("update freehold.model_leases set expires_at = now() - interval '1 second' where budget = $1", [budget.name]);
    const again = await until("the units to be free", async () => {
      const { status } = await ask(freehold.app.url, { model: "small" });
      return status === 200 ? status : undefined;
    });
    assert.equal(again, 200);
    const use = await settledUse(budget.name);
    assert.deepEqual([use.settled, use.expired, use.granted], [2, 3, use.settled + use.returned + use.expired]);
  });

  for (let round = 0; round < ROUNDS; round++) {
    const seed = SEED + round;
    test(`are exact under random traffic with faults at three gateways (seed ${seed})`, () => isExact(seed));
  }
});

/** Answers whole and streamed, tries that fail, answers that break off or say what cannot be, and callers who leave: every unit is in the books once. */
async function isExact(seed: number): Promise<void> {
  // a budget that is not strict may be passed by what was denser than estimated, which is what whoever learns first meets
  const tokens = fresh({ unit: "tokens", per: "month", limit: 7_000, strict: true });
  const money = fresh({ unit: "money", per: "month", limit: 0.03, strict: true });
  await give(tokens, money);
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
  const from = new Date();
  const billedBefore = new Set(provider.billed.byRequest.keys());
  const models = ["small", "say-3", "say-40", "spare", "failing", "shared", "broken", "usage-0", "usage-2"];
  const statuses: number[] = [];
  const requests = Array.from({ length: 240 }, () => ({
    url: gateways[random(gateways.length)] ?? "",
    leaves: random(8) === 0,
    body: {
      model: models[random(models.length)],
      stream: random(2) === 0,
      messages: [{ role: "user", content: "word ".repeat(random(60)) }],
    },
  }));
  // forty at a time, so that leases come and go
  await Promise.all(
    Array.from({ length: 40 }, async (_, lane) => {
      for (const { url, leaves, body } of requests.filter((_request, at) => at % 40 === lane)) {
        const { stream } = body;
        const asked = leaves ? leave(url, body) : ask(url, body).then(({ status }) => status);
        // a whole answer that breaks off is an error of the connection, for the caller too
        statuses.push(await (stream ? asked : asked.catch(() => 0)));
      }
    }),
  );
  const [ofTokens, ofMoney] = [await settledUse(tokens.name), await settledUse(money.name)];
  const lines = await linesSince(from);
  const sum = (of: (line: Line) => number): number => lines.reduce((total, line) => total + of(line), 0);
  assert.ok(statuses.includes(200) && statuses.includes(429), `statuses ${[...new Set(statuses)].join(", ")}`);
  for (const use of [ofTokens, ofMoney]) assert.equal(use.granted, use.settled + use.returned + use.expired + use.leased);
  assert.deepEqual([ofTokens.settled, ofMoney.settled], [sum(({ input, output }) => input + output), sum(({ cost }) => cost)]);
  const last = new Map(lines.filter(({ outcome }) => outcome !== "failed" && outcome !== "refused").map((line) => [line.request, line]));
  for (const [request, { input, output }] of provider.billed.byRequest) {
    if (billedBefore.has(request)) continue;
    const line = last.get(request);
    // what was ended here, or left, is the one thing that the provider has counted further
    if (line?.outcome === "cut" || line?.outcome === "aborted") assert.ok(line.source === "counted" && line.output <= output * 3);
    else assert.deepEqual([line?.source, line?.input, line?.output], ["reported", input, output]);
    last.delete(request);
  }
  // what the provider has not billed it has not said, or nobody believes it
  for (const { source, outcome } of last.values()) assert.equal(source, "counted", outcome);
  assert.ok(ofTokens.settled <= 7_000 && ofMoney.settled <= 30_000_000, JSON.stringify([ofTokens, ofMoney]));
}
