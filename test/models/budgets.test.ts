import assert from "node:assert/strict";
import { describe, test } from "node:test";
import OpenAI from "openai";
import type { App } from "../../src/cli/app.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import { until } from "../support/until.ts";
import { KilledGateway } from "./killed-gateway.ts";
import { apiKey, PROVIDER_KEY, startModels } from "./models-under-test.ts";
import { assertIsTail, assertLinesAgree, type Line, numberOf, requestsOf, type Sent, type SentAll, type Told } from "./random-traffic.ts";

const SEED = Number(process.env["FREEHOLD_TEST_SEED"] ?? Date.now() % 1_000_000);
/** How often random traffic is tried, each time with another seed. */
const ROUNDS = Number(process.env["FREEHOLD_TEST_ROUNDS"] ?? 1);
const freehold = await startFreehold();
const provider = await startModels(freehold);
const others: readonly App[] = [await freehold.second(), await freehold.second()];
const gateways = [freehold.app, ...others].map(({ url }) => url);
const killed = new KilledGateway(freehold);
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
    test(`are exact under random traffic with faults at three gateways of which one is killed (seed ${seed})`, () => isExact(seed));
  }
});

/** Requests at once, so that leases come and go. */
const LANES = 40;

/** Sends all, a lane's one after the other, and kills the third gateway when so many are over; it is started again meanwhile. */
async function sendAll(requests: readonly Sent[], killAfter: number, start: () => Promise<void>): Promise<SentAll> {
  const told = new Map<number, Told>();
  let [events, done] = [0, 0];
  const statuses: number[] = [];
  let killing: Promise<SentAll["killed"]> | undefined;
  let back: Promise<void> | undefined;
  const kill = async (): Promise<SentAll["killed"]> => {
    const written = new Set(
      (
        await freehold.sql<{ id: string }>("select request_id as id from freehold.model_ledger where outcome not in ('failed', 'refused')")
      ).map(({ id }) => id),
    );
    const gone = killed.kill();
    back = gone.then(start);
    await gone;
    const began = new Set(requests.filter(({ at, gateway }) => gateway === 2 && told.has(at)).map(({ at }) => at));
    await back;
    return { written, began };
  };
  const send = async ({ at, gateway, leaves, body }: Sent): Promise<void> => {
    // what is sent there meanwhile is sent when it is there again
    if (gateway === 2) await back;
    const mine: Told = { began: events++ };
    told.set(at, mine);
    const url = [...gateways.slice(0, 2), killed.url][gateway] ?? "";
    const asked = leaves ? leave(url, body) : ask(url, body).then(({ status }) => status);
    // a whole answer that breaks off is an error of the connection, for the caller too, and so is a gateway that is gone
    const status = await (body.stream && gateway !== 2 ? asked : asked.catch(() => 0));
    statuses.push(status);
    // whoever leaves does not see when that is noticed
    if (status !== 0 && !leaves) mine.done = events++;
    if (++done === killAfter) killing = kill();
  };
  await Promise.all(
    Array.from({ length: LANES }, async (_, lane) => {
      for (const request of requests.filter(({ at }) => at % LANES === lane)) await send(request);
    }),
  );
  const ofKilled = await killing;
  assert.ok(ofKilled, "the gateway was killed");
  return { told, statuses, killed: ofKilled };
}

/** The minute of the leases of the gateway that is gone passes; those that live give theirs back when they have nothing to do. */
async function endLeases(...names: readonly string[]): Promise<void> {
  await until("living gateways to have given their leases back", async () => {
    const [row] = await freehold.sql<{ count: number }>(
      "select count(distinct gateway)::int as count from freehold.model_leases where budget = any($1)",
      [names],
    );
    return (row?.count ?? 2) <= 1;
  });
  await freehold.sql("update freehold.model_leases set expires_at = now() - interval '1 second' where budget = any($1)", [names]);
  await until("what was leased to be free", async () => {
    await ask(freehold.app.url, { model: "small" });
    const rows = await freehold.sql("select 1 from freehold.model_leases where budget = any($1) and expires_at < now()", [names]);
    return rows.length === 0;
  });
}

/**
 * Answers whole and streamed, tries that fail, answers that break off or say what cannot be, callers who leave, and a gateway that is killed: every unit is in the books
 * once, and what is missing in them is the end of what the killed one had to write.
 */
async function isExact(seed: number): Promise<void> {
  // a budget that is not strict may be passed by what was denser than estimated, which is what whoever learns first meets
  const tokens = fresh({ unit: "tokens", per: "month", limit: 7_000, strict: true });
  const money = fresh({ unit: "money", per: "month", limit: 0.03, strict: true });
  await give(tokens, money);
  const start = async (): Promise<void> => await killed.start([tokens.name, money.name]);
  await start();
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * below);
  };
  const from = new Date();
  const [billedBefore, seenBefore] = [new Set(provider.billed.byRequest.keys()), provider.seen.length];
  const sent = await sendAll(requestsOf(random), 30 + random(120), start);
  await endLeases(tokens.name, money.name);
  const [ofTokens, ofMoney] = [await settledUse(tokens.name), await settledUse(money.name)];
  const lines = await linesSince(from);
  const sum = (of: (line: Line) => number): number => lines.reduce((total, line) => total + of(line), 0);
  const { statuses } = sent;
  assert.ok(statuses.includes(200) && statuses.includes(429), `statuses ${[...new Set(statuses)].join(", ")}`);
  for (const use of [ofTokens, ofMoney]) assert.deepEqual([use.leased, use.granted], [0, use.settled + use.returned + use.expired]);
  assert.deepEqual([ofTokens.settled, ofMoney.settled], [sum(({ input, output }) => input + output), sum(({ cost }) => cost)]);
  assert.ok(ofTokens.settled <= 7_000 && ofMoney.settled <= 30_000_000, JSON.stringify([ofTokens, ofMoney]));
  const billed = new Map([...provider.billed.byRequest].filter(([request]) => !billedBefore.has(request)));
  const numbers = new Map(provider.seen.slice(seenBefore).map(({ headers, text }) => [String(headers["x-request-id"]), numberOf(text)]));
  const lost = assertLinesAgree(lines, billed);
  assertIsTail(lost, lines, numbers, sent);
}
