import type { Engine } from "../engine.ts";
import { type HomeKeeper, setHomeSql, sharedVersion } from "../home-keeper.ts";
import { assertSame, checksums, copyAll } from "./copy-tables.ts";
import { type MovePlan, planMove } from "./move-plan.ts";
import type { MoveOptions, MoveReport } from "./move-report.ts";

/** Embedded, everything goes through one session anyway: the move is one transaction, for which everybody waits. */
export async function moveEmbedded(
  engine: Engine,
  keeper: HomeKeeper,
  { tenant, source, target }: Omit<MovePlan, "pairs">,
  { onStep }: MoveOptions,
): Promise<MoveReport> {
  const startedMs = performance.now();
  await onStep?.("begun");
  await keeper.build(tenant, target);
  const plan = await planMove(engine, keeper, tenant, { source, target });
  await onStep?.("built");
  return await engine.administer(async (client) => {
    const closedMs = performance.now();
    await client.query("begin; set local session_replication_role = replica");
    try {
      await copyAll(plan, client, client, true);
      await onStep?.("copied");
      const [from, to] = [await checksums(plan, client, "from"), await checksums(plan, client, "to")];
      assertSame(plan, from, to);
      await onStep?.("verified");
      await client.query(`${setHomeSql(tenant, target, keeper.names(tenant))}; ${keeper.noteHomeSql(tenant, await sharedVersion(client))};
        update freehold.moves set step = 'switched', switched_at = now() where tenant_id = '${tenant}'; commit`);
      await onStep?.("switched");
      const now = performance.now();
      const tables = plan.pairs.map((pair, at) => ({ table: pair.from.name, rows: 0, sum: "", ...from[at] }));
      return { source, target, tables, changes: 0, fenceMs: now - closedMs, elapsedMs: now - startedMs };
    } catch (error) {
      await client.query("rollback");
      throw error;
    }
  });
}
