/** The rooms of `src/` and the floor each is on. A file imports its own room and rooms on lower floors. */
export const FLOORS: Readonly<Record<string, number>> = {
  kernel: 0,
  wire: 1,
  "stores/cache": 1,
  "stores/data": 1,
  "stores/events": 1,
  "stores/files": 1,
  "stores/search": 1,
  "stores/vault": 1,
  // src/stores/*.ts itself: it joins the stores to the scope of one tenant
  stores: 1,
  "tenancy/registry": 2,
  "tenancy/audit": 3,
  "tenancy/identity": 3,
  "tenancy/limits": 3,
  "tenancy/metering": 3,
  "tenancy/policy": 3,
  "tenancy/lifecycle": 4,
  // below the gateway, whose plugins use it
  models: 4,
  agents: 5,
  gateway: 5,
  control: 6,
  // the two that look at an installation from outside
  lint: 6,
  prove: 6,
  infra: 6,
  cli: 7,
  sdk: 7,
};

/** Doors between rooms on the same floor, from -> to. */
export const SIDE_DOORS: Readonly<Record<string, readonly string[]>> = {
  stores: ["stores/cache", "stores/data", "stores/events", "stores/files", "stores/search", "stores/vault"],
  // these are built on the data store, or have an adapter that is; what the cache and the files keep elsewhere, the vault seals
  "stores/cache": ["stores/data", "stores/vault"],
  "stores/events": ["stores/data"],
  "stores/files": ["stores/data", "stores/vault"],
  "stores/search": ["stores/data"],
  "stores/vault": ["stores/data"],
  // both put everything together; what they share of it is at the door of cli
  sdk: ["cli"],
};

/** Packages and built-in modules that only some places may import. A name that ends in `*` stands for all that begin so. */
export const IMPORTERS: Readonly<Record<string, readonly string[]>> = {
  "@ai-sdk/*": ["src/models/translation/"],
  "@electric-sql/*": ["src/stores/data/"],
  // servers that tenants name are spoken to in one place, over the guarded client
  "@modelcontextprotocol/*": ["src/agents/tools/"],
  "@redis/client": ["src/stores/cache/adapters/"],
  aws4: ["src/wire/"],
  commander: ["src/cli/"],
  express: ["src/sdk/"],
  fastify: ["src/sdk/"],
  hono: ["src/sdk/"],
  "html-to-text": ["src/control/reading/"],
  jose: ["src/tenancy/identity/"],
  kysely: ["src/stores/data/"],
  // what strangers upload is read by a process that can be lost
  "node:child_process": ["src/control/reading/"],
  // several processes of one machine are started in one place
  "node:cluster": ["src/cli/"],
  "node:dgram": [],
  "node:http": ["src/wire/"],
  "node:http2": ["src/wire/"],
  "node:https": ["src/wire/"],
  // would import what this table cannot see
  "node:module": [],
  // the embedded database speaks to its own socket
  "node:net": ["src/wire/", "src/stores/data/"],
  "node:tls": ["src/wire/"],
  "node:vm": [],
  pg: ["src/stores/data/"],
  "pg/*": ["src/stores/data/"],
  pino: ["src/cli/"],
  "tar-stream": ["src/tenancy/lifecycle/"],
  undici: ["src/wire/"],
  unpdf: ["src/control/reading/"],
  validator: ["src/models/guardrails/"],
};

/** Where data may be reached without a tenant: `SystemData`, and any property called `system`. */
export const SYSTEM_USERS: readonly string[] = [
  "src/cli/",
  // puts the registry on the data store, as cli does
  "src/sdk/open-house.ts",
  "src/stores/data/",
  "src/stores/events/",
  // the life cycle knows a tenant without a call of it; keys are for the platform's role alone
  "src/stores/files/",
  "src/stores/vault/",
  // providers' keys and what tenants have used are for the platform's role alone
  "src/models/",
  "src/tenancy/audit/",
  // what is done to a tenant outlives it, and is not its own
  "src/tenancy/lifecycle/",
  "src/tenancy/registry/",
];

/** Where the environment and the arguments of the process may be read. */
export const ENVIRONMENT_READERS: readonly string[] = ["src/cli/"];

/** Lines of one file, and of one function. */
export const FILE_LINES_MAX = 400;
export const FUNCTION_LINES_MAX = 70;

/**
 * What was there before its rule: place -> size. An entry may only get smaller, and goes when the rule is kept.
 * Nothing new is put in.
 */
export const LONG_FILES: Readonly<Record<string, number>> = {};
/** Keyed `path#function`. */
export const LONG_FUNCTIONS: Readonly<Record<string, number>> = {};
/** Exported names without a sentence of what they guarantee, per file. */
export const UNDOCUMENTED: Readonly<Record<string, number>> = {};
