import type { Bench } from "./bench.ts";
import { scopingOnPglite } from "./scoping-pglite.ts";
import { scopingOnPostgres } from "./scoping-postgres.ts";

/** What it costs that the engine itself keeps tenants apart, against a hand-written `WHERE tenant_id = …` in a named statement. */
export const scopingBench: Bench = {
  name: "scoping",
  run: async (options) => [...(await scopingOnPostgres(options)), ...(await scopingOnPglite(options))],
};
