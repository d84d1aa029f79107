import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { before, describe, test } from "node:test";
import { createKeyring, systemClock } from "../../src/kernel/index.ts";
import { PROOF_LAYERS } from "../../src/prove/attempt.ts";
import type { ProofReport } from "../../src/prove/index.ts";
import { createSigningKey, createTokenIssuer, ownSigningKey, signStatement } from "../../src/tenancy/identity/index.ts";
import { type Ended, freehold, type Running, up } from "../e2e/program.ts";
import { freshDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/engines.ts";
import { tenantIdOf } from "../support/tenants.ts";
import { type Fault, startFront } from "./leaky-front.ts";

const folder = temporaryFolder();
const ROOT_KEY = "5a".repeat(32);
const tokens = createTokenIssuer(ownSigningKey(createKeyring(Buffer.from(ROOT_KEY, "hex"))), systemClock);
const surroundings = { cwd: folder, env: { FREEHOLD_ROOT_KEY: ROOT_KEY } };
const GATEWAY = `routes:
  - { id: orders, uri: /orders/*, upstream: { type: roundrobin, nodes: { "127.0.0.1:9": 1 } } }
#END
`;
let server: Running;
let flags: readonly string[] = [];

before(async () => {
  writeFileSync(path.join(folder, "gateway.yaml"), GATEWAY);
  // one proof after the other from one address would wait for the minute of its failed credentials
  writeFileSync(path.join(folder, "freehold.yaml"), "identity: { failedCredentials: { max: 100000, windowSeconds: 60 } }\n");
  flags = ["--data", path.join(folder, "data"), "--database-url", await freshDatabase()];
  server = await up([...flags, "--no-demo", "--gateway", "gateway.yaml"], surroundings);
});

function prove(...args: readonly string[]): Promise<Ended> {
  return freehold(["prove", ...flags, ...args], surroundings);
}

/** Attacks the installation through a front with a fault. */
async function proveThrough(fault: Fault, out: string): Promise<{ readonly code: number | null; readonly report: ProofReport }> {
  const front = await startFront(server.url, fault);
  const { code, stdout, stderr } = await prove("--url", front, "--admin-url", server.adminUrl, "--out", out, "--json");
  assert.notEqual(stdout, "", stderr);
  return { code, report: JSON.parse(stdout) as ProofReport };
}

describe("freehold prove", () => {
  test("attacks every layer, finds nothing foreign, and signs what it says", async () => {
    const { code, stdout, stderr } = await prove("--out", "sound.jws");
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /Isolation held in all (\d{3,}) attempts: [\d,]+ bytes were read, and none of them was the other tenant's\./);
    for (const layer of PROOF_LAYERS) assert.match(stdout, new RegExp(`^${layer} +([1-9]\\d*) +\\1 +0$`, "m"));
    assert.match(stdout, /both tenants were emptied, suspended and given up for erasure/);
    const checked = await prove("--verify", "sound.jws");
    assert.equal(checked.code, 0, checked.stderr);
    const unsigned = (text: string): string => text.replace(/Signed by.*/, "");
    assert.equal(unsigned(checked.stdout), unsigned(stdout));
  });

  test("leaves nothing that is served: both tenants are erased", async () => {
    const listed = await freehold(["tenant", "list", "--json", ...flags], surroundings);
    const made = (JSON.parse(listed.stdout) as { id: string; status: string }[]).filter(({ id }) => id.startsWith("prove-"));
    assert.equal(made.length, 2);
    for (const { status } of made) assert.ok(isGone(status), status);
  });

  test("a report is not believed once a letter of it was changed, nor under another installation's keys, nor as another kind", async () => {
    const text = readFileSync(path.join(folder, "sound.jws"), "utf8");
    const [head = "", payload = "", signature = ""] = text.trim().split(".");
    const report = JSON.parse(Buffer.from(payload, "base64url").toString()) as ProofReport;
    const changed = Buffer.from(JSON.stringify({ ...report, url: "https://other.example" })).toString("base64url");
    const stranger = createSigningKey();
    const forgeries = {
      changed: `${head}.${changed}.${signature}`,
      stranger: signStatement(stranger, "freehold-isolation-proof+json", report),
      kind: signStatement(ownSigningKey(createKeyring(Buffer.from(ROOT_KEY, "hex"))), "something-else+json", report),
      token: tokens.issuePlatform({ sub: "x", roles: ["admin"], lifetimeMs: 60_000 }),
      nothing: "not a report",
    };
    for (const [name, forged] of Object.entries(forgeries)) {
      writeFileSync(path.join(folder, `${name}.jws`), forged);
      const { code, stdout, stderr } = await prove("--verify", `${name}.jws`);
      assert.deepEqual([code, stdout], [2, ""], name);
      assert.match(stderr, /is not what a key of .* has signed/);
    }
    writeFileSync(path.join(folder, "keys.json"), JSON.stringify(createTokenIssuer(stranger, systemClock).jwks()));
    assert.equal((await prove("--verify", "sound.jws", "--jwks", "keys.json")).code, 2);
    assert.equal((await prove("--verify", "stranger.jws", "--jwks", "keys.json")).code, 0);
  });

  test("does not attack an installation whose key it does not have", async () => {
    const other = { cwd: folder, env: { FREEHOLD_ROOT_KEY: "6b".repeat(32) } };
    const { code, stderr } = await freehold(["prove", ...flags, "--url", server.url], other);
    assert.equal(code, 2);
    assert.match(stderr, /The root key here is not that of/);
  });
});

describe("the prover can fail", () => {
  test("a cache that forgets the tenant is found, and the attempts are named", async () => {
    const kept = new Map<string, ReturnType<NonNullable<Fault["after"]>>>();
    const { code, report } = await proveThrough(
      {
        before: ({ method, url = "" }) => (method === "GET" ? kept.get(url) : undefined),
        after: ({ method, url = "" }, answer) => {
          if (method === "GET" && answer.status === 200 && url !== "/openapi.json") kept.set(url, answer);
          return answer;
        },
      },
      "cache.jws",
    );
    assert.equal(code, 1);
    assert.ok(report.totals.foreignBytes > 0);
    assert.ok(named(report, "leaked").includes("GET /users"), named(report, "leaked").join("\n"));
    assert.ok(named(report, "leaked").some((name) => name.startsWith("GET /users/{id} of the victim")));
    const told = await prove("--verify", "cache.jws");
    assert.equal(told.code, 1);
    assert.match(
      told.stdout,
      /FAILED {2}users: GET \/users\n {8}bytes of the other tenant were in the answer \(status 200, \d+ foreign bytes\)/,
    );
  });

  test("a front that believes a field over the credential is found, by the name of the field", async () => {
    const { code, report } = await proveThrough(
      {
        rewrite(fields) {
          const at = fields.findIndex((name, index) => index % 2 === 0 && name === "X_Tenant_ID");
          const id = fields[at + 1] ?? "";
          if (at < 0 || !id.startsWith("prove-")) return fields;
          const token = tokens.issue({ sub: "u", tenantId: tenantIdOf(id), roles: ["admin"], lifetimeMs: 60_000 });
          return ["host", "localhost", "authorization", `Bearer ${token}`];
        },
      },
      "field.jws",
    );
    assert.equal(code, 1);
    assert.deepEqual(
      named(report, "leaked"),
      ["/users", "/users/{id of the victim}", "/documents", "/api/sessions"].map((target) => `GET ${target} with X_Tenant_ID`),
    );
    assert.deepEqual(named(report, "answered"), []);
  });

  test("a front that believes a field at the opening of a WebSocket is found, and what came over it is searched", async () => {
    const { code, report } = await proveThrough(
      {
        rewrite(fields) {
          const names = fields.map((name) => name.toLowerCase());
          const id = fields[names.indexOf("x-tenant-id") + 1] ?? "";
          if (!names.includes("upgrade") || !names.includes("x-tenant-id") || !id.startsWith("prove-victim-")) return fields;
          const token = tokens.issue({ sub: "u", tenantId: tenantIdOf(id), roles: ["admin"], lifetimeMs: 60_000 });
          const kept = fields.filter((_, at) => /^(?:host|connection|upgrade|sec-)/.test(names[at - (at % 2)] ?? ""));
          return [...kept, "authorization", `Bearer ${token}`];
        },
      },
      "socket.jws",
    );
    assert.equal(code, 1);
    assert.deepEqual(
      named(report, "answered").filter((name) => name.startsWith("/api/chat/socket")),
      [
        "X-Tenant-ID of the victim",
        "a key of the attacker and X-Tenant-ID of the victim",
        "the attacker's cookie and X-Tenant-ID of the victim",
      ].map((name) => `/api/chat/socket with ${name}`),
    );
  });

  test("a socket that has become the victim's is found by what it says", async () => {
    let victim = "";
    const { code, report } = await proveThrough(
      {
        rewrite(fields) {
          victim = fields.find((field) => /^prove-victim-[0-9a-f]+$/.test(field)) ?? victim;
          if (victim === "" || !fields.some((field) => field.toLowerCase() === "upgrade")) return fields;
          const token = tokens.issue({ sub: "u", tenantId: tenantIdOf(victim), roles: ["admin"], lifetimeMs: 60_000 });
          return fields.map((field) => (field.startsWith("Bearer ") ? `Bearer ${token}` : field));
        },
      },
      "victims-socket.jws",
    );
    assert.equal(code, 1);
    const leaked = named(report, "leaked");
    assert.ok(leaked.includes("/api/chat/socket, question 1 about the victim"), leaked.join("\n"));
    assert.ok(named(report, "answered").includes("/api/chat/socket, a message with tenantId of the victim"));
  });

  test("an answer that tells a foreign id from none is found, though it has no foreign byte", async () => {
    const { code, report } = await proveThrough(
      {
        after: ({ url = "" }, answer) =>
          url.includes("only-victim-") && answer.status === 404 ? { ...answer, headers: { ...answer.headers, "x-exists": "1" } } : answer,
      },
      "telling.jws",
    );
    assert.equal(code, 1);
    assert.equal(report.totals.foreignBytes, 0);
    assert.ok(named(report, "told").includes("GET /documents/{id} of the victim, compared with one that nobody has"));
  });

  test("a proof that cannot be carried out erases its tenants all the same", async () => {
    const front = await startFront(server.url, {
      after: ({ url }, answer) => (url === "/openapi.json" ? { ...answer, status: 404 } : answer),
    });
    const { code, stdout, stderr } = await prove("--url", front, "--admin-url", server.adminUrl, "--out", "none.jws");
    assert.deepEqual([code, stdout, existsSync(path.join(folder, "none.jws"))], [2, "", false]);
    assert.match(stderr, /does not list its calls at \/openapi\.json/);
    const listed = await freehold(["tenant", "list", "--json", ...flags], surroundings);
    const states = (JSON.parse(listed.stdout) as { id: string; status: string }[]).map(({ status }) => status);
    for (const status of states) assert.ok(isGone(status), status);
  });

  test("a refusal that became an answer is found", async () => {
    const { code, report } = await proveThrough(
      { after: (_asked, answer) => (answer.status === 403 ? { ...answer, status: 200, body: Buffer.from("{}") } : answer) },
      "yielding.jws",
    );
    assert.equal(code, 1);
    assert.ok(named(report, "answered").includes("GET /users with X-Tenant-ID of the victim"));
  });
});

function named({ attempts }: ProofReport, verdict: string): readonly string[] {
  return attempts.filter((attempt) => attempt.verdict === verdict).map(({ name }) => name);
}

/** An erasure waits until every process refuses the tenant, and goes on by itself. */
function isGone(status: string): boolean {
  return status === "deleting" || status === "erased";
}
