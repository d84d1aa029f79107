import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after } from "node:test";
import {
  type Clock,
  createKeyring,
  Fault,
  type FaultCode,
  systemClock,
  systemRandom,
  type Tenant,
  type TenantId,
} from "../../src/kernel/index.ts";
import type { DataStore, Statement, SystemData } from "../../src/stores/data/index.ts";
import type { VaultStore, VaultStoreOptions } from "../../src/stores/vault/index.ts";
import {
  createRegistry,
  type Registry,
  type RegistryBounds,
  type TenantCreate,
  tenantCreateSchema,
} from "../../src/tenancy/registry/index.ts";
import type { Place } from "../support/engines.ts";
import { tenantIdOf } from "../support/tenants.ts";
import { openVault } from "../support/vaults.ts";

/** The one address that the tests' guard refuses. */
export const DENIED_URL = "http://169.254.169.254/latest/meta-data";

/** What a test changes about a registry. */
export interface RegistryChange {
  readonly clock?: Clock;
  readonly bounds?: RegistryBounds;
  readonly system?: SystemData;
  readonly reports?: Fault[];
  /** Root keys of its vault. */
  readonly roots?: VaultStoreOptions["roots"];
}

const registries: Registry[] = [];
const vaults: VaultStore[] = [];

// for the test file as a whole
after(async () => {
  for (const opened of [...registries.splice(0), ...vaults.splice(0)]) await opened.close();
});

/** A registry over this data store, as one process has it. It is closed with the test file. */
export async function openRegistry(data: DataStore, change: RegistryChange = {}): Promise<Registry> {
  const { clock = systemClock, bounds, system = data.system, reports = [], roots } = change;
  const vault = await openVault(data.system, { reports, ...(roots && { roots }) });
  vaults.push(vault);
  const ports = {
    system,
    vault,
    keyring: createKeyring(Buffer.alloc(32, 7)),
    random: systemRandom,
    clock,
    checkUrl: (url: string) => {
      if (url === DENIED_URL) throw new Fault("egress_denied", "refused by the test's guard");
    },
    report: (each: Fault) => void reports.push(each),
    notes: { keyRevoked: async () => {}, suspended: async () => {}, resumed: async () => {} },
  };
  const registry = await createRegistry(ports, bounds);
  registries.push(registry);
  return registry;
}

/** The data as another process has it: its own connections, where the engine allows more than one process. */
export async function openElsewhere(place: Place, data: DataStore): Promise<DataStore> {
  return place.location.kind === "postgres" ? await place.open() : data;
}

/** A tenant id that no other test has. */
export function freshId(prefix = "t"): TenantId {
  return tenantIdOf(`${prefix}-${randomBytes(6).toString("hex")}`);
}

/** What the API would have read of this input: checked, with its defaults. */
export function input(id: string, parts: Partial<TenantCreate> = {}): TenantCreate {
  return tenantCreateSchema.parse({ id, name: `Tenant ${id}`, ...parts });
}

/** The statements that went through, and gates at which the next one waits. */
export interface WatchedSystem extends SystemData {
  readonly statements: Statement[];
  /** The next statement that matches waits, with its rows already read, until `open` is called. */
  hold(matches: RegExp): Held;
}

export interface Held {
  /** Resolves when the statement has its rows and waits. */
  readonly reached: Promise<void>;
  open(): void;
}

interface Gate {
  readonly matches: RegExp;
  readonly reached: () => void;
  readonly opened: Promise<void>;
}

/** The store's own handle, through which every statement passes. */
export function watch(system: SystemData): WatchedSystem {
  const statements: Statement[] = [];
  const gates: Gate[] = [];
  return {
    statements,
    query: async <R>(statement: Statement) => {
      statements.push(statement);
      const at = gates.findIndex(({ matches }) => matches.test(statement.text));
      const [gate] = at === -1 ? [] : gates.splice(at, 1);
      const rows = await system.query<R>(statement);
      gate?.reached();
      await gate?.opened;
      return rows;
    },
    transaction: (work) => system.transaction(work),
    listen: (channel, onMessage, onGap) => system.listen(channel, onMessage, onGap),
    keep: (text) => system.keep(text),
    hold: (matches) => {
      const reached = Promise.withResolvers<void>();
      const opened = Promise.withResolvers<void>();
      gates.push({ matches, reached: reached.resolve, opened: opened.promise });
      return { reached: reached.promise, open: opened.resolve };
    },
  };
}

/** Reads of tenants by id among the statements. */
export function tenantReads(statements: readonly Statement[]): number {
  return statements.filter(({ text }) => text.includes("from freehold.tenants t where t.id = any")).length;
}

/** Checks that an error is a fault with this code and a public part that matches. */
export function fault(code: FaultCode, shown: { readonly field?: string; readonly detail?: RegExp } = {}): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof Fault);
    assert.equal(error.code, code);
    if (shown.field !== undefined) assert.equal(error.public.field, shown.field);
    if (shown.detail !== undefined) assert.match(error.public.detail ?? "", shown.detail);
    return true;
  };
}

/** The tenant, which must be there. */
export async function foundIn(registry: Registry, id: TenantId): Promise<Tenant> {
  const tenant = await registry.find(id);
  if (!tenant) throw new Error(`tenant ${id} was not found`);
  return tenant;
}
