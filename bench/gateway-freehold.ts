import { writeFileSync } from "node:fs";
import path from "node:path";
import { createKeyring, systemRandom } from "../src/kernel/index.ts";
import { readRootKey } from "../src/stores/data/index.ts";
import { mintApiKey } from "../src/tenancy/identity/index.ts";
import { CORES, moveToCore } from "./child.ts";
import { startFreehold } from "./freehold-process.ts";
import type { Side } from "./gateway-peers.ts";
import { benchPlan } from "./operations-house.ts";
import { administer, type BenchServer } from "./postgres.ts";
import { temporaryFolder } from "./temporary-folder.ts";

/** How much stands in the registry and in the route table beside what is asked for. */
export interface GatewaySize {
  readonly tenants: number;
  readonly routes: number;
  /** Routes that say nothing are open to everybody: what is measured then is the way through alone. */
  readonly open?: boolean;
}

/** A Freehold whose every request is proved, limited, counted and logged, and one key of each tenant. */
export interface FreeholdSide extends Side {
  /** A file with a header line for each key. */
  readonly credentials: string;
  /** A file with those of at most {@link FEW} tenants, spread evenly over all. */
  readonly few: string;
  /** A file with those of at most {@link ACTIVE} tenants, spread evenly over all. */
  readonly active: string;
  /** A file with a header line that proves nothing. */
  readonly nobody: string;
}

export const BARE_PATH = "/bare/chat/completions";
export const FULL_PATH = "/full/chat/completions";
/** Tenants that call at the same time. Connections to an upstream are never shared by tenants, so more of them than connections are kept cost a connection each time. */
const ACTIVE = 1_000;
const FEW = 10;
const KEYS_PER_STATEMENT = 10_000;
const NEVER = 1_000_000_000;

/** Starts Freehold on the core for what is measured, over PostgreSQL on the other one. */
export async function startFreeholdSide(
  ends: AsyncDisposableStack,
  server: BenchServer,
  upstream: number,
  name: string,
  size: GatewaySize,
): Promise<FreeholdSide> {
  const folder = temporaryFolder(ends);
  moveToCore(CORES.others, server.pid);
  const database = await server.create();
  writeFileSync(path.join(folder, "gateway.yaml"), JSON.stringify(documentFor(upstream, size)));
  writeFileSync(
    path.join(folder, "freehold.yaml"),
    JSON.stringify({
      gateway: { file: path.join(folder, "gateway.yaml"), tenantRequired: size.open !== true },
      logLevel: "info",
      accessLog: { sample: 0.01 },
    }),
  );
  const freehold = await startFreehold(ends, {
    folder,
    core: CORES.measured,
    demo: false,
    databaseUrl: database.url,
    logLevel: "info",
    config: path.join(folder, "freehold.yaml"),
  });
  await freehold.manage("PUT", "/admin/v1/plans", benchPlan());
  const lines = await insertKeys(database.superuserUrl, size.tenants);
  const credentials = path.join(folder, "credentials.txt");
  writeFileSync(credentials, lines.join("\n"));
  const some = (count: number): string => {
    const file = path.join(folder, `of-${count}-tenants.txt`);
    const step = Math.ceil(lines.length / count);
    writeFileSync(file, lines.filter((_, at) => at % step === 0).join("\n"));
    return file;
  };
  const nobody = path.join(folder, "nobody.txt");
  writeFileSync(nobody, "x-caller: nobody");
  return {
    name,
    port: Number(new URL(freehold.url).port),
    pids: [freehold.pid],
    credentials,
    few: some(FEW),
    active: some(ACTIVE),
    nobody,
  };
}

/** `/bare` has no plugins; `/full` has everything on. The other routes are there to be in the way. */
function documentFor(upstream: number, { routes }: GatewaySize): object {
  const perTenant = { key: "tenant_id", key_type: "var", rejected_code: 429 };
  const plugins = {
    "limit-req": { ...perTenant, rate: NEVER, burst: NEVER, nodelay: true },
    "limit-count": { ...perTenant, count: NEVER, time_window: 60 },
    "limit-conn": { ...perTenant, conn: 10_000, burst: 10_000, default_conn_delay: 0.1 },
    prometheus: {},
  };
  const others = Array.from({ length: Math.max(0, routes - 2) }, (_, at) => ({
    id: `other-${at}`,
    uri: `/service-${at % 97}/resource-${at}/*`,
    upstream_id: "plain",
  }));
  const nodes = { [`127.0.0.1:${upstream}`]: 1 };
  return {
    upstreams: [
      { id: "plain", type: "roundrobin", nodes },
      { id: "fair", type: "roundrobin", nodes, fair: { concurrency: 1_000, queue: 1_000, deadline_ms: 5_000 } },
    ],
    routes: [{ id: "bare", uri: "/bare/*", upstream_id: "plain" }, { id: "full", uri: "/full/*", upstream_id: "fair", plugins }, ...others],
  };
}

/** Tenants `tenant-1`, `tenant-2`, … of the plan `bench`, as the platform would make them, in one statement. */
export async function insertTenants(url: string, count: number): Promise<void> {
  await administer(
    url,
    `insert into freehold.tenants (uuid, id, plan, status, document)
     select gen_random_uuid(), 'tenant-' || n, 'bench', 'active', jsonb_build_object('name', 'Tenant ' || n) from generate_series(1, $1) n`,
    [count],
  );
}

/** Tenants and a key of each, as the platform would make them, in few statements. */
async function insertKeys(url: string, count: number): Promise<readonly string[]> {
  const keyring = createKeyring(await readRootKey(url, systemRandom));
  await insertTenants(url, count);
  const lines: string[] = [];
  for (let from = 1; from <= count; from += KEYS_PER_STATEMENT) {
    const keys = Array.from({ length: Math.min(KEYS_PER_STATEMENT, count + 1 - from) }, (_, at) => ({
      tenant: `tenant-${from + at}`,
      ...mintApiKey({ random: systemRandom, keyring }),
    }));
    await administer(
      url,
      `insert into freehold.api_keys (id, tenant_id, name, hash, roles, scopes, created_by)
       select k.id, t.uuid, 'bench', k.hash, '{member}', '{chat}', 'bench'
       from unnest($1::text[], $2::bytea[], $3::text[]) k(id, hash, tenant) join freehold.tenants t on t.id = k.tenant`,
      [keys.map(({ id }) => id), keys.map(({ hash }) => hash), keys.map(({ tenant }) => tenant)],
    );
    lines.push(...keys.map(({ secret }) => `x-api-key: ${secret.reveal()}`));
  }
  await administer(url, "vacuum analyze");
  return lines;
}
