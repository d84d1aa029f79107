/**
 * Does one thing in the life of a tenant in a process of its own, and kills itself at a named point. Says `acknowledged` when a caller would
 * have been answered. Argument: what to do, as JSON.
 */
import { createWriteStream, writeSync } from "node:fs";
import type { StoreLifecycle, StoreRecord, TenantId } from "../../src/kernel/index.ts";
import { createDataStore, type DataLocation } from "../../src/stores/data/index.ts";
import { testPorts } from "../support/data-ports.ts";
import { until } from "../support/until.ts";
import { BY, input, install } from "./lifecycle-under-test.ts";

/** What is to be done, and where it ends. */
export interface Errand {
  readonly location: DataLocation;
  readonly folder: string;
  readonly kind: "provision" | "import" | "export" | "erase";
  readonly id: TenantId;
  /** Of an import. */
  readonly upload?: string;
  /** Of an export: where the archive goes. */
  readonly out?: string;
  readonly killAt: string;
}

const errand = JSON.parse(process.argv[2] ?? "") as Errand; // made by the test that starts this
const { kind, id, killAt } = errand;

/** At once and in whole lines: what was said before the kill is read after it. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}

function reached(point: string): void {
  say(point);
  if (point === killAt) process.kill(process.pid, "SIGKILL");
}

/** The store, with a point before and after each thing that is done to it, and at every hundredth record. */
function pointed(store: StoreLifecycle): StoreLifecycle {
  const counted = async function* (records: AsyncIterable<StoreRecord>, what: string): AsyncGenerator<StoreRecord> {
    let count = 0;
    for await (const record of records) {
      if (count++ % 100 === 0) reached(`${what}:${store.name}:record ${count}`);
      yield record;
    }
  };
  return {
    name: store.name,
    provision: (tenant) => store.provision(tenant),
    measure: (tenant) => store.measure(tenant),
    remains: (tenant) => store.remains(tenant),
    export: (tenant) => counted(store.export(tenant), "export"),
    import: (tenant, records) => store.import(tenant, counted(records, "import")),
    async erase(tenant) {
      reached(`${kind}:${store.name}:begin`);
      await store.erase(tenant);
    },
  };
}

const installed = await install(await createDataStore(errand.location, testPorts()), errand.folder, {
  reached,
  change: (stores) => stores.map(pointed),
});
const { lifecycle, registry } = installed;

switch (kind) {
  case "provision":
    await lifecycle.create(input(id), BY);
    say("acknowledged");
    break;
  case "import":
    await lifecycle.import({ id, upload: errand.upload ?? "", plan: "professional" }, BY);
    say("acknowledged");
    break;
  case "export": {
    const tenant = await registry.find(id);
    const out = createWriteStream(errand.out ?? "");
    if (tenant) for await (const piece of lifecycle.export(tenant)) out.write(piece);
    await new Promise((resolve) => out.end(resolve));
    say("acknowledged");
    break;
  }
  case "erase": {
    const tenant = await registry.find(id);
    if (!tenant) throw new Error(`no tenant ${id}`);
    await lifecycle.erase(tenant, { export: true }, BY);
    say("acknowledged");
    await until("the erasure", async () => (await lifecycle.newest(tenant))?.state === "done");
  }
}
await installed.close();
await installed.store.close();
