import type { Channels, Chat } from "../agents/index.ts";
import type { Clock, Keyring, Random, StorePlaces } from "../kernel/index.ts";
import type { ModelBook, ModelGateway, ModelUse } from "../models/index.ts";
import type { EventWorker } from "../stores/events/index.ts";
import type { VaultStore } from "../stores/vault/index.ts";
import type { Audit } from "../tenancy/audit/index.ts";
import type { Identity } from "../tenancy/identity/index.ts";
import type { Lifecycle } from "../tenancy/lifecycle/index.ts";
import type { Registry } from "../tenancy/registry/index.ts";

/** Whether each part that requests need is working: `ok` or what is wrong with it. */
export interface HealthReport {
  readonly ok: boolean;
  readonly parts: Readonly<Record<string, string>>;
}

/** What the platform's own operations work with, besides the scope of the calling tenant. */
export interface Services {
  readonly registry: Registry;
  readonly identity: Identity;
  readonly audit: Audit;
  readonly chat: Chat;
  readonly channels: Channels;
  readonly worker: EventWorker;
  readonly lifecycle: Lifecycle;
  /** Where tenants' parts of the stores are. */
  readonly places: readonly StorePlaces[];
  /** Seals anew what older keys sealed in columns of the application's tables; gives how many values. */
  readonly resealColumns: () => Promise<number>;
  readonly keyring: Keyring;
  readonly vault: VaultStore;
  readonly models: ModelBook;
  readonly modelGateway: ModelGateway;
  readonly modelUse: ModelUse;
  readonly clock: Clock;
  readonly random: Random;
  readonly health: () => Promise<HealthReport>;
  /** The metrics in the text format of Prometheus. */
  readonly metrics: () => Promise<string>;
  /** The version of this program. */
  readonly version: string;
}
