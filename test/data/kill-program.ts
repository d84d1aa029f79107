/**
 * Writes pairs of rows for two tenants at once until it is killed: a document and an event that tells of it, in one transaction. Says
 * `open`, then the name of each pair that was acknowledged. Arguments: where the store is, as JSON, and a prefix for names.
 */
import { writeSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { toFault } from "../../src/kernel/index.ts";
import { createDataStore, type DataLocation, sql } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { contextOf } from "../support/tenants.ts";

const WRITERS_PER_TENANT = 4;

const [location, prefix] = process.argv.slice(2);
if (location === undefined || prefix === undefined) throw new Error("where?");
const store = await createDataStore(JSON.parse(location) as DataLocation, testPorts()); // made by the test that starts this
say("open");
const writers = ["a", "b"].flatMap((tenant) =>
  Array.from({ length: WRITERS_PER_TENANT }, (_, writer) => write(tenant, `${prefix}-${writer}`)),
);
await Promise.all(writers);

async function write(tenant: string, writer: string): Promise<void> {
  const context = contextOf(tenant);
  const data = store.forTenant(context);
  const { uuid } = context.tenant;
  for (let n = 0; ; n++) {
    const name = `${writer}-${n}`;
    try {
      await data.transaction(async (tx) => {
        await tx.query(
          sql`insert into freehold.documents (tenant_id, id, title, body, created_by) values (${uuid}, ${name}, '', '', 'user-1')`,
        );
        await tx.query(sql`insert into freehold.outbox (tenant_id, id, topic, partition_key, envelope)
          values (${uuid}, ${randomUUID()}, 'documents', ${name}, '')`);
      });
      say(`${tenant} ${name}`);
    } catch (error) {
      // the server ended the connection: nothing was acknowledged
      if (toFault(error).code !== "dependency_unavailable") throw error;
    }
  }
}

/** At once and in whole lines: what was said before the kill is read after it. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}
