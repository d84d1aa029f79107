import { Fault, type Json, type StoreMove } from "../../kernel/index.ts";
import { type Management, withManagement } from "../installation.ts";
import type { CommonFlags } from "../options.ts";
import { print, printOne, printRows, progress } from "../terminal.ts";

/** The flags of `tenant create`. */
export interface TenantCreateFlags extends CommonFlags {
  readonly name?: string;
  readonly plan?: string;
  readonly isolation?: string;
  readonly locale?: string;
  readonly agentUrl?: string;
  readonly agentProtocol?: string;
  readonly agentModel?: string;
  readonly agentTimeout?: string;
}

const COLUMNS = ["id", "name", "plan", "isolationLevel", "status", "version"] as const;
const PAGE = 200;

/** Registers a tenant. */
export async function createTenant(id: string, flags: TenantCreateFlags): Promise<void> {
  const agent = {
    ...(flags.agentUrl !== undefined && { invokeUrl: flags.agentUrl }),
    ...(flags.agentProtocol !== undefined && { protocol: flags.agentProtocol }),
    ...(flags.agentModel !== undefined && { model: flags.agentModel }),
    ...(flags.agentTimeout !== undefined && { timeout: toMilliseconds(flags.agentTimeout) }),
  };
  const body: Json = {
    id,
    name: flags.name ?? id,
    ...(flags.plan !== undefined && { plan: flags.plan }),
    ...(flags.isolation !== undefined && { isolationLevel: flags.isolation }),
    ...(flags.locale !== undefined && { locale: flags.locale }),
    ...(Object.keys(agent).length > 0 && { agentConfig: agent }),
  };
  await show(flags, (management) => management.call("POST", "/admin/v1/tenants", body));
}

/** Prints all tenants. */
export async function listTenants(flags: CommonFlags): Promise<void> {
  const tenants = await withManagement(flags, readAll);
  printRows(tenants, COLUMNS, flags.json);
}

/** Prints one tenant with everything its plan gives it. */
export async function showTenant(id: string, flags: CommonFlags): Promise<void> {
  await show(flags, (management) => management.call("GET", tenantPath(id)));
}

/** Stops serving a tenant. */
export async function suspendTenant(id: string, flags: CommonFlags): Promise<void> {
  await show(flags, (management) => management.call("POST", `${tenantPath(id)}/suspend`));
}

/** Serves a tenant again. */
export async function resumeTenant(id: string, flags: CommonFlags): Promise<void> {
  await show(flags, (management) => management.call("POST", `${tenantPath(id)}/resume`));
}

/** The flags of `tenant move`. */
export interface TenantMoveFlags extends CommonFlags {
  readonly to?: string;
  readonly search?: string;
  readonly files?: string;
  readonly confirm?: boolean;
}

/** Moves a tenant's part of each named store to another place while it is served, or deletes the places that it has left. */
export async function moveTenant(id: string, flags: TenantMoveFlags): Promise<void> {
  if (flags.confirm) return await show(flags, (management) => management.call("POST", `${tenantPath(id)}/move/confirm`));
  const { to: data, search, files } = flags;
  const targets = { ...(data !== undefined && { data }), ...(search !== undefined && { search }), ...(files !== undefined && { files }) };
  if (Object.keys(targets).length === 0) {
    throw new Fault("invalid_settings", "no target", {
      public: { detail: "Say what is to go where with --to, --search or --files, or --confirm." },
    });
  }
  const answer = await withManagement(flags, async (management) => {
    for (;;) {
      const told = (await management.call("POST", `${tenantPath(id)}/move`, targets)) as MoveAnswer; // the call's own shape
      if (!told.moving) return told;
      progress(`moving ${id}`);
    }
  });
  if (flags.json) return print(JSON.stringify(answer));
  for (const { store, source, target, parts, fenceMs, elapsedMs } of answer.moved ?? []) {
    const items = parts.reduce((sum, part) => sum + part.items, 0);
    print(
      `${store}: ${source} to ${target} in ${elapsedMs} ms; writes waited ${fenceMs} ms; ${items} items in ${parts.length} parts compared`,
    );
  }
  print(`The old places are kept until: freehold tenant move ${id} --confirm`);
}

/** What the call to move answers: that it goes on, or what was moved. */
interface MoveAnswer {
  readonly moving?: object;
  readonly moved?: readonly ({ readonly store: string } & StoreMove)[];
}

/** The management API's path of a tenant. */
export function tenantPath(id: string): string {
  return `/admin/v1/tenants/${encodeURIComponent(id)}`;
}

async function show(flags: CommonFlags, call: (management: Management) => Promise<Json>): Promise<void> {
  const tenant = await withManagement(flags, call);
  printOne({ ...(tenant as object) }, flags.json); // the call answers with a tenant
}

async function readAll(management: Management): Promise<readonly Record<string, unknown>[]> {
  const tenants: ({ readonly id: string } & Record<string, unknown>)[] = [];
  for (;;) {
    const after = tenants.at(-1)?.id ?? "";
    const page = await management.call("GET", `/admin/v1/tenants?limit=${PAGE}&after=${after}`);
    const found = (page as { tenants: typeof tenants }).tenants; // the call's own shape
    tenants.push(...found);
    if (found.length < PAGE) return tenants;
  }
}

function toMilliseconds(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Fault("invalid_settings", text, { public: { detail: `--agent-timeout takes milliseconds, not ${text}.` } });
}
