import { defineTables, type TableStep } from "../../src/stores/data/index.ts";

declare module "../../src/stores/data/port.ts" {
  interface TenantTables {
    readonly notes: { id: string; board: string; body: string };
  }
}

/** The tables of an application of these tests: boards with notes on them. */
export const FIRST: TableStep = {
  name: "notes",
  create: {
    boards: { columns: { id: "text not null", title: "text not null" }, key: ["id"], unique: [["title"]] },
    notes: {
      columns: {
        id: "text not null",
        board: "text not null",
        body: "text not null",
        marks: "jsonb not null default '{}'",
        words: "tsvector not null generated always as (to_tsvector('simple', body)) stored",
        at: "timestamptz not null default now()",
      },
      key: ["id"],
      references: [{ columns: ["board"], table: "boards", onDelete: "cascade" }],
      indexes: [["board", "at"]],
      search: { words: { column: "words", by: "text" }, marks: { column: "marks", by: "json" } },
    },
  },
};

/** A step that only adds. */
export const SECOND: TableStep = {
  name: "colour",
  expand: "alter table notes add column colour text; update notes set colour = 'yellow'; create index on notes (tenant_id, colour)",
};

/** A step that takes away what the first program used. */
export const THIRD: TableStep = { name: "no-marks", contract: "alter table notes drop column marks" };

/** What the application declares at first. */
export const NOTES = defineTables([FIRST]);
