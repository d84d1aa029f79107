import { setTimeout as pause } from "node:timers/promises";
import { Fault } from "../../kernel/index.ts";
import { type Home, rowHome } from "./home.ts";
import type { Queryable } from "./port.ts";
import { sql } from "./sql.ts";

/** A home that is being left opens elsewhere within milliseconds; who moves it may have been killed, though. */
const CLOSING_TIMEOUT_MS = 15_000;
const CLOSING_PAUSE_MS = 5;

interface HomeRow {
  readonly tenant_id: string;
  readonly model: Home["model"];
  readonly epoch: number;
  readonly closing: boolean;
}

/**
 * Where the tenants of the installation are that are not in shared rows, or once were not. All of them are in memory (some hundred bytes
 * each). What this process has not heard of yet, the engine says: a statement that comes to a home which was left is refused there.
 */
export class HomeMap {
  readonly #system: Queryable;
  readonly #homes = new Map<string, Home>();
  #seen = 0;
  #reading: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(system: Queryable) {
    this.#system = system;
  }

  /** Every change up to this epoch is known here. */
  get seen(): number {
    return this.#seen;
  }

  /** The tenant's home as far as this process knows. The same object as long as nothing changes. */
  get(tenant: string): Home | undefined {
    return this.#homes.get(tenant);
  }

  /** Tenants with a database of their own. */
  inDatabases(): readonly string[] {
    return [...this.#homes.values()].filter(({ model }) => model === "database").map(({ tenant }) => tenant);
  }

  /** Reads what has changed. Resolves when everything committed before this call is known. */
  refresh(): Promise<void> {
    // the reading under way may have begun before the change, so another one follows it; all who ask meanwhile share that one
    if (this.#reading && !this.#next) {
      this.#next = this.#reading
        .catch(() => undefined) // it was told to those who wait for that one
        .then(() => {
          this.#next = undefined;
          return this.#begin();
        });
    }
    return this.#next ?? this.#begin();
  }

  /** Resolves when the tenant's home is open. Throws `tenant_moving` when that takes too long. */
  async untilOpen(tenant: string): Promise<void> {
    const since = performance.now();
    while (this.get(tenant)?.closing === true) {
      if (performance.now() - since > CLOSING_TIMEOUT_MS) throw new Fault("tenant_moving", "the tenant's home did not open");
      await pause(CLOSING_PAUSE_MS);
      await this.refresh();
    }
  }

  #begin(): Promise<void> {
    this.#reading = this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<void> {
    // changes are committed in the order of their epochs, so none of a lower one comes later
    const { rows } = await this.#system.query<HomeRow>(sql`
      select tenant_id, case when own_search then 'row_search' else model end as model, epoch, closing from freehold.homes where epoch > ${this.#seen} order by epoch`);
    for (const { tenant_id: tenant, ...home } of rows) this.#homes.set(tenant, { tenant, ...home });
    this.#seen = rows.at(-1)?.epoch ?? this.#seen;
  }
}

/** The home of a tenant of which the map says nothing: shared rows. */
export function homeOf(homes: HomeMap, tenant: string): Home {
  return homes.get(tenant) ?? rowHome(tenant);
}
