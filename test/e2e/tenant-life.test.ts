import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { before, describe, test } from "node:test";
import { templateFolder } from "../support/databases.ts";
import { copyTemplate } from "../support/embedded-template.ts";
import { temporaryFolder } from "../support/engines.ts";
import { freehold, type Running, up } from "./program.ts";

const cwd = temporaryFolder();
const file = (name: string): string => path.join(cwd, name);

describe("the life of a tenant on the command line", () => {
  let data = "";
  let flags: readonly string[] = [];
  let server: Running;

  /** Runs a command with --json and gives what it printed. */
  async function run(args: readonly string[]): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await freehold([...args, "--json", ...flags], { cwd });
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return JSON.parse(stdout) as Record<string, unknown>; // every command here prints an object
  }

  async function fails(args: readonly string[]): Promise<{ code: string; detail: string }> {
    const { code, stderr } = await freehold([...args, "--json", ...flags], { cwd });
    assert.equal(code, 1, args.join(" "));
    return JSON.parse(stderr.trim().split("\n").at(-1) ?? "") as { code: string; detail: string };
  }

  /** Made over the API: a command of its own for each would take longer than what is tested. */
  async function tokenOf(id: string, role = "admin"): Promise<Record<string, string>> {
    const operator = { authorization: `Bearer ${server.platformToken}`, "content-type": "application/json" };
    const body = JSON.stringify({ sub: "somebody", roles: [role] });
    const made = await fetch(`${server.url}/admin/v1/tenants/${id}/tokens`, { method: "POST", headers: operator, body });
    const { token } = (await made.json()) as { token: string };
    return { authorization: `Bearer ${token}`, "content-type": "application/json" };
  }

  async function call(id: string, route: string, body?: object, role?: string): Promise<Response> {
    const headers = await tokenOf(id, role);
    return await fetch(server.url + route, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  }

  before(async () => {
    data = copyTemplate(await templateFolder());
    flags = ["--data", data];
    writeFileSync(file("freehold.yaml"), JSON.stringify({ files: { kind: "folder", own: { kind: "folder", folder: file("own-files") } } }));
    server = await up([...flags, "--no-demo"], { cwd });
    await run(["tenant", "create", "acme", "--plan", "professional"]);
    assert.equal((await call("acme", "/documents", { id: "d-1", title: "One", text: "The moon is far away." })).status, 201);
    assert.equal((await call("acme", "/users/create", { id: "u-1", name: "Ann" })).status, 201);
  });

  test("is exported into one file, by an operator and by the tenant's own admin, and by nobody else of it", async () => {
    const { bytes } = await run(["tenant", "export", "acme", "--out", file("acme.tar.gz")]);
    assert.equal(bytes, readFileSync(file("acme.tar.gz")).length);
    const own = await call("acme", "/tenant/v1/export");
    assert.deepEqual([own.status, own.headers.get("content-type")], [200, "application/gzip"]);
    writeFileSync(file("own.tar.gz"), Buffer.from(await own.arrayBuffer()));
    assert.equal((await call("acme", "/tenant/v1/export", undefined, "member")).status, 403);
    assert.equal((await fails(["tenant", "export", "nobody", "--out", file("nobody.tar.gz")])).code, "not_found");
    assert.deepEqual(
      readdirSync(cwd).filter((name) => name.includes("nobody")),
      [],
    );
  });

  test("begins out of an archive, whoever wrote it; one that is damaged is refused", async () => {
    for (const [name, id] of [
      ["acme.tar.gz", "acme-two"],
      ["own.tar.gz", "acme-three"],
    ] as const) {
      assert.equal((await run(["tenant", "import", file(name), "--as", id, "--plan", "enterprise"]))["status"], "active");
      assert.equal(((await (await call(id, "/documents/d-1")).json()) as { text: string }).text, "The moon is far away.");
      const found = (await (await call(id, "/search", { query: "moon" })).json()) as { results: { id: string }[] };
      assert.deepEqual([found.results.map((hit) => hit.id)], [["d-1"]]);
    }
    writeFileSync(file("damaged.tar.gz"), readFileSync(file("acme.tar.gz")).subarray(0, -50));
    assert.equal((await fails(["tenant", "import", file("damaged.tar.gz"), "--as", "acme-four"])).code, "invalid_archive");
    assert.equal((await fails(["tenant", "show", "acme-four"])).code, "not_found");
    assert.equal((await fails(["tenant", "import", file("not-there"), "--as", "acme-four"])).code, "invalid_settings");
  });

  test("goes on while its stores are moved to places of its own, which are shown, and confirmed", async () => {
    const { moved } = (await run(["tenant", "move", "acme", "--to", "schema", "--files", "own"])) as { moved: Record<string, unknown>[] };
    assert.deepEqual(
      moved.map(({ store, source, target }) => [store, source, target]),
      [
        ["data", "row", "schema"],
        ["files", "shared", "own"],
      ],
    );
    assert.equal((await call("acme", "/documents/d-1")).status, 200);
    assert.deepEqual((await run(["tenant", "show", "acme"]))["places"], { data: "schema", search: "own", files: "own" });
    assert.equal((await fails(["tenant", "move", "acme", "--files", "shared"])).code, "conflict");
    await run(["tenant", "move", "acme", "--confirm"]);
    assert.equal((await fails(["tenant", "move", "acme", "--files", "own"])).code, "conflict");
    assert.equal((await fails(["tenant", "move", "acme"])).code, "invalid_settings");
    await run(["tenant", "move", "acme", "--files", "shared"]);
    assert.equal((await call("acme", "/documents/d-1")).status, 200);
  });

  test("ends for good, with an archive and a certificate that anybody can verify", async () => {
    const headers = await tokenOf("acme");
    const keys = await (await fetch(`${server.url}/.well-known/freehold/jwks.json`)).text();
    const erased = await run(["tenant", "erase", "acme", "--reason", "contract ended"]);
    assert.deepEqual([erased["status"], erased["state"]], ["erased", "done"]);
    assert.ok(existsSync(path.resolve(cwd, (erased["archive"] as { file: string }).file)));
    assert.equal((await fetch(`${server.url}/documents`, { headers })).status, 401);
    assert.equal((await fails(["tenant", "create", "acme"])).code, "conflict");
    const shown = (await run(["tenant", "show", "acme"])) as { status: string; lifecycle: { kind: string; state: string } };
    assert.deepEqual([shown.status, shown.lifecycle.kind, shown.lifecycle.state], ["erased", "erase", "done"]);

    await run(["tenant", "certificate", "acme", "--out", file("acme.jws")]);
    const verified = await run(["tenant", "certificate", "--verify", file("acme.jws")]);
    assert.deepEqual([verified["genuine"], verified["reason"], verified["requestedBy"]], [true, "contract ended", "command-line"]);
    // by somebody who has nothing but the key set
    writeFileSync(file("keys.json"), keys);
    const elsewhere = ["--data", file("elsewhere"), "--keys", file("keys.json")];
    const { code } = await freehold(["tenant", "certificate", "--verify", file("acme.jws"), ...elsewhere], { cwd });
    assert.equal(code, 0);
    const [head = "", body = "", signature = ""] = readFileSync(file("acme.jws"), "utf8").trim().split(".");
    const other = Buffer.from(Buffer.from(body, "base64url").toString().replace("contract ended", "nothing at all")).toString("base64url");
    for (const forged of [
      `${head}.${other}.${signature}`,
      `${head}.${body}.`,
      `${head}.${body}`,
      headers["authorization"]?.slice(7) ?? "",
    ]) {
      writeFileSync(file("forged.jws"), forged);
      assert.equal((await fails(["tenant", "certificate", "--verify", file("forged.jws")])).code, "invalid_settings");
    }
    // and a certificate is no token
    const certificate = readFileSync(file("acme.jws"), "utf8").trim();
    assert.equal((await fetch(`${server.url}/admin/v1/tenants`, { headers: { authorization: `Bearer ${certificate}` } })).status, 401);
  });

  test("that ended does not begin again when the database is restored: the start says what it takes back", async () => {
    await run(["tenant", "create", "globex"]);
    await run(["tenant", "create", "initech"]);
    const { id: key } = await run(["key", "create", "initech"]);
    await server.stop();
    cpSync(path.join(data, "pg"), file("saved"), { recursive: true });
    await run(["key", "revoke", "initech", String(key)]);
    await run(["tenant", "erase", "globex", "--no-export"]);
    rmSync(path.join(data, "pg"), { recursive: true });
    cpSync(file("saved"), path.join(data, "pg"), { recursive: true });

    server = await up([...flags, "--no-demo", "--log-level", "warn"], { cwd });
    const log = server.stderr() + server.stdout();
    assert.match(log, /erased again: globex/);
    assert.match(log, new RegExp(`revoked again: ${String(key)}`));
    assert.equal((await run(["tenant", "show", "globex"]))["status"], "erased");
    assert.equal((await call("initech", "/documents")).status, 200);
    await server.stop();
  });
});
