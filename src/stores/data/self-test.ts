import { randomUUID } from "node:crypto";
import { Fault, type FaultCode } from "../../kernel/index.ts";
import { findCatalogProblems } from "./catalog-check.ts";
import type { Queryable } from "./port.ts";
import { sql } from "./sql.ts";
import type { ContextMode } from "./tenant-context.ts";

/** The handles the test needs: two made-up tenants, and the application's role without any tenant. */
export interface SelfTestSubjects {
  readonly tenant: (uuid: string) => Queryable;
  readonly nobody: Queryable;
}

/**
 * Proves before serving that the engine keeps two tenants apart, by writing as both and reading across; throws `isolation_violation`
 * with what was seen otherwise. Before that it reads the catalog: whatever the role in use can reach is under row security with the
 * tenant's policy, and the role owns nothing, bypasses nothing and cannot set the tenant itself.
 */
export async function proveIsolation(subjects: SelfTestSubjects, mode: ContextMode): Promise<void> {
  try {
    await readAcross(subjects, mode);
  } catch (error) {
    if (error instanceof Fault && ELSEWHERE.has(error.code)) throw error;
    throw violation("the test of isolation could not be carried out", error);
  }
}

/** What says nothing of isolation, and what says it already. */
const ELSEWHERE: ReadonlySet<FaultCode> = new Set(["dependency_unavailable", "overloaded", "storage_full", "isolation_violation"]);

async function readAcross({ tenant, nobody }: SelfTestSubjects, mode: ContextMode): Promise<void> {
  const [a, b] = [randomUUID(), randomUUID()];
  const id = randomUUID();
  const asA = tenant(a);
  const asB = tenant(b);
  const [problem] = await findCatalogProblems(asA, mode);
  if (problem !== undefined) throw violation(problem);
  try {
    await asA.query(sql`insert into freehold.isolation_probe (tenant_id, id) values (${a}, ${id})`);
    await asB.query(sql`insert into freehold.isolation_probe (tenant_id, id) values (${b}, ${id})`);
    await expectRows(asA, a, "one tenant's rows");
    await expectRows(asB, b, "another tenant's rows");
    await expectRows(nobody, undefined, "rows without a tenant");
    await expectRefused(asA, b);
    const moved = await asA.query(sql`update freehold.isolation_probe set id = ${randomUUID()} where tenant_id = ${b}`);
    if (moved.count !== 0) throw violation("a tenant could change another tenant's row");
  } finally {
    await asA.query(sql`delete from freehold.isolation_probe where tenant_id = ${a}`);
    await asB.query(sql`delete from freehold.isolation_probe where tenant_id = ${b}`);
  }
}

async function expectRows(as: Queryable, uuid: string | undefined, what: string): Promise<void> {
  const { rows } = await as.query<{ tenant_id: string }>(sql`select tenant_id from freehold.isolation_probe`);
  const expected = uuid === undefined ? 0 : 1;
  if (rows.length !== expected || rows.some((row) => row.tenant_id !== uuid)) {
    throw violation(`reading ${what} gave ${rows.length} rows, ${rows.filter((row) => row.tenant_id !== uuid).length} of them foreign`);
  }
}

async function expectRefused(asA: Queryable, b: string): Promise<void> {
  try {
    await asA.query(sql`insert into freehold.isolation_probe (tenant_id, id) values (${b}, ${randomUUID()})`);
  } catch (error) {
    if (error instanceof Fault && error.code === "forbidden") return;
    throw error;
  }
  throw violation("a tenant could write a row of another tenant");
}

function violation(what: string, cause?: unknown): Fault {
  const because = cause instanceof Error ? ` (${cause.message})` : "";
  return new Fault("isolation_violation", `isolation self-test: ${what}${because}`, {
    cause,
    public: { detail: `Freehold does not start: ${what}. Restore the schema's row security, or start with the URL of an administrator.` },
  });
}
