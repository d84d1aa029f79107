import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createRouteTable, type Services } from "../../src/control/index.ts";
import type { Operation } from "../../src/gateway/index.ts";
import { clockBehind, type Freehold, guard, startFreehold } from "../support/freehold.ts";
import { type Client, Reply } from "../support/freehold-client.ts";
import { bearer, type TenantName } from "../support/freehold-seed.ts";
import { tenantIdOf } from "../support/tenants.ts";
import { ADMIN_ROWS, bodyOf, MAIN_ROWS, type Row, type Target } from "./decision-rows.ts";

/** Somebody who calls, and what the design says of each level of access: let in, or refused with this code. */
interface Caller {
  readonly name: string;
  readonly credential: Readonly<Record<string, string>>;
  /** Whose calls are made; a's for whoever is of no tenant. */
  readonly tenant: TenantName;
  decide(row: Row): "in" | RefusalCode;
}

const STATUS = { unauthenticated: 401, forbidden: 403, tenant_suspended: 403, tenant_not_ready: 503 } as const;
type RefusalCode = keyof typeof STATUS;

const freehold = await startFreehold();
// only paths and rules are read: the services are not used before an operation runs
const routes = createRouteTable({} as Services);

describe("the decision table", () => {
  guard(freehold);

  for (const [port, operations, rows] of [
    ["main", routes.main, MAIN_ROWS],
    ["admin", routes.admin, ADMIN_ROWS],
  ] as const) {
    test(`every operation of the ${port} port has a row, and every row an operation`, () => {
      assert.deepEqual(operations.map(keyOf).toSorted(), Object.keys(rows).toSorted());
    });

    describe(`the ${port} port`, () => {
      for (const operation of operations) {
        const row = rows[keyOf(operation)];
        if (row) test(`${keyOf(operation)} lets in ${wordsFor(row)} and nobody else`, () => assertDecisions(port, operation, row));
      }
    });
  }
});

function keyOf({ method, path }: Operation): string {
  return `${method} ${path}`;
}

function wordsFor({ who, scope }: Row): string {
  if (who === "anybody") return "anybody whose credential is not faulty";
  return scope === undefined ? `platform ${who}s` : `tenant ${who}s with the scope ${scope}`;
}

/** All refusals together change nothing anywhere; then each who may is let in. */
async function assertDecisions(port: "main" | "admin", operation: Operation, row: Row): Promise<void> {
  const everybody = callers(freehold);
  const target = await row.target(freehold, "a");
  const before = await freehold.fingerprint("everything");
  for (const caller of everybody) {
    const decision = caller.decide(row);
    if (decision === "in") continue;
    const { status, code } = await call(clientOf(caller, port), operation, target);
    assert.deepEqual({ status, code }, { status: STATUS[decision], code: decision }, caller.name);
  }
  assert.deepEqual(await freehold.fingerprint("everything"), before, "a refused call changed something");
  const received = freehold.agents.a.received.length;
  for (const caller of everybody.filter((each) => each.decide(row) === "in")) {
    const reply = await call(clientOf(caller, port), operation, await row.target(freehold, caller.tenant));
    assert.equal(reply.status, row.status, `${caller.name}: ${reply.text}`);
  }
  if (row.scope !== "chat") assert.equal(freehold.agents.a.received.length, received, "an agent was called");
}

function clientOf({ credential, tenant }: Caller, port: "main" | "admin"): Client {
  const trusted = tenant === "b" || credential === freehold.platform.admin || credential === freehold.platform.viewer;
  return trusted ? freehold.trusted(credential, port) : freehold.as(credential, port);
}

async function call(client: Client, { method, accept }: Operation, target: Target): Promise<Reply> {
  if (!accept) return await client.send(method, target.path, bodyOf(target));
  const opened = await client.socket(target.path);
  if (opened instanceof Reply) return opened;
  opened.close();
  return new Reply(101, {}, Buffer.alloc(0));
}

function callers({ credentials, platform, issuerAt }: Freehold): readonly Caller[] {
  const { a, b } = credentials;
  const expired = issuerAt(clockBehind(7_200_000)).issue({ sub: "u3", tenantId: tenantIdOf("a"), roles: ["admin"], lifetimeMs: 3_600_000 });
  const unknown = issuerAt(clockBehind(0)).issue({ sub: "u3", tenantId: tenantIdOf("nobody"), roles: ["admin"], lifetimeMs: 3_600_000 });
  const [head = "", payload = ""] = (a.admin["authorization"] ?? "").slice("Bearer ".length).split(".");
  const refused = (name: string, credential: Readonly<Record<string, string>>, code: RefusalCode): Caller => ({
    name,
    credential,
    tenant: "a",
    decide: () => code,
  });
  return [
    { name: "anonymous", credential: {}, tenant: "a", decide: ({ who }) => (who === "anybody" ? "in" : "unauthenticated") },
    { name: "member of a", credential: a.member, tenant: "a", decide: member },
    { name: "admin of a", credential: a.admin, tenant: "a", decide: admin },
    { name: "key of a with all scopes", credential: a.key, tenant: "a", decide: admin },
    {
      name: "key of a for chat",
      credential: a.chatKey,
      tenant: "a",
      decide: (row) => (row.scope === undefined || row.scope === "chat" ? member(row) : "forbidden"),
    },
    { name: "member of b", credential: b.member, tenant: "b", decide: member },
    {
      name: "viewer of the platform",
      credential: platform.viewer,
      tenant: "a",
      decide: ({ who }) => (who === "viewer" || who === "anybody" ? "in" : "forbidden"),
    },
    {
      name: "operator",
      credential: platform.admin,
      tenant: "a",
      decide: ({ who }) => (who === "member" || who === "admin" ? "forbidden" : "in"),
    },
    refused("a faulty token", bearer(`${head}.${payload}.${"A".repeat(86)}`), "unauthenticated"),
    refused("no token at all", { authorization: "Bearer null" }, "unauthenticated"),
    refused("an expired token", bearer(expired), "unauthenticated"),
    refused("a revoked key", a.revokedKey, "unauthenticated"),
    refused("a token of an unknown tenant", bearer(unknown), "unauthenticated"),
    refused("a token of the deleted tenant", credentials.d.admin, "unauthenticated"),
    refused("a key of the deleted tenant", credentials.d.key, "unauthenticated"),
    refused("a token of the suspended tenant", credentials.s.admin, "tenant_suspended"),
    refused("a key of the suspended tenant", credentials.s.key, "tenant_suspended"),
    refused("a token of a tenant that is not ready", credentials.p.admin, "tenant_not_ready"),
  ];
}

function member({ who }: Row): "in" | RefusalCode {
  return who === "member" || who === "anybody" ? "in" : "forbidden";
}

function admin(row: Row): "in" | RefusalCode {
  return row.who === "admin" ? "in" : member(row);
}
