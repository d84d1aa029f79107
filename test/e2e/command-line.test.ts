import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { before, describe, test } from "node:test";
import { freshDatabase, templateFolder } from "../support/databases.ts";
import { copyTemplate } from "../support/embedded-template.ts";
import { temporaryFolder } from "../support/engines.ts";
import { Client } from "../support/freehold-client.ts";
import { bearer } from "../support/freehold-seed.ts";
import { until } from "../support/until.ts";
import { type Ended, freehold, type Running, up } from "./program.ts";

const folder = temporaryFolder();

/** Runs a command with --json and gives what it printed. */
async function run<T = Record<string, unknown>>(args: readonly string[], flags: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await freehold([...args, "--json", ...flags], { cwd: folder });
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

async function fails(args: readonly string[], flags: readonly string[]): Promise<{ code: string; detail: string }> {
  const { code, stdout, stderr } = await freehold([...args, "--json", ...flags], { cwd: folder });
  assert.deepEqual([code, stdout], [1, ""], stderr);
  return JSON.parse(stderr) as { code: string; detail: string };
}

describe("the command line", () => {
  for (const running of [true, false]) {
    describe(running ? "through the process that serves" : "with no process serving", () => {
      const data = path.join(folder, running ? "running" : "alone");
      let flags: readonly string[] = [];
      let server: Running | undefined;
      let apiKey = "";
      before(async () => {
        flags = ["--data", data, "--database-url", await freshDatabase()];
        if (running) server = await up([...flags, "--no-demo"], { cwd: folder });
      });

      test("a tenant is created, listed and shown", async () => {
        const made = await run(["tenant", "create", "extra", "--name", "Extra", "--plan", "professional", "--locale", "de-CH"], flags);
        assert.deepEqual([made["id"], made["status"], made["plan"]], ["extra", "active", "professional"]);
        const listed = await run<{ id: string }[]>(["tenant", "list"], flags);
        assert.deepEqual(
          listed.map(({ id }) => id),
          ["extra"],
        );
        assert.equal((await run(["tenant", "show", "extra"], flags))["locale"], "de-CH");
        if (!running) return; // refusals come from the same calls
        const wrong = [
          ["create", "extra"],
          ["create", "Not-An-Id"],
          ["show", "nobody"],
        ].map((args) => fails(["tenant", ...args], flags));
        assert.deepEqual(
          (await Promise.all(wrong)).map(({ code }) => code),
          ["conflict", "invalid_json", "not_found"],
        );
      });

      test("a key is made, works, is listed without itself, and is revoked", async () => {
        const made = await run<{ id: string; key: string }>(["key", "create", "extra", "--scopes", "users,chat"], flags);
        apiKey = made.key;
        assert.match(made.key, /^sk-fh-/);
        const call = async (): Promise<number | undefined> =>
          server && (await new Client(server.url, { "x-api-key": made.key }).get("/users")).status;
        assert.equal(await call(), running ? 200 : undefined);
        const listed = await freehold(["key", "list", "extra", "--json", ...flags], { cwd: folder });
        assert.ok(listed.stdout.includes(made.id) && !listed.stdout.includes(made.key));
        assert.equal((await run(["key", "revoke", "extra", made.id], flags))["revoked"], true);
        assert.equal(await call(), running ? 401 : undefined, "refused by the first call after the command");
        if (running) assert.equal((await fails(["key", "revoke", "extra", "aaaaaaaaaaaa"], flags)).code, "not_found");
      });

      test("a tenant is suspended and served again", async () => {
        const { token } = await run<{ token: string }>(["token", "extra", "--user", "alice", "--role", "admin"], flags);
        const call = async (): Promise<number | undefined> => server && (await new Client(server.url, bearer(token)).get("/users")).status;
        assert.equal((await run(["tenant", "suspend", "extra"], flags))["status"], "suspended");
        assert.equal(await call(), running ? 403 : undefined);
        assert.equal((await run(["tenant", "resume", "extra"], flags))["status"], "active");
        assert.equal(await call(), running ? 200 : undefined);
      });

      if (running)
        test("a tenant's rows are moved while it is served, and whoever asks sees where they are", async () => {
          const home = async (): Promise<unknown> =>
            (await run<{ placement: { data: string } }>(["tenant", "show", "extra"], flags)).placement.data;
          const move = async (to: string): Promise<unknown> =>
            (await run<{ moved: { target: string }[] }>(["tenant", "move", "extra", "--to", to], flags)).moved[0]?.target;
          assert.equal(await home(), "row");
          assert.equal(await move("schema"), "schema");
          assert.equal(await home(), "schema");
          const { places } = await run<{ places: { data: string } }>(["tenant", "move", "extra", "--confirm"], flags);
          assert.equal(places.data, "schema");
          assert.equal(await move("row"), "row");
          assert.equal(await home(), "row");
        });

      if (running)
        test("an operator's token is good for the platform and for no tenant", async () => {
          const { token } = await run<{ token: string }>(["token"], flags);
          assert.ok(server);
          assert.equal((await new Client(server.url, bearer(token)).get("/admin/v1/tenants")).status, 200);
          assert.equal((await new Client(server.url, bearer(token)).get("/users")).status, 403);
        });

      test("the doctor finds nothing broken", async () => {
        const findings = await run<{ check: string; result: string }[]>(["doctor"], flags);
        assert.deepEqual(
          findings.filter(({ result }) => result === "failed"),
          [],
        );
        assert.ok(findings.some(({ check }) => check === (running ? "process" : "isolation")));
      });

      if (running)
        test("what is meant for people has no secrets and no stack", async () => {
          const commands = [
            ["tenant", "show", "extra"],
            ["key", "list", "extra"],
            ["tenant", "show", "nobody"],
          ];
          const shown: Ended[] = await Promise.all(commands.map((args) => freehold([...args, ...flags], { cwd: folder })));
          for (const { stdout, stderr } of shown) {
            assert.ok(!(stdout + stderr).includes(apiKey));
            assert.doesNotMatch(stdout + stderr, /\n\s+at |node:internal/);
          }
          assert.match(shown.at(-1)?.stderr ?? "", /^error not_found: /);
        });
    });
  }

  test("the embedded folder can be looked at while nobody serves it, and is left closed", async () => {
    const data = copyTemplate(await templateFolder());
    await run(["tenant", "create", "extra"], ["--data", data]);
    assert.ok(!existsSync(path.join(data, "run.json")));
    const findings = await run<{ check: string; result: string }[]>(["doctor"], ["--data", data]);
    assert.ok(findings.some(({ check, result }) => check === "isolation" && result === "ok"));
  });

  test("--help names every command, and an unknown one is refused with it", async () => {
    const help = await freehold(["--help"], { cwd: folder });
    assert.equal(help.code, 0);
    for (const command of ["up", "tenant", "key", "token", "doctor"]) assert.match(help.stdout, new RegExp(`^  ${command}\\b`, "m"));
    const [of, unknown] = await Promise.all([freehold(["up", "--help"], { cwd: folder }), freehold(["upp"], { cwd: folder })]);
    assert.equal(of.code, 0);
    assert.match(of.stdout, /--database-url/);
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /unknown command/);
  });

  test("a run file that a killed process left behind is not believed", async () => {
    const data = path.join(folder, "killed");
    const flags = ["--data", data, "--database-url", await freshDatabase()];
    const killed = await up([...flags, "--no-demo"], { cwd: folder });
    await killed.stop("SIGKILL");
    assert.ok(existsSync(path.join(data, "run.json")));
    await until("the process is gone", () => !isAlive(killed.pid));
    assert.deepEqual(await run<unknown[]>(["tenant", "list"], flags), []);
  });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH: no such process
  }
}
