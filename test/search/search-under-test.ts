import type { Json, TenantContext } from "../../src/kernel/index.ts";
import type { DataStore } from "../../src/stores/data/index.ts";
import {
  createLexicalEmbedder,
  createSearchStore,
  type Embedder,
  type SearchHit,
  type SearchItem,
  type SearchQuery,
  type TenantSearch,
} from "../../src/stores/search/index.ts";
import { valueOf } from "../support/tenants.ts";

/** The search of one tenant, with its transactions. */
export interface SearchUnderTest {
  readonly search: TenantSearch;
  /** Puts documents, all in one transaction. What tenant b puts has the canary everywhere. */
  put(...items: readonly (Partial<SearchItem> & { readonly ref: string })[]): Promise<void>;
  remove(ref: string): Promise<void>;
  /** The ten best hits. */
  find(query: string, filter?: SearchQuery["filter"]): Promise<readonly SearchHit[]>;
}

/** The search of the context's tenant in this data store. */
export function searchOf(data: DataStore, context: TenantContext, embedder: Embedder = createLexicalEmbedder()): SearchUnderTest {
  const search = createSearchStore({ data, embedder }).forTenant(context);
  const rows = data.forTenant(context);
  const tenant = context.tenant.id;
  return {
    search,
    put: async (...items) => {
      const prepared = await Promise.all(items.map((item) => search.prepare(itemOf(tenant, item))));
      await rows.transaction(async (tx) => {
        for (const item of prepared) await search.put(tx, item);
      });
    },
    remove: (ref) => rows.transaction((tx) => search.remove(tx, "document", ref)),
    find: (query, filter) => search.query({ query, limit: 10, ...(filter ? { filter } : {}) }),
  };
}

/** An item of the tenant. */
export function itemOf(tenant: string, item: Partial<SearchItem> & { readonly ref: string }): SearchItem {
  const payload: Readonly<Record<string, Json>> = { ...item.payload, ...(tenant === "b" ? { note: valueOf(tenant, "note") } : {}) };
  return {
    kind: item.kind ?? "document",
    ref: item.ref,
    title: valueOf(tenant, item.title ?? ""),
    text: valueOf(tenant, item.text ?? ""),
    payload,
  };
}

/** What orders hits, without their content. */
export function ranking(hits: readonly SearchHit[]): (readonly [ref: string, part: number, score: number])[] {
  return hits.map(({ ref, part, score }) => [ref, part, score] as const);
}
