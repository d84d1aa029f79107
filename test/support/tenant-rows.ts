import type { DataModel } from "../../src/kernel/index.ts";
import type { DataStore, TenantData } from "../../src/stores/data/index.ts";
import { sql } from "../../src/stores/data/index.ts";
import { contextOf, valueOf } from "./tenants.ts";

/** The handles of tenants a and b, whose rows have the same ids and differ in their values only. */
export interface TwoTenants {
  readonly a: TenantData;
  readonly b: TenantData;
}

/** How many documents each tenant has: their ids are doc-1, doc-2, … */
export const DOCUMENTS = 3;
export const SESSION = "session-1";

/**
 * Stores the same rows for a and b, under the same ids, in the tables a tenant has. Every value of b carries the canary. Both are in homes of
 * this model.
 */
export async function storeTwoTenants(store: DataStore, model: DataModel = "row"): Promise<TwoTenants> {
  for (const name of ["a", "b"]) if (model !== "row") await store.homes.place(contextOf(name).tenant, model);
  const [a, b] = [store.forTenant(contextOf("a")), store.forTenant(contextOf("b"))];
  await storeRows(a, "a");
  await storeRows(b, "b");
  return { a, b };
}

async function storeRows(data: TenantData, name: string): Promise<void> {
  const { uuid } = contextOf(name).tenant;
  const value = (text: string): string => valueOf(name, text);
  const json = JSON.stringify({ note: value("note") });
  await data.transaction(async (tx) => {
    await tx.query(sql`insert into users (tenant_id, id, email, name, roles, metadata)
      values (${uuid}, 'user-1', ${value("ann@example.com")}, ${value("Ann")}, ${["member"]}, ${json})`);
    for (let number = 1; number <= DOCUMENTS; number++) {
      await tx.query(sql`insert into documents (tenant_id, id, title, body, metadata, created_by)
        values (${uuid}, ${`doc-${number}`}, ${value(`title ${number}`)}, ${value("body")}, ${json}, 'user-1')`);
    }
    await tx.query(sql`insert into sessions (tenant_id, id, user_id, platform, metadata)
      values (${uuid}, ${SESSION}, 'user-1', 'web', ${json})`);
    await tx.query(sql`insert into messages (tenant_id, session_id, seq, id, role, body)
      values (${uuid}, ${SESSION}, 1, ${uuid}, 'user', ${value("Hello")})`);
  });
}
