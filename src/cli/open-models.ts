import { type Keyring, systemRandom } from "../kernel/index.ts";
import { createModelBook, type ModelBook, ModelStore } from "../models/index.ts";
import type { DataStore } from "../stores/data/index.ts";
import type { VaultStore } from "../stores/vault/index.ts";
import type { Egress } from "../wire/index.ts";
import type { Closing } from "./closing.ts";
import type { Telemetry } from "./telemetry.ts";

/** What models are opened over. */
export interface ModelRooms {
  readonly data: DataStore;
  readonly vault: VaultStore;
  readonly keyring: Keyring;
  readonly egress: Egress;
  readonly telemetry: Telemetry;
}

/** The settings of models, followed from now on. */
export async function openModels({ data, vault, keyring, egress, telemetry }: ModelRooms, closing: Closing): Promise<ModelBook> {
  const store = new ModelStore({ system: data.system, vault, keyring, random: systemRandom });
  const book = await createModelBook({ store, checkUrl: (url) => egress.check(url), report: telemetry.report });
  closing.add(() => book.close());
  return book;
}
