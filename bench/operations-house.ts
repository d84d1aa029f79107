import { CORES, moveToCore, nextMessage, startProgram } from "./child.ts";
import { type FreeholdProcess, startFreehold, textOf } from "./freehold-process.ts";
import { httpRequest } from "./load.ts";
import type { BenchServer } from "./postgres.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { benchDocument, benchQuestions } from "./texts.ts";

/** A server with two tenants on it, one per agent, and everything that is asked of it. */
export interface OperationsHouse {
  readonly engine: "embedded" | "postgres";
  readonly freehold: FreeholdProcess;
  readonly cases: readonly OperationsCase[];
}

/** One kind of request. */
export interface OperationsCase {
  readonly name: string;
  readonly requests: readonly string[];
}

const RATE_MAX = 1_000_000;
const COUNT_MAX = Number.MAX_SAFE_INTEGER;
const USERS = 20;
const DOCUMENTS = 100;
const QUESTIONS = 50;
const PLAN = "bench";
const DAY_S = 86_400;

/** Starts Freehold on the core for what is measured and fills it. Without a server the database is embedded. */
export async function openOperationsHouse(
  ends: AsyncDisposableStack,
  server: BenchServer | undefined,
  agentUrl: string,
): Promise<OperationsHouse> {
  const folder = temporaryFolder(ends);
  if (server) moveToCore(CORES.others, server.pid);
  const database = server && { databaseUrl: (await server.create()).url };
  const freehold = await startFreehold(ends, { folder, core: CORES.measured, demo: false, ...database });
  await freehold.manage("PUT", "/admin/v1/plans", benchPlan());
  const builtin = await makeTenant(freehold, "bench-builtin", {});
  const webhook = await makeTenant(freehold, "bench-webhook", { protocol: "webhook", invokeUrl: agentUrl });
  const cases = (["key", "jwt"] as const).flatMap((credential) => [
    ...casesOf(builtin[credential]).map(({ name, requests }) => ({ name: `${name} ${credential}`, requests })),
    { name: `chat webhook ${credential}`, requests: chat(webhook[credential]) },
  ]);
  return { engine: server ? "postgres" : "embedded", freehold, cases };
}

/** The address of an agent of the webhook protocol in a process of its own. */
export async function startAgent(ends: AsyncDisposableStack): Promise<string> {
  const port = await nextMessage<number>(startProgram(ends, "./agent-process.ts"));
  return `http://127.0.0.1:${port}/agent`;
}

/** A plan under which nothing is refused for being too much. */
export function benchPlan() {
  return {
    name: PLAN,
    isolationLevel: "shared",
    quotas: {
      maxUsers: COUNT_MAX,
      maxProjects: COUNT_MAX,
      maxAIRequests: COUNT_MAX,
      storageLimit: COUNT_MAX,
      computeLimit: COUNT_MAX,
      networkBandwidth: COUNT_MAX,
    },
    rate: { requestsPerSecond: RATE_MAX, burst: RATE_MAX },
    features: [],
    billing: { currency: "EUR", monthlyPriceMinor: 0 },
  };
}

/** The header lines with which a tenant's callers prove themselves. */
interface Credentials {
  readonly key: string;
  readonly jwt: string;
}

async function makeTenant(freehold: FreeholdProcess, id: string, agent: Readonly<Record<string, string>>): Promise<Credentials> {
  await freehold.manage("POST", "/admin/v1/tenants", { id, name: id, plan: PLAN, agentConfig: { concurrency: 10_000, ...agent } });
  const key = textOf(await freehold.manage("POST", `/admin/v1/tenants/${id}/keys`, { name: "bench" }), "key");
  const issued = await freehold.manage("POST", `/admin/v1/tenants/${id}/tokens`, {
    sub: "user-1",
    roles: ["admin"],
    lifetimeSeconds: DAY_S,
  });
  const token = textOf(issued, "token");
  for (let user = 1; user <= USERS; user++) {
    await freehold.call(token, "/users/create", { id: `user-${user}`, name: `User ${user}`, email: `user-${user}@example.com` });
  }
  for (let number = 1; number <= DOCUMENTS; number++) await freehold.call(token, "/documents", benchDocument(number));
  return { key: `x-api-key: ${key}`, jwt: `authorization: Bearer ${token}` };
}

function casesOf(credential: string): readonly OperationsCase[] {
  return [
    { name: "well-known", requests: [httpRequest("GET", "/.well-known/freehold/jwks.json", credential)] },
    { name: "users", requests: [httpRequest("GET", "/users", credential)] },
    {
      name: "search",
      requests: benchQuestions(QUESTIONS).map((query) => httpRequest("POST", "/search", credential, { query, limit: 10 })),
    },
    { name: "chat builtin", requests: chat(credential) },
  ];
}

function chat(credential: string): readonly string[] {
  return benchQuestions(QUESTIONS).map((message) => httpRequest("POST", "/api/chat", credential, { message }));
}
