import { defineTables } from "../../src/stores/data/index.ts";

declare module "../../src/stores/data/port.ts" {
  interface TenantTables {
    readonly letters: { id: string; body: string };
  }
}

/** A table with a sealed column. */
export const LETTERS = defineTables([
  {
    name: "letters",
    create: { letters: { columns: { id: "text not null", body: "bytea not null" }, key: ["id"], sealed: ["body"] } },
  },
]);
