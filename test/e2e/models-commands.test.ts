import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { startProvider } from "../models/scripted-provider.ts";
import { freshDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/engines.ts";
import { type Ended, freehold, type Running, up } from "./program.ts";

const KEY = "sk-of-the-platform";
const folder = temporaryFolder();
const provider = await startProvider(KEY);
const file = path.join(folder, "models.yaml");

describe("freehold models", () => {
  let flags: readonly string[] = [];
  let server: Running | undefined;
  const run = async (...args: string[]): Promise<Ended> =>
    await freehold(["models", ...args, ...flags], { cwd: folder, env: { FREEHOLD_MODEL_KEY: KEY } });
  const ok = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await run(...args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    assert.ok(!stdout.includes(KEY), "no command shows a key");
    return stdout;
  };

  before(async () => {
    flags = ["--data", path.join(folder, "data"), "--database-url", await freshDatabase()];
    server = await up([...flags, "--demo"], { cwd: folder });
    writeFileSync(
      file,
      `providers:
  local: { kind: openai-compatible, baseUrl: "${provider.url}" }
models:
  small: { provider: local, model: say-3, prices: [{ from: 2026-01-01, input: 1, output: 2 }] }
plans:
  "*": { models: [small] }
`,
    );
  });
  after(async () => {
    provider.close();
    await server?.stop();
  });

  test("puts a file in place, sets a provider's key, and prints both as a file that is taken again", async () => {
    assert.match(await ok("set", file), /version +1/);
    assert.match(await ok("key", "local"), /key +set/);
    const shown = await ok("show");
    assert.match(shown, /^# version 1; providers with a key: local\n(?:currency: .*\n)?providers:\n/);
    writeFileSync(file, shown);
    assert.match(await ok("set", file), /version +2/);
    assert.equal((await ok("show")).split("\n").slice(1).join("\n"), shown.split("\n").slice(1).join("\n"));
  });

  test("asks a model the whole way as the tenant, and says what was used and what it cost", async () => {
    const asked = JSON.parse(await ok("test", "acme", "small", "--json")) as Record<string, unknown>;
    assert.deepEqual([asked["answer"], asked["output"]], ["tok tok tok", 3]);
    const ledger = JSON.parse(await ok("ledger", "acme", "--json")) as Record<string, unknown>[];
    assert.deepEqual(
      ledger.map(({ target, outcome, principal, output }) => [target, outcome, principal, output]),
      [["small", "ok", "command-line", 3]],
    );
    const cost = (Number(asked["input"]) * 1 + 3 * 2) / 1_000_000;
    assert.match(await ok("usage", "acme"), new RegExp(`small +command-line +1 +${String(asked["input"])} +0 +3 +${cost.toFixed(6)}`));
    assert.match(await ok("usage", "acme", "--to", "2026-01-01"), /none/);
    assert.match(await ok("usage", "globex"), /none/);
  });

  test("gives one tenant more than its plan", async () => {
    writeFileSync(path.join(folder, "grant.yaml"), `budgets: [{ name: day, unit: requests, per: day, limit: 1 }]\n`);
    assert.match(await ok("set", path.join(folder, "grant.yaml"), "--tenant", "globex"), /of +globex/);
    assert.match(await ok("show", "--tenant", "globex"), /name: day/);
    await ok("test", "globex", "small");
    const spent = await run("test", "globex", "small");
    assert.equal(spent.code, 1);
    assert.match(spent.stderr, /insufficient_quota: The budget day of 1/);
  });

  test("says what is wrong: a file that cannot be read, a document that cannot be, a model that there is not, a key that is not set", async () => {
    writeFileSync(path.join(folder, "broken.yaml"), "models: {small: 1, small: 2}\n");
    writeFileSync(path.join(folder, "wrong.yaml"), "models: {small: {provider: nobody}}\n");
    for (const [args, said] of [
      [["set", path.join(folder, "broken.yaml")], /broken\.yaml cannot be read/],
      [["set", path.join(folder, "wrong.yaml")], /nobody/],
      [["test", "acme", "large"], /not_found: There is no model of this name/],
      [["key", "local", "--key-env", "NOT_SET"], /NOT_SET/],
      [["usage", "nobody"], /not_found/],
    ] as const) {
      const { code, stderr } = await run(...args);
      assert.equal(code, 1, args.join(" "));
      assert.match(stderr, said, args.join(" "));
    }
    assert.match(await ok("key", "local", "--remove"), /key +removed/);
    assert.equal((await run("test", "acme", "small")).code, 1);
  });
});
