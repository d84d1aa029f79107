import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { freshDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/engines.ts";
import { Client } from "../support/freehold-client.ts";
import { bearer } from "../support/freehold-seed.ts";
import { type RecordedAgent, says, startRecordedAgent } from "../support/recorded-agent.ts";
import { assertNoCanary, CANARY } from "../support/tenants.ts";
import { freehold, type Running, up } from "./program.ts";

const ROOT_KEY = "ab".repeat(32);

describe("the production profile", () => {
  const folder = temporaryFolder();
  const production = ["up", "--port", "0", "--admin-port", "0", "--json", "--profile", "production"];
  const env = { FREEHOLD_ROOT_KEY: ROOT_KEY };

  const refused = async (
    yaml: string,
    args: readonly string[] = production,
    variables: Readonly<Record<string, string>> = env,
  ): Promise<string> => {
    const config = path.join(folder, "refused.yaml");
    writeFileSync(config, yaml);
    const { code, stdout, stderr } = await freehold([...args, "--config", config, "--data", path.join(folder, "none")], {
      cwd: folder,
      env: variables,
    });
    assert.deepEqual([code, stdout], [1, ""], stderr);
    const { code: fault, detail } = JSON.parse(stderr) as { code: string; detail: string };
    assert.equal(fault, "invalid_settings", stderr);
    return detail;
  };

  test("the development token is refused at boot", async () => {
    assert.match(await refused("identity:\n  developmentToken: true\n"), /developmentToken: is refused in the production profile/);
  });

  test("keys of issuers over plain http are refused at boot", async () => {
    const issuer = 'issuers: [{issuer: "https://id.example", audience: x, tenants: "*", jwksUrl: "http://127.0.0.1:1/keys"}]';
    assert.match(await refused(`identity: {${issuer}}\n`), /https in the production profile/);
  });

  test("PostgreSQL without a root key of one's own is refused at boot", async () => {
    const args = [...production, "--database-url", "postgres://127.0.0.1:1/none"];
    assert.match(await refused("{}\n", args, {}), /FREEHOLD_ROOT_KEY/);
  });

  test("an address that others can reach is production unless said otherwise", async () => {
    assert.match(await refused("host: 0.0.0.0\nidentity: {developmentToken: true}\n", production.slice(0, -2)), /developmentToken/);
  });

  test("a setting that is not known, or given twice, is refused at boot", async () => {
    assert.match(await refused("tenantDefault: acme\n"), /tenantDefault/);
    assert.match(await refused("port: 1\nport: 2\n"), /unique/i);
    assert.match(await refused("defaultTenant: default\n"), /defaultTenant/);
  });

  test("the development token is no credential, and there are no demo tenants", async () => {
    const flags = ["--profile", "production", "--data", path.join(folder, "data"), "--database-url", await freshDatabase()];
    const running = await up(flags, { cwd: folder, env });
    assert.deepEqual(running.tenants, []);
    const operator = new Client(running.url, bearer(running.platformToken));
    assert.equal((await operator.post("/admin/v1/tenants", { id: "acme", name: "Acme" })).status, 201);
    for (const token of ["acme:user-1", "acme:admin", ":", "platform:admin"]) {
      const reply = await new Client(running.url, bearer(token)).get("/users");
      assert.deepEqual([reply.status, reply.code], [401, "unauthenticated"], token);
    }
    const reply = await operator.post("/admin/v1/tenants", {
      id: "x",
      name: "X",
      agentConfig: { invokeUrl: "http://127.0.0.1:1/", protocol: "webhook" },
    });
    assert.equal(reply.code, "egress_denied", "an agent on this machine is for development");
    assert.equal((await running.stop()).code, 0);
  });
});

describe("the agent of the default tenant", () => {
  const folder = temporaryFolder();
  const config = path.join(folder, "freehold.yaml");
  const seen: (Uint8Array | string)[] = [];
  let agent: RecordedAgent;
  let running: Running;
  const as = (credential: Readonly<Record<string, string>>): Client =>
    new Client(running.url, credential, (bytes) => void seen.push(bytes));

  before(async () => {
    agent = await startRecordedAgent(says(`The default agent. ${CANARY}`));
    writeFileSync(
      config,
      `defaultTenant: acme\ndata: ${path.join(folder, "data")}\ndatabase: {url: "${await freshDatabase()}"}\nlogLevel: silent\n`,
    );
    // started in the folder: the settings file is found there without a flag
    running = await up([], { cwd: folder, env: { AGENT_INVOKE_URL: agent.url } });
  });
  afterEach(() => {
    for (const piece of seen.splice(0)) assertNoCanary(piece);
  });
  after(async () => {
    await running.stop("SIGKILL");
    agent.close();
  });

  test("it answers for that tenant", async () => {
    const reply = await new Client(running.url, bearer("acme:user-1")).post("/api/chat", { message: "Hello" });
    assert.match(String(reply.json()["response"]), /^The default agent/);
    assert.equal(agent.received.length, 1);
    assert.equal(agent.received[0]?.headers["x-tenant-id"], "acme");
    assert.equal(agent.received[0]?.headers["authorization"], undefined);
  });

  test("it answers for no other tenant, and for nobody who names none", async () => {
    const globex = await as(bearer("globex:user-1")).post("/api/chat", { message: "Support hours?" });
    assert.equal(globex.status, 200);
    const nobodies: Readonly<Record<string, string>>[] = [
      {},
      bearer("null"),
      bearer(":user-1"),
      bearer("default:user-1"),
      bearer("undefined:user-1"),
      { "x-tenant-id": "acme" },
      { cookie: "freehold_session=acme" },
    ];
    for (const nobody of nobodies) {
      const reply = await as(nobody).post("/api/chat", { message: "Hello", tenantId: "acme" });
      assert.equal(reply.status, 401, JSON.stringify(nobody));
    }
    for (const tenantId of ["", 0, null, false, [], {}]) {
      const reply = await as(bearer("globex:user-1")).post("/api/chat", { message: "Hello", tenantId });
      assert.deepEqual([reply.status, reply.code], [400, "invalid_tenant_id"], JSON.stringify(tenantId));
    }
    assert.equal(agent.received.length, 1);
  });

  test("a default tenant that does not exist ends the start with the reason", async () => {
    const args = [
      "up",
      "--port",
      "0",
      "--admin-port",
      "0",
      "--json",
      "--no-demo",
      "--data",
      path.join(folder, "other"),
      "--database-url",
      await freshDatabase(),
    ];
    const { code, stdout, stderr } = await freehold(args, { cwd: folder, env: { AGENT_INVOKE_URL: agent.url } });
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /there is no tenant acme/);
  });
});
