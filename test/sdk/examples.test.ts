import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { freshDatabase, templateFolder } from "../support/databases.ts";
import { copyTemplate } from "../support/embedded-template.ts";
import { temporaryFolder } from "../support/engines.ts";
import { freePort } from "../support/ports.ts";
import { assertNoCanary, CANARY } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import { type Running, type Serving, startServing, up } from "../e2e/program.ts";
import { sendRaw, type ServiceReply } from "./service.ts";

const EXAMPLES = path.join(import.meta.dirname, "../../examples");

for (const engine of ["a folder of its own", "the gateway's PostgreSQL"] as const) {
  describe(`user-service and report-worker behind freehold up, on ${engine}`, () => {
    const folder = temporaryFolder();
    const processes: Serving[] = [];
    const seenByAcme: string[] = [];
    let gateway: Running;
    let serviceUrl = "";

    before(async () => {
      const port = await freePort();
      const document = readFileSync(path.join(EXAMPLES, "gateway.yaml"), "utf8");
      const routes = path.join(folder, "gateway.yaml");
      writeFileSync(routes, document.replace("127.0.0.1:3001", `127.0.0.1:${port}`));
      const run = async (name: string, env: Record<string, string>): Promise<Serving & { line: string }> => {
        const started = await startServing(path.join(EXAMPLES, name, "main.ts"), [], { cwd: folder, env: { PORT: String(port), ...env } });
        processes.push(started);
        return started;
      };
      if (engine === "a folder of its own") {
        const [own, service] = [copyTemplate(await templateFolder()), copyTemplate(await templateFolder())];
        after(() => [own, service].forEach((made) => rmSync(made, { recursive: true, force: true })));
        // each makes a root key of its own: the service knows none of the gateway's secrets
        gateway = await up(["--data", own, "--gateway", routes], { cwd: folder });
        await run("report-worker", { FREEHOLD_URL: gateway.url, USER_SERVICE_DATA: service });
      } else {
        const database = ["--database-url", await freshDatabase()] as const;
        gateway = await up(["--data", path.join(folder, "data"), "--gateway", routes, ...database], { cwd: folder });
        await run("user-service", { FREEHOLD_URL: gateway.url, FREEHOLD_DATABASE_URL: database[1] });
        await run("report-worker", { FREEHOLD_DATABASE_URL: database[1] });
      }
      serviceUrl = `http://127.0.0.1:${port}`;
      await create("globex", `Hank ${CANARY}`);
    });
    afterEach(() => {
      for (const text of seenByAcme.splice(0)) assertNoCanary(text);
    });
    after(async () => {
      for (const each of [...processes, gateway]) await each.stop("SIGKILL");
    });

    const call = async (tenant: string, route: string, body?: object): Promise<ServiceReply> => {
      const token = gateway.tenants.find(({ id }) => id === tenant)?.token ?? "";
      const fields = ["Authorization", `Bearer ${token}`, ...(body ? ["Content-Type", "application/json"] : [])];
      const text = body && JSON.stringify(body);
      const sized = text === undefined ? fields : [...fields, "Content-Length", String(Buffer.byteLength(text))];
      const reply = await sendRaw(`${gateway.url}/user-service${route}`, sized, text);
      if (tenant === "acme") seenByAcme.push(JSON.stringify(reply.headers), reply.text);
      return reply;
    };
    const create = async (tenant: string, name: string): Promise<void> => {
      const reply = await call(tenant, "/users/create", { name });
      assert.equal(reply.status, 201, reply.text);
    };
    const names = async (tenant: string): Promise<string[]> => {
      const { users } = JSON.parse((await call(tenant, "/users")).text) as { users: { name: string }[] };
      return users.map(({ name }) => name);
    };

    test("each tenant sees its own users and no others", async () => {
      await create("acme", "Ann");
      assert.ok((await names("acme")).includes("Ann"));
      assert.ok(!(await names("globex")).includes("Ann"));
      assert.ok((await names("globex")).some((name) => name.includes(CANARY)));
    });

    test("each tenant gets a report of its own users, from their events", async () => {
      await create("acme", "Bob");
      const report = async (tenant: string): Promise<string> => (await call(tenant, "/reports/users")).text;
      await until("the report of acme tells of Bob", async () => (await report("acme")).includes("Bob"));
      const count = (await names("acme")).length;
      await until("the report of acme has them all", async () => (await report("acme")).includes(`acme has ${count} users.`));
      await until("the report of globex", async () => (await report("globex")).includes("globex has"));
      assert.ok(!(await report("globex")).includes("Bob"));
    });

    test("whoever goes around the gateway is refused", async () => {
      for (const fields of [[], ["X-Tenant-ID", "acme"], ["Authorization", "Bearer acme:user-1"]]) {
        const reply = await sendRaw(`${serviceUrl}/users`, fields);
        assert.equal(reply.status, 401, reply.text);
      }
    });

    test("a user without a name is refused with what to send", async () => {
      const reply = await call("acme", "/users/create", { title: "Dr" });
      assert.equal(reply.status, 400);
      assert.match(reply.text, /Send \{\\"name/);
    });

    test("they end in order when they are told to", async () => {
      for (const each of processes) {
        const { code, stderr } = await each.stop();
        assert.equal(code, 0, stderr);
      }
    });
  });
}
