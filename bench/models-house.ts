import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { until } from "../test/support/until.ts";
import { CORES, moveToCore, nextMessage, startProgram } from "./child.ts";
import { type FreeholdProcess, startFreehold, textOf } from "./freehold-process.ts";
import { type Side, startBareUndici, startPortkey } from "./gateway-peers.ts";
import { HELD_MODEL, MODEL, streamRequest } from "./model-requests.ts";
import { benchPlan } from "./operations-house.ts";
import { administer, openPostgres } from "./postgres.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** A gateway of models, or the provider itself, and what it is asked with. */
export interface ModelSide extends Side {
  /** A file with a header line for each credential. */
  readonly credentials: string;
  /** Requests for streams, one for each credential. */
  streams(model: string): readonly string[];
}

/** What is measured, and what it all sends its requests to. */
export interface ModelsHouse {
  /** Ours, Portkey's gateway and the shortest proxy in Node. */
  readonly sides: readonly [freehold: ModelSide, portkey: ModelSide, undici: ModelSide];
  readonly provider: ModelSide;
  /** Lets the provider go on with the streams that it holds. */
  finishHeld(): void;
  /** Waits until Freehold's ledger has so many whole answers of this model; throws when it has more, or not so many soon. */
  ledgerHas(model: string, answers: number): Promise<void>;
}

const TENANTS = 10;
const NEVER = 1_000_000_000;
const LEDGER_TIMEOUT_MS = 10_000;
const KEY = "sk-bench";

/** Starts a provider on the core of the others, and on the measured core the gateways that lead to it. Freehold is over PostgreSQL, with keys, budgets and ledger. */
export async function openModelsHouse(ends: AsyncDisposableStack, streams: number): Promise<ModelsHouse> {
  const folder = temporaryFolder(ends);
  const program = startProgram(ends, "./model-provider-process.ts");
  const port = await nextMessage<number>(program);
  const server = await openPostgres(ends);
  moveToCore(CORES.others, server.pid);
  const config = path.join(folder, "freehold.yaml");
  const settings = { gateway: { connectionsMax: 2 * streams }, logLevel: "info", accessLog: { sample: 0.01 } };
  writeFileSync(config, JSON.stringify(settings));
  const { url: databaseUrl, superuserUrl } = await server.create();
  const freehold = await startFreehold(ends, { folder, core: CORES.measured, demo: false, databaseUrl, logLevel: "info", config });
  const keys = await fill(freehold, `http://127.0.0.1:${port}/v1`);
  const credentials = (name: string, lines: readonly string[]): string => {
    const file = path.join(folder, `${name}.txt`);
    writeFileSync(file, lines.join("\n"));
    return file;
  };
  const own = credentials("keys", keys);
  const plain = credentials("plain", [`authorization: Bearer ${KEY}`]);
  const withRequests = (side: Side, file: string, more: readonly string[] = []): ModelSide => ({
    ...side,
    credentials: file,
    streams: (model) =>
      readFileSync(file, "utf8")
        .split("\n")
        .map((line) => streamRequest(model, [line, ...more])),
  });
  const toProvider = ["x-portkey-provider: openai", `x-portkey-custom-host: http://127.0.0.1:${port}/v1`];
  return {
    sides: [
      withRequests({ name: "freehold", port: Number(new URL(freehold.url).port), pids: [freehold.pid] }, own),
      withRequests(await startPortkey(ends), plain, toProvider),
      // as many as are asked for: a proxy that makes them wait has another first event
      withRequests(await startBareUndici(ends, port, 2 * streams), plain),
    ],
    provider: withRequests({ name: "provider", port, pids: [] }, plain),
    finishHeld: () => void program.send({ finish: true }),
    async ledgerHas(model, answers) {
      const lines = async (): Promise<number> => {
        const { rows } = await administer(
          superuserUrl,
          "select count(*)::int as lines from freehold.model_ledger where model = $1 and outcome = 'ok'",
          [model],
        );
        return (rows[0] as { readonly lines: number }).lines; // one row, of the type of the cast
      };
      await until(`${answers} answers of ${model} in the ledger`, async () => (await lines()) >= answers, LEDGER_TIMEOUT_MS);
      const found = await lines();
      if (found > answers) throw new Error(`the ledger has ${found} answers of ${model}, and there were ${answers}`);
    },
  };
}

/** Tenants with a key each, which may use the provider's models within budgets that nobody reaches. */
async function fill(freehold: FreeholdProcess, baseUrl: string): Promise<readonly string[]> {
  const budget = { per: "month", limit: NEVER } as const;
  const budgets = [
    { name: "requests", unit: "requests", ...budget },
    { name: "tokens", unit: "tokens", ...budget, for: "key" },
    { name: "money", unit: "money", ...budget },
  ];
  const model = { provider: "bench", outputTokensMax: 1_000, prices: [{ from: "2026-01-01", input: 0.15, output: 0.6 }] };
  const document = {
    providers: { bench: { kind: "openai", baseUrl } },
    models: { [MODEL]: model, [HELD_MODEL]: model },
    plans: { "*": { models: ["*"], budgets } },
  };
  await freehold.manage("PUT", "/admin/v1/plans", benchPlan());
  await freehold.manage("PUT", "/admin/v1/models", { document });
  await freehold.manage("PUT", "/admin/v1/models/keys/bench", { key: KEY });
  const keys: string[] = [];
  for (let number = 1; number <= TENANTS; number++) {
    const id = `tenant-${number}`;
    await freehold.manage("POST", "/admin/v1/tenants", { id, name: id, plan: "bench" });
    const made = await freehold.manage("POST", `/admin/v1/tenants/${id}/keys`, { name: "bench" });
    keys.push(`x-api-key: ${textOf(made, "key")}`);
  }
  return keys;
}
