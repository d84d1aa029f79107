import { createHash } from "node:crypto";
import { Fault, type StoreLifecycle, type StoreRecord, type StoreTenant } from "../../kernel/index.ts";
import type { FileEngines } from "./file-engines.ts";
import type { FileTable } from "./file-table.ts";
import type { TenantFiles } from "./port.ts";

/** What the life cycle of files works with. */
export interface FileLifecycleParts {
  readonly engines: FileEngines;
  readonly tableOf: (tenant: StoreTenant) => FileTable;
}

const PAGE = 100;
const KIND = "file";

/** Files leave whole, each with its bytes, and come back as the new tenant's own, sealed with its key. */
export function fileLifecycle(
  { engines, tableOf }: FileLifecycleParts,
  filesOf: (tenant: StoreTenant, table: FileTable) => TenantFiles,
): StoreLifecycle {
  return {
    name: "files",
    provision: ({ uuid }) => engines.at("shared").provision(uuid),
    measure: (tenant) => tableOf(tenant).use(),
    async *export(tenant): AsyncGenerator<StoreRecord> {
      const files = filesOf(tenant, tableOf(tenant));
      let after: string | undefined = "";
      while (after !== undefined) {
        const page: Awaited<ReturnType<TenantFiles["list"]>> = await files.list({ after, limit: PAGE });
        for (const { name } of page.files) {
          const { info, content } = await files.get(name);
          yield { kind: KIND, value: { ...info }, bytes: await readAll(content) };
        }
        after = page.next;
      }
    },
    async import(tenant, records) {
      const files = filesOf(tenant, tableOf(tenant));
      await engines.at("shared").provision(tenant.uuid);
      for await (const record of records) {
        const { name, contentType, sha256, bytes } = checkRecord(record);
        if (createHash("sha256").update(bytes).digest("hex") !== sha256) throw refused(name);
        await files.put(name, one(bytes), { contentType });
      }
    },
    async erase(tenant) {
      for (const engine of engines.all) await engine.erase(tenant.uuid);
      await tableOf(tenant).erase();
    },
    async remains(tenant) {
      const remainders = [...(await tableOf(tenant).counts())];
      for (const engine of engines.all) remainders.push({ place: engine.place, items: (await engine.count(tenant.uuid)).items });
      return remainders.filter((each) => each.items > 0);
    },
  };
}

function checkRecord({ kind, value, bytes }: StoreRecord) {
  const { name, contentType, sha256 } = value;
  if (kind !== KIND || typeof name !== "string" || typeof contentType !== "string" || typeof sha256 !== "string" || !bytes) {
    throw refused(typeof name === "string" ? name : kind);
  }
  return { name, contentType, sha256, bytes };
}

function refused(what: string): Fault {
  const detail = `${what} is no whole record of a file.`;
  return new Fault("invalid_settings", detail, { public: { detail } });
}

async function readAll(content: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of content) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
