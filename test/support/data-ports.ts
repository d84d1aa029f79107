import { createKeyring, type Fault, systemRandom } from "../../src/kernel/index.ts";
import type { DataPorts } from "../../src/stores/data/index.ts";

/** Ports of a data store with a fixed root key. What the store reports is pushed to `reports`. */
export function testPorts(reports: Fault[] = []): DataPorts {
  return { keyring: createKeyring(Buffer.alloc(32, 7)), random: systemRandom, report: (fault) => void reports.push(fault) };
}
