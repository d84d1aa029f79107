/**
 * Writes to an embedded store on a small file system until it is full, then frees space and goes on; prints what happened as one line of
 * JSON. Arguments: a folder on that file system, the prepared folder to copy into it, and how much space to leave.
 */
import { randomBytes } from "node:crypto";
import { cpSync, mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { toFault } from "../../src/kernel/index.ts";
import { createDataStore, sql, type TenantData } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { contextOf } from "../support/tenants.ts";
import { until } from "../support/until.ts";
import type { FullDiskReport } from "./full-disk.test.ts";

const EXCHANGE_TIMEOUT_MS = 10_000;
const ROW_BYTES = 200_000;
const REFUSALS = 5;

const [place, template, leave] = process.argv.slice(2);
if (place === undefined || template === undefined) throw new Error("which folders?");

const folder = path.join(place, "data");
const filler = path.join(place, "filler");
const { uuid } = contextOf("a").tenant;

mkdirSync(folder, { recursive: true });
cpSync(template, folder, { recursive: true });
const store = await createDataStore({ kind: "embedded", folder, exchangeTimeoutMs: EXCHANGE_TIMEOUT_MS }, testPorts());
const data = store.forTenant(contextOf("a"));
const { bavail, bsize } = statfsSync(place);
writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - Number(leave))));

const acknowledged: string[] = [];
const refused: string[] = [];
for (let n = 0; refused.length < REFUSALS; n++) {
  try {
    await insert(data, `full-${n}`);
    acknowledged.push(`full-${n}`);
  } catch (error) {
    refused.push(toFault(error).code);
  }
}
const health = store.health();
rmSync(filler);
await until("reads to be answered again", () => ids(data).catch(() => undefined));
await insert(data, "after");
acknowledged.push("after");
const found = await ids(data);
await store.close();
process.stdout.write(`${JSON.stringify({ acknowledged, refused, found, healthy: health.ok } satisfies FullDiskReport)}\n`);

async function insert(into: TenantData, id: string): Promise<void> {
  const body = randomBytes(ROW_BYTES / 2).toString("hex"); // does not compress to nothing
  await into.query(
    sql`insert into freehold.documents (tenant_id, id, title, body, created_by) values (${uuid}, ${id}, '', ${body}, 'user-1')`,
  );
}

async function ids(of: TenantData): Promise<string[]> {
  const { rows } = await of.query<{ id: string }>(sql`select id from freehold.documents`);
  return rows.map((row) => row.id);
}
