import { type Fault, toFault } from "../../kernel/index.ts";
import type { KeyRow, KeyTable } from "./key-table.ts";
import type { KeyBinding, RewrapReport } from "./port.ts";
import type { RootList } from "./root-list.ts";

const PAGE = 100;
const FIRST: KeyBinding = { tenant: "00000000-0000-0000-0000-000000000000", purpose: "", version: 0 };

/** What a pass works with. */
export interface RewrapPorts {
  readonly table: KeyTable;
  readonly roots: RootList;
  readonly report: (fault: Fault) => void;
}

/**
 * One pass over the keys of all tenants, or of one. What is done is in the table alone: a pass after a kill finds the rest. One key that
 * cannot be unwrapped keeps no other from going on.
 */
export async function rewrapKeys(
  ports: RewrapPorts,
  { tenant, signal }: { readonly tenant?: string; readonly signal?: AbortSignal },
): Promise<RewrapReport> {
  let [rewrapped, failed] = [0, 0];
  const inForce = new Map<string | null, Promise<string>>();
  const shared = ports.roots.inForce(null);
  inForce.set(null, shared);
  // where it cannot be told, every key is looked at, and those of tenants with a root key of their own go on
  const query = { inForce: await shared.catch(() => ""), limit: PAGE, ...(tenant !== undefined && { tenant }) };
  let after = FIRST;
  for (;;) {
    const page = await ports.table.page(after, query);
    for (const row of page) {
      if (signal?.aborted === true) return { rewrapped, failed };
      try {
        if (await rewrapOne(ports, row, row.own, inForce)) rewrapped++;
      } catch (error) {
        failed++;
        ports.report(toFault(error));
      }
    }
    const last = page.at(-1);
    if (!last) return { rewrapped, failed };
    after = last;
  }
}

async function rewrapOne(
  { table, roots }: RewrapPorts,
  row: KeyRow,
  own: string | null,
  inForce: Map<string | null, Promise<string>>,
): Promise<boolean> {
  let asked = inForce.get(own);
  if (!asked) inForce.set(own, (asked = roots.inForce(own)));
  if ((await asked) === row.wrapped.root) return false;
  const dataKey = await roots.unwrap(row.wrapped, row);
  const next = await roots.wrap(dataKey, row, own);
  dataKey.fill(0);
  return await table.replace(row, next);
}
