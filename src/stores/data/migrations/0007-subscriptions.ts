import type { Migration } from "./migration.ts";

/** Who is told of which topics: kept in the database, so that every process that moves events out of the outbox knows all consumers. */
export const subscriptions: Migration = {
  version: 7,
  name: "subscriptions",
  sql: ({ roles }) => `
create table freehold.subscriptions (
  consumer text collate "C" not null,
  topic text collate "C" not null,
  since timestamptz not null default now(),
  primary key (consumer, topic)
);
grant select, insert, delete on freehold.subscriptions to ${roles.system};
`,
};
