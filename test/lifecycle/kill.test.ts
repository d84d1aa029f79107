import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { createKeyring, type StoreRecord, systemClock, systemRandom, type Tenant, uuidV7 } from "../../src/kernel/index.ts";
import { sql } from "../../src/stores/data/index.ts";
import { createTokenIssuer, ownSigningKey } from "../../src/tenancy/identity/index.ts";
import { checkArchive } from "../../src/tenancy/lifecycle/archive/read-archive.ts";
import { verifyCertificate } from "../../src/tenancy/lifecycle/index.ts";
import { eachEngine, type Place, temporaryFolder } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { BY, exportOf, filledTenant, freshId, importInto, install, type Installed, recordsIn, ROOT_KEY } from "./lifecycle-under-test.ts";
import { archiveOf, userRecord } from "./made-archive.ts";
import type { Errand } from "./lifecycle-program.ts";

/** How often each kind is killed, per engine; `npm run chaos` does it more often. An embedded database takes seconds to open, three times a round. */
const KILLS = { PGlite: 1, PostgreSQL: 3 } as const;
/** So many times fewer kills of an embedded one when more are asked for. */
const SLOWER = 10;
const KILLS_SET = process.env["FREEHOLD_TEST_LIFECYCLE_KILLS"];
const TIMEOUT_MS = 3_600_000;
const RECOVERY_DEADLINE_MS = 60_000;
const PROGRAM = path.join(import.meta.dirname, "lifecycle-program.ts");
const KEYS = createTokenIssuer(ownSigningKey(createKeyring(ROOT_KEY)), systemClock).jwks().keys;

type Kind = Errand["kind"] | "refused import";
type Records = Record<string, StoreRecord[]>;

const STORES = ["data", "search", "events", "registry"];
const twice = (points: readonly string[]): readonly string[] => points.flatMap((point) => [point, `${point}:noted`]);

/** Every point at which a process can be killed: where something was done, and where that was noted. */
const POINTS: Readonly<Record<Kind, readonly string[]>> = {
  provision: ["provision:begin", ...twice([...STORES.map((name) => `provision:prepare ${name}`), "provision:activate"])],
  import: [
    ...twice(["import:load", "import:recount", "import:activate", "import:clean up"]),
    "import:data:begin",
    "import:data:record 1",
    "import:data:record 201",
    "import:search:record 1",
    "import:events:record 1",
  ],
  // a record in the middle of the archive is not taken
  "refused import": ["import:refused", "import:registry:begin", "import:data:record 1"],
  export: [
    "export:data:record 1",
    "export:data:record 201",
    "export:search:record 1",
    "export:events:record 1",
    "export:registry:record 1",
  ],
  erase: [
    ...twice(["refuse", "settle", "export", "count", "tombstone", ...STORES, "verify", "close", "certify"].map((step) => `erase:${step}`)),
    ...STORES.map((name) => `erase:${name}:begin`),
    "export:data:record 201",
    "export:registry:record 1",
  ],
};

/** What stands before a round, in an installation that outlives its processes. */
interface Round {
  readonly errand: Errand;
  /** The tenant that is erased or exported. */
  readonly tenant?: Tenant;
  readonly records: Records;
  readonly refused?: boolean;
}

eachEngine((engine) => {
  describe("killed in the middle", () => {
    const kills = KILLS_SET === undefined ? KILLS[engine.name] : Math.ceil(Number(KILLS_SET) / (engine.name === "PGlite" ? SLOWER : 1));
    for (const kind of ["provision", "import", "refused import", "export", "erase"] as const) {
      test(
        `of ${kind} ${kills} times, it is afterwards done or never begun, and nobody else notices`,
        { timeout: TIMEOUT_MS },
        async (t) => {
          const seed = Math.floor(Math.random() * 2 ** 31);
          t.diagnostic(`seed ${seed}`);
          const place = await engine.place();
          const folder = temporaryFolder();
          let open = await install(await place.open(), folder);
          const neighbour = await filledTenant(open, freshId("stays"), "b");
          const expected = await recordsIn(open, await exportOf(open, neighbour));
          const points = POINTS[kind];
          for (let round = 0; round < kills; round++) {
            const killAt = points[(seed + round) % points.length] ?? "";
            const prepared = await prepare(open, place, kind, killAt);
            await end(open);
            const said = await run(prepared.errand);
            assert.equal(said.signal, "SIGKILL", `${killAt} was not reached: ${said.lines.join(", ")}${said.stderr}`);
            open = await install(await place.open(), folder);
            await recover(open);
            await check(open, prepared, said.lines.includes("acknowledged"), killAt);
            assert.deepEqual(await recordsIn(open, await exportOf(open, neighbour)), expected, `${killAt}: the neighbour has changed`);
          }
          await end(open);
        },
      );
    }
  });
});

