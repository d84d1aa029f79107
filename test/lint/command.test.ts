import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, describe, test } from "node:test";
import { Ajv } from "ajv";
import { stringify } from "yaml";
import { freehold } from "../e2e/program.ts";
import { asAdministrator, templateFolder } from "../support/databases.ts";
import { copyTemplate } from "../support/embedded-template.ts";
import { temporaryFolder } from "../support/engines.ts";
import { makeFixture } from "./database-fixture.ts";
import { SARIF_SHAPE } from "./sarif-shape.ts";

const folder = temporaryFolder();
const fixture = await makeFixture();
const { ignore, ...described } = fixture.manifest;
writeFileSync(path.join(folder, "freehold-lint.yaml"), stringify({ ...described, ignore }));

function lint(...args: readonly string[]): ReturnType<typeof freehold> {
  return freehold(["lint", "--database-url", fixture.url, ...args], { cwd: folder });
}

describe("freehold lint", () => {
  test("ends with 0 and says what it looked at when nothing is found", async () => {
    const { code, stdout, stderr } = await lint();
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /looked at {2}database fhtest_\w+: 4 tenant tables/);
    assert.match(stdout, /No way across a tenant's boundary was found\./);
    assert.equal((await lint("--fix")).stdout, "\n");
  });

  test("ends with 2 when it cannot look, and says why", async () => {
    for (const [args, words] of [
      [["--manifest", "nowhere.yaml"], /nowhere\.yaml cannot be read/],
      [["--database-url", "postgres://nobody:x@127.0.0.1:1/x"], /Cannot connect to PostgreSQL/],
      [["--role", "nobody-at-all", "--manifest", "empty.yaml"], /The database has no role nobody-at-all/],
      [["--database-url", "", "--data", "nothing-here"], /must begin with postgres/],
    ] as const) {
      writeFileSync(path.join(folder, "empty.yaml"), "{}\n");
      const { code, stdout, stderr } = await lint(...args);
      assert.deepEqual([code, stdout], [2, ""], stderr);
      assert.match(stderr, words);
    }
  });

  describe("with two faults", () => {
    test("ends with 1 and names them in words, JSON and SARIF", async () => {
      await fixture.run(`alter table shop.orders no force row level security; grant truncate on shop.items to ${fixture.app}`);
      const words = await lint();
      assert.equal(words.code, 1);
      assert.match(words.stdout, /FH102 error {3}row-security-not-forced[\s\S]*table shop\.orders[\s\S]*FH128[\s\S]*2 findings: 2 errors/);
      const json = await lint("--json");
      const { findings } = JSON.parse(json.stdout) as { findings: { rule: string; object: string; fix: string[] }[] };
      assert.deepEqual(
        findings.map(({ rule, object, fix }) => [rule, object, fix]),
        [
          ["FH102", "table shop.orders", ["alter table shop.orders force row level security"]],
          ["FH128", "table shop.items", [`revoke truncate on table shop.items from ${fixture.app}`]],
        ],
      );
      const sarif = JSON.parse((await lint("--format", "sarif")).stdout) as Sarif;
      const validate = new Ajv({ strict: false }).compile(SARIF_SHAPE);
      assert.ok(validate(sarif), JSON.stringify(validate.errors));
      const [run] = sarif.runs;
      assert.deepEqual(
        run?.results.map(({ ruleId, ruleIndex, level }) => [ruleId, run.tool.driver.rules[ruleIndex]?.id, level]),
        [
          ["FH102", "FH102", "error"],
          ["FH128", "FH128", "error"],
        ],
      );
    });

    test("printing the SQL that mends them changes nothing", async () => {
      const { code, stdout } = await lint("--fix");
      assert.equal(code, 1);
      assert.match(stdout, /^-- Nothing of this was run[\s\S]*begin;[\s\S]*force row level security;[\s\S]*commit;\n$/);
      assert.equal((await lint()).code, 1);
    });

    test("a role with no rights at all sees the same", async () => {
      const reader = new URL(fixture.url);
      await asAdministrator(fixture.url, (client) => client.query(`alter role ${fixture.other} password 'test'`));
      reader.username = fixture.other;
      reader.password = "test";
      const { code, stdout } = await lint("--database-url", reader.href, "--json");
      const { findings, notes } = JSON.parse(stdout) as { findings: { rule: string }[]; notes: string[] };
      assert.deepEqual([code, findings.map(({ rule }) => rule)], [1, ["FH102", "FH128"]]);
      assert.deepEqual(notes, ["The role that reads may not see large objects."]);
    });

    test("a finding that is meant to be so does not fail the run, and stays in SARIF with its reason", async () => {
      const meant = [
        { rule: "FH102", object: "table shop.orders", reason: "The owner has no login and owns nothing else." },
        { rule: "FH128", object: "table shop.*", reason: "The nightly reset of the demo needs it." },
      ];
      writeFileSync(path.join(folder, "meant.yaml"), stringify({ ...described, ignore: meant }));
      const { code, stdout } = await lint("--manifest", "meant.yaml", "--format", "sarif");
      assert.equal(code, 0);
      const [run] = (JSON.parse(stdout) as Sarif).runs;
      assert.deepEqual(
        run?.results.map(({ suppressions }) => suppressions?.[0]?.justification),
        meant.map(({ reason }) => reason),
      );
    });
  });

  test("an embedded Freehold is looked at where it lies, with the routes that its settings name", async () => {
    const data = copyTemplate(await templateFolder());
    after(() => rmSync(data, { recursive: true, force: true }));
    const place = path.join(folder, "installed");
    mkdirSync(place);
    const look = (): ReturnType<typeof freehold> => freehold(["lint", "--data", data, "--json"], { cwd: place });
    assert.equal((await look()).code, 0);
    writeFileSync(path.join(place, "freehold.yaml"), "gateway: { file: routes.yaml }\n");
    writeFileSync(
      path.join(place, "routes.yaml"),
      stringify({ routes: [{ uri: "/*", plugins: { "tenant-resolver": { required: false } } }] }),
    );
    const { code, stdout } = await look();
    const { findings } = JSON.parse(stdout) as { findings: { rule: string; file: string }[] };
    assert.deepEqual([code, findings.map(({ rule, file }) => `${rule} ${file}`)], [1, ["FH201 routes.yaml"]]);
    const nowhere = await freehold(["lint", "--data", "nothing-here"], { cwd: place });
    assert.equal(nowhere.code, 2);
    assert.match(nowhere.stderr, /There is no embedded database in nothing-here/);
    assert.ok(!existsSync(path.join(place, "nothing-here")), "looking made a folder");
  });

  test("files are looked at without a database", async () => {
    writeFileSync(
      path.join(folder, "gateway.yaml"),
      stringify({ routes: [{ uri: "/*", plugins: { "tenant-resolver": { required: false } } }] }),
    );
    writeFileSync(
      path.join(folder, "tenants.yaml"),
      "kind: Namespace\nmetadata: { name: acme }\n---\nkind: Namespace\nmetadata: { name: globex }\n",
    );
    const { code, stdout } = await freehold(
      ["lint", "--no-database", "--manifest", "empty.yaml", "--gateway-document", "gateway.yaml", "--kubernetes", "tenants.yaml", "--json"],
      { cwd: folder },
    );
    const { findings } = JSON.parse(stdout) as { findings: { rule: string; file: string }[] };
    assert.equal(code, 1);
    assert.deepEqual(
      findings.map(({ rule, file }) => `${rule} ${file}`),
      ["FH201 gateway.yaml", ...["FH601", "FH602", "FH603", "FH604"].flatMap((id) => [`${id} tenants.yaml`, `${id} tenants.yaml`])],
    );
  });
});

/** What the tests read of it. */
interface Sarif {
  readonly runs: readonly {
    readonly tool: { readonly driver: { readonly rules: readonly { readonly id: string }[] } };
    readonly results: readonly {
      readonly ruleId: string;
      readonly ruleIndex: number;
      readonly level: string;
      readonly suppressions?: readonly { readonly justification: string }[];
    }[];
  }[];
}
