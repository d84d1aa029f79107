import type { Migration } from "./migration.ts";

/** What people see of a channel can be changed: its name, and the settings of a website. */
export const channelChanges: Migration = {
  version: 38,
  name: "channel-changes",
  sql: ({ roles }) => `
grant update (name, settings) on freehold.channel_installations to ${roles.system};
`,
};
