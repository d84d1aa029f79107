import type { Migration } from "./migration.ts";

/** Which tenants in shared rows have what is searched in a table of their own. */
export const ownSearch: Migration = {
  version: 18,
  name: "own-search",
  sql: () => `
alter table freehold.homes add column own_search boolean not null default false, add check (not own_search or model = 'row');
`,
};
