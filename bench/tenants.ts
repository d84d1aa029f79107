import { createKeyring, systemRandom, type TenantContext } from "../src/kernel/index.ts";
import type { DataPorts } from "../src/stores/data/index.ts";
import { contextOf } from "../test/support/tenants.ts";

/** Contexts of the tenants `bench-1`, `bench-2`, … */
export function benchTenants(count: number): readonly TenantContext[] {
  return Array.from({ length: count }, (_, at) => contextOf(`bench-${at + 1}`));
}

/** Ports of a data store with a fixed root key. A fault that no caller is told of ends the run: its figures would be about nothing. */
export function benchPorts(): DataPorts {
  return {
    keyring: createKeyring(Buffer.alloc(32, 7)),
    random: systemRandom,
    report: (fault) => {
      throw fault;
    },
  };
}

/** Whole numbers below `limit`, spread evenly and the same in every run (xorshift32). */
export function createPicker(seed = 1): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}