async function end(installed: Installed): Promise<void> {
  await installed.close();
  await installed.store.close();
}

async function prepare(open: Installed, { location }: Place, kind: Kind, killAt: string): Promise<Round> {
  const { folder } = open;
  const errand = { location, folder, kind: kind === "refused import" ? "import" : kind, killAt } as const;
  if (kind === "provision") return { errand: { ...errand, id: freshId("new") }, records: {} };
  const upload = uuidV7(systemClock, systemRandom);
  if (kind === "refused import") {
    const lines = [userRecord(), userRecord({ tenant_id: upload })].map((record) => ({ store: "data", line: JSON.stringify(record) }));
    await open.lifecycle.upload(upload, 0, await archiveOf(lines));
    return { errand: { ...errand, id: freshId("refused"), upload }, records: {}, refused: true };
  }
  const tenant = await filledTenant(open, freshId("t"), "a");
  const archive = await exportOf(open, tenant);
  const records = await recordsIn(open, archive);
  if (kind !== "import") return { errand: { ...errand, id: tenant.id, out: path.join(folder, "out.tar.gz") }, tenant, records };
  await open.lifecycle.upload(upload, 0, archive);
  return { errand: { ...errand, id: freshId("new"), upload }, records };
}

/** What the process said until its end. */
async function run(
  errand: Errand,
): Promise<{ readonly signal: string | null; readonly lines: readonly string[]; readonly stderr: string }> {
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(errand)], { stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const [, signal] = (await once(child, "close")) as [number | null, string | null]; // the event's arguments
  return { signal, lines: stdout.split("\n"), stderr };
}

/** What a process does when it starts: the journal, and then whatever was left behind, until nothing is running. */
async function recover({ lifecycle, store }: Installed): Promise<void> {
  const said = await lifecycle.replay();
  assert.deepEqual([said.erased, said.buried], [[], []], "no backup was restored");
  await store.system.query(
    sql`update freehold.lifecycle_runs set lease_until = '-infinity', updated_at = now() - interval '1 minute' where state = 'running'`,
  );
  lifecycle.start();
  await until(
    "nothing to be running",
    async () => (await store.system.query(sql`select id from freehold.lifecycle_runs where state = 'running'`)).count === 0,
    RECOVERY_DEADLINE_MS,
  );
}

async function check(open: Installed, round: Round, acknowledged: boolean, where: string): Promise<void> {
  const { errand } = round;
  const found = await open.registry.find(errand.id);
  switch (errand.kind) {
    case "provision":
      if (acknowledged || where !== "provision:begin") assert.equal(found?.status, "active", where);
      else assert.equal(found, undefined, where);
      return;
    case "import": {
      assert.deepEqual(readdirSync(path.join(open.folder, "imports")), [], where);
      if (round.refused === true) {
        assert.equal(found, undefined, where);
        // the name was never anybody's
        await open.lifecycle.create({ id: errand.id, name: "x", plan: "starter" }, BY);
        return;
      }
      assert.equal(found?.status, "active", where);
      assert.deepEqual(await recordsIn(open, await exportOf(open, found)), round.records, where);
      return;
    }
    case "export":
      return await checkExport(open, round, where);
    case "erase":
      return await checkErased(open, round, where);
  }
}

/** What was written of the archive is refused, and the tenant is as it was. */
async function checkExport(open: Installed, { errand, tenant, records }: Round, where: string): Promise<void> {
  assert.ok(tenant && errand.out !== undefined);
  if (existsSync(errand.out)) await assert.rejects(checkArchive(errand.out), { code: "invalid_archive" }, where);
  assert.deepEqual(await recordsIn(open, await exportOf(open, tenant)), records, where);
}

/** The tenant is gone whole, its archive makes the same tenant again, and there is one certificate. */
async function checkErased(open: Installed, { tenant, records }: Round, where: string): Promise<void> {
  assert.ok(tenant);
  const left = (await open.store.rows.count(tenant)).filter(({ items }) => items !== 0);
  assert.deepEqual([(await open.registry.find(tenant.id))?.status, left], ["erased", []], where);
  const claims = verifyCertificate((await open.lifecycle.certificate(tenant)) ?? "", KEYS);
  assert.equal(claims.tenant.internalId, tenant.uuid, where);
  const { archive } = (await open.lifecycle.newest(tenant))?.notes ?? {};
  assert.ok(archive, where);
  const again = await importInto(open, readFileSync(archive.file), freshId("again"));
  assert.deepEqual(await recordsIn(open, await exportOf(open, again)), records, where);
  await assert.rejects(open.lifecycle.create({ id: tenant.id, name: "x", plan: "starter" }, BY), { code: "conflict" }, where);
}
