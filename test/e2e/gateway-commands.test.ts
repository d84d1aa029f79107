import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { freshDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { type Ended, freehold, type Running, up } from "./program.ts";

const folder = temporaryFolder();
const KEYS = { acme: "acme-key-1", globex: "globex-key-1" } as const;

const DOCUMENT = `
plans:
  starter: { plugins: { limit-count: { count: 2, time_window: 3600, key: tenant_id } } }
  enterprise: { plugins: { rate-limit: { count: 1000, time_window: 3600, key: tenant_id } } }
tenants:
  acme: { plan: enterprise, keys: [${KEYS.acme}] }
  globex: { plan: starter, keys: [${KEYS.globex}] }
routes:
  - id: hello
    name: Greeting
    uri: /hello
    methods: [GET]
    plugins: { key-auth: {}, mocking: { response_example: "hello" }, limit-count: { count: 5, time_window: 60, key: remote_addr } }
  - { id: own, uri: /own/*, plugins: { mocking: { response_example: "own" } } }
`;

/** Another gateway's file, as it stands on its disk. */
const APISIX = `
routes:
  - { id: 7, uri: /imported, plugins: { key-auth: {}, mocking: { response_example: "imported" } } }
consumers:
  - { username: jack, plugins: { tenant-context: { tenant_id: acme } } }
  - { id: jack/credentials/first, plugins: { key-auth: { key: "\${{JACKS_KEY}}" } } }
#END
`;

function write(name: string, text: string): string {
  writeFileSync(path.join(folder, name), text);
  return name;
}

describe("freehold route check", () => {
  const check = (...args: readonly string[]): Promise<Ended> => freehold(["route", "check", ...args], { cwd: folder });

  test("takes a good document, with what is in it, and needs no installation", async () => {
    const { code, stdout } = await check(write("good.yaml", DOCUMENT));
    assert.equal(code, 0);
    assert.equal(stdout, "good.yaml can be served by the profile strict (routes: 2, tenants: 2, plans: 2).\n");
    assert.throws(() => statSync(path.join(folder, ".freehold")), "no data folder was made");
  });

  test("names every problem with its place, and the exit code is 1", async () => {
    const bad = DOCUMENT.replace("key-auth: {}, mocking", "kye-auth: {}, mocking").replace("plan: starter", "plan: started");
    const { code, stdout } = await check(write("bad.yaml", bad));
    assert.equal(code, 1);
    assert.deepEqual(stdout.trim().split("\n"), [
      "problem  tenants.globex: there is no plan started",
      "problem  routes[0] (id hello): unknown plugin [kye-auth]",
      "bad.yaml is refused by the profile strict: 2 problems.",
    ]);
    const json = await check("bad.yaml", "--json");
    const said = JSON.parse(json.stdout) as { ok: boolean; problems: string[] };
    assert.deepEqual([json.code, said.ok, said.problems.length], [1, false, 2]);
  });

  test("shows the hazards of APISIX's own rules as warnings", async () => {
    const { code, stdout } = await check("bad.yaml", "--profile", "apisix", "--json");
    const { ok, warnings } = JSON.parse(stdout) as { ok: boolean; warnings: string[] };
    assert.deepEqual([code, ok], [0, true]);
    assert.ok(warnings.includes("routes[0] (id hello): unknown plugin [kye-auth]; it is left out"));
    assert.ok(warnings.some((text) => text.startsWith("consumer_groups[0] (id starter): limit-count: where the key")));
  });

  test("says what is wrong with a file that is no YAML or is not there", async () => {
    const { code, stdout } = await check(write("broken.yaml", "routes: [{ id: a\n"));
    assert.equal(code, 1);
    assert.match(stdout, /^problem {2}.*at line 2/);
    const missing = await check("missing.yaml");
    assert.deepEqual([missing.code, missing.stdout], [1, ""]);
    assert.match(missing.stderr, /^error invalid_settings: missing\.yaml cannot be read/);
  });
});

describe("with a gateway that serves two tenants on two plans", () => {
  let running: Running;
  let flags: readonly string[];
  const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
    freehold([...args, ...flags], { cwd: folder, env });
  const get = async (target: string, headers: Readonly<Record<string, string>>): Promise<{ status: number; text: string }> => {
    const answer = await fetch(running.url + target, { headers });
    return { status: answer.status, text: (await answer.text()).trim() };
  };

  before(async () => {
    flags = ["--data", path.join(folder, "data"), "--database-url", await freshDatabase()];
    running = await up([...flags, "--no-demo", "--gateway", write("gateway.yaml", DOCUMENT)], { cwd: folder });
  });
  after(() => running.stop());

  test("explain says which route is taken, why, and whose settings each plugin has, and that is what happens", async () => {
    const { code, stdout } = await run(["route", "explain", "globex", "get", "/hello"]);
    assert.equal(code, 0);
    assert.match(stdout, /^GET http:\/\/localhost\/hello as the tenant globex\n/);
    assert.match(stdout, /\nroute +hello \(Greeting\)\nchosen by +path \/hello, method GET\nupstream +none/);
    const lines = stdout.split("\n").map((line) => line.split(/ {2,}/));
    assert.deepEqual(lines.slice(lines.findIndex(([first]) => first === "priority")), [
      ["priority", "plugin", "set by", "instead of"],
      ["10900", "mocking", "route hello", "-"],
      ["2500", "key-auth", "route hello", "-"],
      ["2480", "tenant-resolver", "default", "-"],
      ["1002", "limit-count", "plan starter", "route hello"],
      [""],
    ]);
    const acme = JSON.parse((await run(["route", "explain", "acme", "GET", "/hello", "--json"])).stdout) as {
      plugins: { name: string; from: string; settings: { count?: number } }[];
    };
    const limit = acme.plugins.find(({ name }) => name === "limit-count");
    assert.deepEqual([limit?.from, limit?.settings.count], ["plan:enterprise", 1000]);
  });

  test("explain says when no route takes a request, and knows no other tenants", async () => {
    const nothing = await run(["route", "explain", "acme", "POST", "http://api.example.com/hello"]);
    assert.match(nothing.stdout, /\nNo route of the gateway document takes it\./);
    const [nobody, nowhere] = await Promise.all([
      run(["route", "explain", "nobody", "GET", "/hello"]),
      run(["route", "explain", "acme", "GET", "ftp://here"]),
    ]);
    assert.deepEqual([nobody.code, nowhere.code], [1, 1]);
    assert.match(nobody.stderr, /^error not_found: There is no tenant nobody;/);
    assert.match(nowhere.stderr, /^error invalid_settings: ftp:\/\/here is no address/);
  });

  test("SIGHUP takes in the file and ends nothing; a bad file leaves the last good one", async () => {
    const status = async (): Promise<number> => (await get("/signalled", {})).status;
    const added = `  - { id: signalled, uri: /signalled, plugins: { mocking: { response_example: "s" }, tenant-resolver: { required: false } } }\n`;
    write("gateway.yaml", DOCUMENT + added);
    process.kill(running.pid, "SIGHUP");
    await until("the new route", async () => (await status()) === 200);
    write("gateway.yaml", `${DOCUMENT}no-such-part: {}\n`);
    process.kill(running.pid, "SIGHUP");
    await until("the report", () => running.stderr().includes("no-such-part"));
    assert.equal(await status(), 200);
    write("gateway.yaml", DOCUMENT);
    await until("the first document", async () => (await status()) === 404);
  });

  test("import stores a whole APISIX file, which is served at once, and says how many of what", async () => {
    const file = write("apisix.yaml", APISIX);
    const unset = await run(["import", "apisix", file]);
    assert.deepEqual([unset.code, unset.stdout], [1, ""]);
    assert.match(unset.stderr, /JACKS_KEY is not set/);
    const { code, stdout, stderr } = await run(["import", "apisix", file], { JACKS_KEY: "jacks-key" });
    assert.equal(code, 0, stderr);
    assert.deepEqual(
      stdout
        .trim()
        .split("\n")
        .map((line) => line.split(/ +/)),
      [
        ["kind", "stored"],
        ["consumers", "1"],
        ["credentials", "1"],
        ["routes", "1"],
      ],
    );
    assert.deepEqual(await get("/imported", { apikey: "jacks-key" }), { status: 200, text: "imported" });
    assert.equal((await get("/imported", { apikey: "another" })).status, 401);
  });

  test("import says what is closed here although it was open in APISIX, which has no tenants", async () => {
    const file = write(
      "open.yaml",
      `
consumers: [{ username: jill, plugins: { key-auth: { key: jills-key } } }, { username: acme2, plugins: { tenant-context: { tenant_id: acme } } }]
routes:
  - { id: free, uri: /free, plugins: { mocking: { response_example: "free" } } }
  - { id: proved, uri: /proved, plugins: { key-auth: {}, mocking: { response_example: "proved" } } }
  - { id: public, uri: /public, plugins: { tenant-resolver: { required: false }, mocking: { response_example: "public" } } }
`,
    );
    const { code, stderr } = await run(["import", "apisix", file]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(stderr.match(/^note {2}[^:]*/gm), ["note  consumers jill", "note  routes free"]);
    const answers = await Promise.all([get("/free", {}), get("/proved", { apikey: "jills-key" }), get("/public", {})]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [401, 401, 200],
    );
    const again = await run(["import", "apisix", "apisix.yaml", "--json"], { JACKS_KEY: "jacks-key" });
    assert.deepEqual([again.code, (JSON.parse(again.stdout) as { hints: unknown }).hints], [0, []]);
    assert.notEqual((await get("/public", {})).status, 200, "what an earlier import has stored is gone");
  });

  test("a file that is refused leaves what is stored as it is, whoever refuses it", async () => {
    const refused = await run(["import", "apisix", write("wrong.yaml", "routes: [{ id: a, uri: /a, plugins: { nothing: {} } }]")]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /problem {2}routes\[0\] \(id a\): unknown plugin \[nothing\]\n/);
    assert.match(refused.stderr, /error invalid_settings: .* 1 problem\. Nothing was imported\./);
    // what the settings file has can only be changed there: the installation says so in the words of its admin API
    const taken = await run(["import", "apisix", write("taken.yaml", "routes: [{ id: hello, uri: /a, plugins: {} }]"), "--json"]);
    assert.deepEqual(JSON.parse(taken.stderr), {
      code: "conflict",
      detail: "routes hello stands in the settings file: change it there",
    });
    assert.equal((await get("/imported", { apikey: "jacks-key" })).status, 200);
  });

  test("export writes the file's and the stored objects for stock APISIX, and its own profile reads them without a problem", async () => {
    const { code, stdout } = await run(["export", "apisix"]);
    assert.equal(code, 0);
    assert.match(stdout, /^# Written by `freehold export apisix`/);
    assert.match(stdout, /\n# - route own: .*STOCK APISIX SERVES IT TO EVERYBODY\n/);
    assert.match(stdout, /\n#END\n$/);
    for (const part of ["username: acme", "id: globex/credentials/key-1", 'id: "7"', "uri: /imported"])
      assert.ok(stdout.includes(part), part);
    const [yaml, json] = await Promise.all([
      run(["export", "apisix", "--out", "out.yaml"]),
      run(["export", "apisix", "--out", "out.json"]),
    ]);
    assert.deepEqual([yaml.code, json.code, yaml.stdout, json.stdout], [0, 0, "", ""]);
    assert.equal(readFileSync(path.join(folder, "out.yaml"), "utf8"), stdout);
    assert.equal(statSync(path.join(folder, "out.json")).mode & 0o077, 0, "credentials are the owner's");
    assert.match(json.stderr, /APISIX cannot say {2}route own: /);
    for (const file of ["out.yaml", "out.json"]) {
      const { stdout: said } = await freehold(["route", "check", file, "--profile", "apisix", "--json"], { cwd: folder });
      const { ok, warnings, objects } = JSON.parse(said) as { ok: boolean; warnings: string[]; objects: Record<string, number> };
      assert.deepEqual([ok, warnings], [true, []], file);
      assert.deepEqual(objects, { consumer_groups: 2, consumers: 3, credentials: 3, routes: 3 });
    }
  });

  test("an operator's token in X-API-KEY is good for APISIX's admin API, and a tenant's key is not", async () => {
    const call = (key: string, method = "GET"): Promise<Response> =>
      fetch(`${running.adminUrl}/apisix/admin/configs`, { method, headers: { "X-API-KEY": key } });
    const answer = await call(running.platformToken);
    assert.equal(answer.status, 200);
    const { routes } = (await answer.json()) as { routes: { id: string }[] };
    assert.deepEqual(
      routes.map(({ id }) => id),
      ["hello", "own", "7"],
    );
    const made = JSON.parse((await run(["key", "create", "acme", "--role", "admin", "--json"])).stdout) as { key: string };
    for (const method of ["GET", "PUT"]) {
      assert.equal((await call(made.key, method)).status, 403);
      assert.equal((await call(KEYS.acme, method)).status, 401);
    }
  });
});
