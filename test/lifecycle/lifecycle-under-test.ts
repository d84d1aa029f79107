import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { recountTenant, tenantStores } from "../../src/cli/open-lifecycle.ts";
import {
  createKeyring,
  type Fault,
  type StoreLifecycle,
  type StoreRecord,
  systemClock,
  systemRandom,
  type Tenant,
  type TenantId,
  uuidV7,
} from "../../src/kernel/index.ts";
import { type DataStore, sql } from "../../src/stores/data/index.ts";
import { createEventStore } from "../../src/stores/events/index.ts";
import { createLexicalEmbedder, createSearchStore } from "../../src/stores/search/index.ts";
import { createLocalRootKeys, type VaultStore } from "../../src/stores/vault/index.ts";
import { type Audit, createAudit } from "../../src/tenancy/audit/index.ts";
import { ownSigningKey } from "../../src/tenancy/identity/index.ts";
import { recordsOf } from "../../src/tenancy/lifecycle/archive/read-archive.ts";
import {
  createLifecycle,
  createRevocationJournal,
  type Lifecycle,
  type RequestedBy,
  type RevocationJournal,
} from "../../src/tenancy/lifecycle/index.ts";
import { createRegistry, type Registry, type TenantCreate, tenantCreateSchema } from "../../src/tenancy/registry/index.ts";
import { contextOf, tenantIdOf, valueOf } from "../support/tenants.ts";
import { openVault } from "../support/vaults.ts";

export const BY: RequestedBy = { actor: "operator", requestId: "request-1", source: "127.0.0.1" };
/** Bytes of a secret: they are in no archive. */
export const SECRET = `SECRET-${randomBytes(8).toString("hex")}`;

/** One process with the life of tenants, over an open store. */
export interface Installed {
  readonly store: DataStore;
  readonly registry: Registry;
  readonly vault: VaultStore;
  readonly audit: Audit;
  readonly journal: RevocationJournal;
  readonly stores: readonly StoreLifecycle[];
  readonly lifecycle: Lifecycle;
  readonly folder: string;
  /** Where a step had its effect, in order. */
  readonly points: string[];
  readonly reports: Fault[];
  close(): Promise<void>;
}

/** What a test changes. */
export interface InstallOptions {
  readonly rootKey?: Buffer;
  /** Further places of the journal. */
  readonly copies?: readonly string[];
  readonly reached?: (point: string) => void | Promise<void>;
  readonly change?: (stores: readonly StoreLifecycle[]) => readonly StoreLifecycle[];
}

/** The root key of a store opened by the tests' engines. */
export const ROOT_KEY = Buffer.alloc(32, 7);

/** Opens the rooms over this store, with files in this folder. Nothing waits for what may be under way. */
export async function install(store: DataStore, folder: string, options: InstallOptions = {}): Promise<Installed> {
  const keyring = createKeyring(options.rootKey ?? ROOT_KEY);
  const reports: Fault[] = [];
  const points: string[] = [];
  const report = (fault: Fault): void => void reports.push(fault);
  const journal = createRevocationJournal({
    files: [path.join(folder, "revocations.jsonl"), ...(options.copies ?? [])],
    keyring,
    clock: systemClock,
  });
  const audit = createAudit({ data: store, clock: systemClock, random: systemRandom, report });
  const roots = [createLocalRootKeys([keyring.key("vault-root")], systemRandom)] as const;
  const vault = await openVault(store.system, { roots, reports });
  const registry = await createRegistry({
    system: store.system,
    vault,
    keyring,
    random: systemRandom,
    clock: systemClock,
    checkUrl: () => {},
    report,
    notes: journal,
  });
  const all = tenantStores({ data: store, keyring, embedder: createLexicalEmbedder(), registry, vault, beside: [vault.lifecycle] });
  const stores = options.change?.(all) ?? all;
  const lifecycle = createLifecycle({
    data: store,
    registry,
    stores,
    audit,
    journal,
    signingKey: ownSigningKey(keyring),
    unpark: async () => {},
    recount: (tenant) => recountTenant(store, tenant),
    clock: systemClock,
    random: systemRandom,
    report,
    folder,
    program: "test",
    settleMs: 0,
    reached: async (point) => {
      points.push(point);
      await options.reached?.(point);
    },
  });
  const close = async (): Promise<void> => {
    await lifecycle.close();
    await registry.close();
    await vault.close();
    await audit.close();
  };
  return { store, registry, vault, audit, journal, stores, lifecycle, folder, points, reports, close };
}

/** What the API would have read of this input. */
export function input(id: string, parts: Partial<TenantCreate> = {}): TenantCreate {
  return tenantCreateSchema.parse({ id, name: `Tenant ${id}`, ...parts });
}

/** How many rows {@link fill} stores, per table. */
export const FILLED = { users: 250, documents: 3, sessions: 2, messages: 4 } as const;

