import { createHash, randomBytes, randomInt } from "node:crypto";
import type { TenantFiles } from "../../src/stores/files/index.ts";
import { pieces, readAll } from "./files-under-test.ts";

/** What a tenant's writers have been told is stored. */
export interface FileWriters {
  /** The SHA-256 of each file that was acknowledged; none for one that is gone. */
  readonly acknowledged: ReadonlyMap<string, string | undefined>;
  /** What any writer was told other than that its work is done. */
  readonly failures: readonly unknown[];
  stop(): Promise<void>;
}

const BYTES_MAX = 100_000;
const NAMES = 31;

/** Writers of a tenant, each with a name space of its own: they store, replace, read back and delete files, one after the other. */
export function startFileWriters(stores: readonly TenantFiles[]): FileWriters {
  const acknowledged = new Map<string, string | undefined>();
  const failures: unknown[] = [];
  const end = new AbortController();
  const write = async (files: TenantFiles, writer: number): Promise<void> => {
    for (let n = 0; !end.signal.aborted; n++) {
      const name = `w${writer}/${n % NAMES}`;
      try {
        const content = randomBytes(randomInt(BYTES_MAX));
        const { sha256 } = await files.put(name, pieces(content.subarray(0, content.length / 2), content.subarray(content.length / 2)));
        acknowledged.set(name, sha256);
        const read = await readAll((await files.get(name)).content);
        if (createHash("sha256").update(read).digest("hex") !== sha256) throw new Error(`${name} was read back as something else`);
        if (n % 5 !== 0) continue;
        await files.delete(name);
        acknowledged.set(name, undefined);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  const running = Promise.all(stores.map(write));
  return {
    acknowledged,
    failures,
    async stop() {
      end.abort();
      await running;
    },
  };
}
