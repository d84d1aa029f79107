import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { up } from "../e2e/program.ts";
import { eachEngine, type Engine, type Place, temporaryFolder } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { makeTenants, type WritingTenant, writeAndKill } from "./kill-round.ts";

/** How often the whole program is killed, per engine; `npm run chaos` does it more often. The store alone is killed in test/data. */
const KILLS = Number(process.env["FREEHOLD_TEST_PROGRAM_KILLS"] ?? 10);
const TIMEOUT_MS = 1_800_000;
const ACKNOWLEDGEMENTS_MAX = 40;
/** What a killed process was working on is free for others when its lease ends. */
const HANDLED_DEADLINE_MS = 30_000;

/** One installation that outlives its processes. */
interface Installation {
  readonly place: Place;
  /** The arguments that make a process serve it. */
  readonly args: readonly string[];
  readonly cwd: string;
}

async function install(engine: Engine): Promise<Installation> {
  const place = await engine.place();
  const cwd = temporaryFolder();
  const { location } = place;
  const where = location.kind === "embedded" ? ["--data", location.folder] : ["--data", cwd, "--database-url", location.url];
  return { place, cwd, args: [...where, "--no-demo", "--log-level", "error"] };
}

eachEngine((engine) => {
  describe("killed in the middle of writing", () => {
    test(`after ${KILLS} kills nothing acknowledged is lost and nothing is doubled`, { timeout: TIMEOUT_MS }, async (t) => {
      const seed = Math.floor(Math.random() * 2 ** 31);
      t.diagnostic(`seed ${seed}`);
      const random = randomFrom(seed);
      const installation = await install(engine);
      const tenants = await makeTenants(installation.args, installation.cwd);
      for (let round = 0; round < KILLS; round++) {
        const running = await up(installation.args, installation);
        await writeAndKill(running, tenants, round, 1 + Math.floor(random() * ACKNOWLEDGEMENTS_MAX));
      }
      await settle(installation);
      const count = await assertWhole(installation, tenants);
      t.diagnostic(`${count} acknowledged writes over ${KILLS} kills`);
    });
  });
});

/** Lets a last process handle all events that the killed ones left. */
async function settle(installation: Installation): Promise<void> {
  const running = await up(installation.args, installation);
  const handled = async (): Promise<boolean> => {
    const metrics = await (await fetch(`${running.adminUrl}/metrics`)).text();
    return /^freehold_events_pending 0$/m.test(metrics);
  };
  await until("all events to be handled", handled, HANDLED_DEADLINE_MS);
  const ended = await running.stop();
  assert.equal(ended.code, 0, ended.stderr);
}

interface Stored {
  readonly messages: number;
  readonly rows: number;
  readonly highest: number;
}

interface Found {
  readonly tenant: string;
  readonly users: string[];
  readonly documents: string[];
  readonly counted: number;
  readonly user_points: number;
  readonly document_points: number;
  readonly stored_bytes: number;
  readonly counted_bytes: number;
  readonly sessions: Record<string, Stored>;
  readonly waiting: number;
  readonly dead: number;
}

/** Everything acknowledged is there once, and everything that is there fits together. Gives how much was acknowledged. */
async function assertWhole(installation: Installation, tenants: readonly WritingTenant[]): Promise<number> {
  const found = await installation.place.administer<Found>(STATE);
  let acknowledged = 0;
  for (const { id, acknowledged: told } of tenants) {
    const state = found.find(({ tenant }) => tenant === id);
    assert.ok(state, `tenant ${id} is gone`);
    assert.deepEqual(
      [...told.users].filter((user) => !state.users.includes(user)),
      [],
      "acknowledged users are lost",
    );
    assert.deepEqual(
      [...told.documents].filter((document) => !state.documents.includes(document)),
      [],
      "acknowledged documents are lost",
    );
    for (const [session, turns] of told.turns) {
      const stored: Stored | undefined = state.sessions[session.split(".").at(-1) ?? ""];
      assert.ok(stored, `session ${session} is lost`);
      assert.ok(stored.rows >= turns * 2, `turns of ${session} are lost`);
      assert.deepEqual([stored.messages, stored.highest], [stored.rows, stored.rows], `messages of ${session} are doubled or torn`);
    }
    assert.equal(state.counted, state.users.length, "the count of users is not the users");
    assert.equal(state.counted_bytes, state.stored_bytes, "the count of bytes is not the bytes");
    assert.equal(state.user_points, state.users.length, "an event's effect is missing or doubled");
    assert.equal(state.document_points, state.documents.length, "a document's points are torn from it");
    assert.deepEqual([state.waiting, state.dead], [0, 0], "events are left over");
    acknowledged += told.users.size + told.documents.size + [...told.turns.values()].reduce((sum, turns) => sum + turns, 0);
  }
  return acknowledged;
}

const STATE = `
select t.id as tenant,
  coalesce((select json_agg(u.id) from freehold.users u where u.tenant_id = t.uuid), '[]') as users,
  coalesce((select json_agg(d.id) from freehold.documents d where d.tenant_id = t.uuid), '[]') as documents,
  (select c.value::int from freehold.counters c where c.tenant_id = t.uuid and c.name = 'users') as counted,
  (select count(*)::int from freehold.points p where p.tenant_id = t.uuid and p.kind = 'user') as user_points,
  (select count(*)::int from freehold.points p where p.tenant_id = t.uuid and p.kind = 'document') as document_points,
  (select coalesce(sum(octet_length(d.body)), 0)::int from freehold.documents d where d.tenant_id = t.uuid) as stored_bytes,
  (select c.value::int from freehold.counters c where c.tenant_id = t.uuid and c.name = 'storageBytes') as counted_bytes,
  coalesce((select json_object_agg(s.id, json_build_object('messages', s.messages,
    'rows', (select count(*) from freehold.messages m where m.tenant_id = t.uuid and m.session_id = s.id),
    'highest', (select max(m.seq) from freehold.messages m where m.tenant_id = t.uuid and m.session_id = s.id)))
    from freehold.sessions s where s.tenant_id = t.uuid), '{}') as sessions,
  (select count(*)::int from freehold.outbox) + (select count(*)::int from freehold.deliveries) as waiting,
  (select count(*)::int from freehold.dead_letters) as dead
from freehold.tenants t order by t.id`;

/** Mulberry32: numbers from 0 to 1 that follow from the seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