/** A new tenant with something in every store: rows, passages, events on their way and put aside, a key, a secret, a host, an audit trail. */
export async function filledTenant({ store, lifecycle, registry, audit }: Installed, id: string, canary = "b"): Promise<Tenant> {
  const settings = {
    agent: { mcp: { one: SECRET } },
    domains: [`ai.${id}.example.com`],
    locale: "de-CH",
    agentConfig: { timeout: 12_345 },
  };
  const tenant = await lifecycle.create(input(id, settings), BY);
  const keyring = createKeyring(ROOT_KEY);
  const context = contextOf(tenant);
  const { uuid } = tenant;
  const value = (text: string): string => valueOf(canary, text);
  const metadata = JSON.stringify({ note: value("note"), deep: [1, { at: null }] });
  const search = createSearchStore({ data: store, embedder: createLexicalEmbedder() }).forTenant(context);
  const events = createEventStore({ keyring, clock: systemClock, random: systemRandom }).forTenant(context);
  const items = await Promise.all(
    Array.from({ length: FILLED.documents }, (_, n) =>
      search.prepare({
        kind: "document",
        ref: `doc-${n}`,
        title: value(`Title ${n}`),
        text: value(`The body ${n}. `.repeat(300)),
        payload: { n },
      }),
    ),
  );
  await store.forTenant(context).transaction(async (tx) => {
    await tx.query(sql`
      insert into freehold.users (tenant_id, id, email, name, roles, metadata)
      select ${uuid}, 'user-' || n, 'u' || n || '@example.com', ${value("Ann")}, ${["member"]}, ${metadata}::jsonb from generate_series(1, ${FILLED.users}::integer) n`);
    for (const [n, item] of items.entries()) {
      await tx.query(sql`insert into freehold.documents (tenant_id, id, title, body, metadata, created_by)
        values (${uuid}, ${`doc-${n}`}, ${value(`Title ${n}`)}, ${value("body äöü 漢")}, ${metadata}::jsonb, 'user-1')`);
      await search.put(tx, item);
    }
    for (const session of ["s-1", "s-2"]) {
      await tx.query(sql`insert into freehold.sessions (tenant_id, id, user_id, platform, metadata, messages)
        values (${uuid}, ${session}, 'user-1', 'web', ${metadata}::jsonb, 2)`);
      await tx.query(sql`insert into freehold.messages (tenant_id, session_id, seq, id, role, body, citations) values
        (${uuid}, ${session}, 1, gen_random_uuid(), 'user', ${value("Hello")}, '[]'), (${uuid}, ${session}, 2, gen_random_uuid(), 'assistant', ${value("Hi")}, '[{"d":1}]')`);
    }
    await events.publish(tx, { topic: "user.events", type: "user.created", key: "user-1", data: { userId: "user-1", note: value("n") } });
    await events.publish(tx, { topic: "document.events", type: "document.stored", key: "doc-1", data: { documentId: "doc-1" } });
  });
  await putAside(store, tenant);
  await registry.createKey({
    id: `key-${id}`,
    tenantUuid: uuid,
    name: "k",
    hash: randomBytes(32),
    roles: ["admin"],
    scopes: ["chat"],
    createdBy: "x",
    expiresAt: null,
  });
  const actorTenant = { id: tenant.id, uuid };
  audit.record({ action: "test", reason: "allowed", actor: "user-1", actorTenant, targetTenant: tenant.id, requestId: "r", source: "s" });
  await audit.flush();
  return tenant;
}

/** Moves the second event to where one is that a consumer could not handle. */
async function putAside({ system }: DataStore, { uuid }: Tenant): Promise<void> {
  await system.query(sql`
    with moved as (
      delete from freehold.outbox where tenant_id = ${uuid} and topic = 'document.events' returning tenant_id, id, seq, partition_key, envelope, created_at)
    insert into freehold.dead_letters (tenant_id, consumer, event_id, seq, partition_key, envelope, created_at, attempts, reason)
    select m.tenant_id, 'index-users', m.id, m.seq, m.partition_key, m.envelope, m.created_at, 8, 'internal' from moved m`);
}

/** An archive in memory. */
export async function exportOf({ lifecycle }: Installed, tenant: Tenant): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of lifecycle.export(tenant)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Brings the archive into the installation and asks for it to be imported. */
export async function importInto({ lifecycle }: Installed, archive: Uint8Array, id: string, plan = "professional"): Promise<Tenant> {
  const upload = uuidV7(systemClock, systemRandom);
  for (let at = 0; at < archive.length || at === 0; at += 100_000) await lifecycle.upload(upload, at, archive.subarray(at, at + 100_000));
  return await lifecycle.import({ id: tenantIdOf(id), upload, plan }, BY);
}

/** The records of an archive per store, without those that no import puts back. */
export async function recordsIn(installed: Installed, archive: Uint8Array): Promise<Record<string, StoreRecord[]>> {
  const file = path.join(installed.folder, `read-${randomBytes(4).toString("hex")}.tar.gz`);
  mkdirSync(installed.folder, { recursive: true });
  writeFileSync(file, archive);
  const found: Record<string, StoreRecord[]> = {};
  for (const { name } of installed.stores) {
    const records: StoreRecord[] = [];
    for await (const record of recordsOf(file, name)) if (record.kind !== "domain" && record.kind !== "audit_entry") records.push(record);
    // rows come in the order of keys in which a tenant's internal id takes part
    found[name] = records.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  }
  return found;
}

/** How many rows of the tenant there are, per table of the whole database that has a column for tenants: asked of the catalogue by the test itself. */
export async function rowsOf(
  administer: (text: string) => Promise<Record<string, unknown>[]>,
  uuid: string,
): Promise<Record<string, number>> {
  const tables = await administer(`
    select distinct format('%I.%I', table_schema, table_name) as name from information_schema.columns
    where column_name = 'tenant_id' and table_schema not in ('pg_catalog', 'information_schema')`);
  const counts = tables.map(
    ({ name }) => `select '${String(name)}' as name, count(*)::int as rows from ${String(name)} where tenant_id::text = '${uuid}'`,
  );
  const rows = await administer(counts.join(" union all "));
  return Object.fromEntries(rows.filter(({ rows: count }) => count !== 0).map(({ name, rows: count }) => [String(name), Number(count)]));
}

/** The id as a TenantId that no other test has. */
export function freshId(prefix: string): TenantId {
  return tenantIdOf(`${prefix}-${randomBytes(5).toString("hex")}`);
}
