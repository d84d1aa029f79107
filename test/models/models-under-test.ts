import { after } from "node:test";
import type { Freehold } from "../support/freehold.ts";
import { until } from "../support/until.ts";
import { type ScriptedProvider, startProvider } from "./scripted-provider.ts";

/** The key that the platform has for its provider. */
export const PROVIDER_KEY = "sk-provider-5f0c9a";

/**
 * Starts a provider and makes it the platform's for both protocols: `main` speaks OpenAI's, `claude` Anthropic's; `keyed` and `salted` are told the
 * tenant's part of their caches. Ended with the suite.
 */
export async function startModels(freehold: Freehold, more: Readonly<Record<string, unknown>> = {}): Promise<ScriptedProvider> {
  const provider = await startProvider(PROVIDER_KEY);
  after(() => provider.close());
  await putModels(freehold, provider.url, more);
  const operator = freehold.trusted(freehold.platform.admin);
  for (const name of ["main", "keyed", "salted", "claude"]) {
    const reply = await operator.send("PUT", `/admin/v1/models/keys/${name}`, { json: { key: PROVIDER_KEY } });
    if (reply.status !== 204) throw new Error(reply.text);
  }
  return provider;
}

/** A price in dollars for a million tokens. */
export const PRICES = [{ from: "2026-01-01", input: 2, output: 8 }];

/** Replaces the platform's models. */
export async function putModels(freehold: Freehold, url: string, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const timeouts = { silenceMs: 30_000 };
  const model = (name: string, provider = "main") => ({ provider, model: name, prices: PRICES, outputTokensMax: 200 });
  const document = {
    providers: {
      main: { kind: "openai", baseUrl: url, timeouts, cacheKey: "none" },
      keyed: { kind: "openai", baseUrl: url, timeouts },
      salted: { kind: "openai-compatible", baseUrl: url, timeouts, cacheKey: "cache_salt" },
      claude: { kind: "anthropic", baseUrl: url, timeouts },
    },
    models: {
      "say-3": model("say-3"),
      "say-40": model("say-40"),
      small: model("say-5"),
      broken: model("break-5"),
      hanging: model("hang"),
      stubborn: model("stubborn-90"),
      unpriced: { ...model("say-3"), prices: [] },
      dripping: model("drip-4"),
      refusing: model("fail-400"),
      failing: model("fail-503"),
      limited: model("fail-429"),
      unauthorised: model("fail-401"),
      letters: model("letters"),
      keyed: model("say-2", "keyed"),
      salted: model("say-2", "salted"),
      haiku: model("say-6", "claude"),
      "haiku-broken": model("break-6", "claude"),
      ...Object.fromEntries(USAGES.map((usage, at) => [`usage-${at}`, model(`usage-${Buffer.from(usage).toString("hex")}`)])),
    },
    routes: {
      spare: { targets: [{ model: "failing" }, { model: "small" }] },
      hopeless: { targets: [{ model: "failing" }, { model: "failing" }] },
      sized: { strategy: "conditional", targets: [{ model: "small", when: { bytesMax: 200 } }, { model: "say-40" }] },
      shared: {
        strategy: "weighted",
        targets: [
          { model: "say-3", weight: 3 },
          { model: "say-40", weight: 1 },
        ],
      },
    },
    plans: { "*": { models: ["*"] } },
    ...more,
  };
  const reply = await freehold.trusted(freehold.platform.admin).send("PUT", "/admin/v1/models", { json: { document } });
  if (reply.status !== 200) throw new Error(reply.text);
}

/** What providers have said was used, and is none. */
export const USAGES = ["[-1000000000,3]", '["5",3]', "[1e400,3]", "[5,1e15]", "[null,null]", "[0.5,3]"] as const;

/** A line of the ledger, as a tenant's admin sees it. */
export interface LedgerLine {
  readonly requestId: string;
  readonly target: string;
  readonly protocol: string;
  readonly outcome: string;
  readonly source: string;
  readonly input: number;
  readonly output: number;
}

/** Tenant a's line of the try that this request ended with. */
export async function lineOf(freehold: Freehold, requestId: unknown): Promise<LedgerLine> {
  const admin = freehold.as(freehold.credentials.a.admin);
  return await until("the line of the ledger", async () => {
    const { lines } = (await admin.get("/tenant/v1/models/ledger?limit=50")).json<{ lines: LedgerLine[] }>();
    return lines.find((line) => line.requestId === requestId && line.outcome !== "failed");
  });
}

/** A new API key of this tenant. */
export async function apiKey(freehold: Freehold, tenant: string): Promise<string> {
  const reply = await freehold.trusted(freehold.platform.admin).post(`/admin/v1/tenants/${tenant}/keys`, { name: "for models" });
  return String(reply.json()["key"]);
}
