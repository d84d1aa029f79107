import { Fault } from "../../kernel/index.ts";
import type { ConnectionBudget } from "./connection-budget.ts";
import { hasLeftHome, sqlState } from "./data-fault.ts";
import type { Engine, Route } from "./engine.ts";
import { dataModelOf, type Home, rowHome } from "./home.ts";
import { type HomeMap, homeOf } from "./home-map.ts";
import type { Checkout, ConnectionSource } from "./runner.ts";

const PLATFORM = "platform";

/**
 * What a tenant's own login, schema or database answers once it is closed or gone: insufficient_privilege, undefined_table,
 * invalid_schema_name, undefined_object, invalid_catalog_name, refused logins, and a database dropped under its connections.
 */
const GONE_STATES: ReadonlySet<string> = new Set(["42501", "42P01", "3F000", "42704", "3D000", "28000", "28P01", "57P01"]);

/** Connections for the platform's own work, always by the same way. */
export function fixedSource(budget: ConnectionBudget, { pool, preamble }: Route): ConnectionSource {
  return {
    checkOut: async () => ({ lease: await budget.acquire(pool, PLATFORM), preamble, model: "row" }),
    hasMoved: () => Promise.resolve(false),
  };
}

/** Connections of the platform's role to the database of one tenant. They count as that tenant's. */
export function ownSource(engine: Engine, tenant: string): ConnectionSource {
  return {
    checkOut: async () => {
      const { pool, preamble } = engine.ownSystem(tenant);
      return { lease: await engine.tenants.acquire(pool, tenant), preamble, model: "database" };
    },
    hasMoved: () => Promise.resolve(false),
  };
}

/** A tenant's part of the shared rows, wherever its home is. */
export class SharedRows implements ConnectionSource {
  readonly #engine: Engine;
  readonly #homes: HomeMap;
  readonly #tenant: string;

  constructor(engine: Engine, homes: HomeMap, tenant: string) {
    this.#engine = engine;
    this.#homes = homes;
    this.#tenant = tenant;
  }

  async checkOut(): Promise<Checkout> {
    const { seen } = this.#homes;
    const { pool, preamble } = this.#engine.route(rowHome(this.#tenant), seen);
    return { lease: await this.#engine.tenants.acquire(pool, this.#tenant), preamble, model: "row", seen };
  }

  /** These rows stay, but a tenant with a home elsewhere is let in only by who has heard of the newest move of any tenant. */
  async hasMoved(fault: Fault, { seen }: Checkout): Promise<boolean> {
    if (!hasLeftHome(fault)) return false;
    await this.#homes.refresh();
    return this.#homes.seen !== seen;
  }
}

/** A tenant's home, found anew for each check-out, so that work goes where the tenant is at that moment. */
export class TenantSource implements ConnectionSource {
  readonly #engine: Engine;
  readonly #homes: HomeMap;
  readonly #tenant: string;

  constructor(engine: Engine, homes: HomeMap, tenant: string) {
    this.#engine = engine;
    this.#homes = homes;
    this.#tenant = tenant;
  }

  async checkOut(): Promise<Checkout> {
    for (;;) {
      const known = this.#homes.get(this.#tenant);
      if (known?.closing) {
        await this.#homes.untilOpen(this.#tenant);
        continue;
      }
      const home = homeOf(this.#homes, this.#tenant);
      const lease = await this.#acquire(home);
      if (lease && this.#homes.get(this.#tenant) === known) return { ...lease, model: dataModelOf(home.model), home };
      lease?.lease.release(true); // it moved while this waited
    }
  }

  async hasMoved(fault: Fault, { home }: Checkout): Promise<boolean> {
    const left = hasLeftHome(fault);
    if (!left && !isGone(fault, home)) return false;
    await this.#homes.refresh();
    // compared with where the work was done: what is known may have changed since by itself
    return left || homeOf(this.#homes, this.#tenant).epoch !== home?.epoch;
  }

  /** A connection to this home; none when the home turns out to be one that the tenant has left. */
  async #acquire(home: Home): Promise<Pick<Checkout, "lease" | "preamble"> | undefined> {
    const { pool, preamble } = this.#engine.route(home, this.#homes.seen);
    try {
      return { lease: await this.#engine.tenants.acquire(pool, this.#tenant), preamble };
    } catch (error) {
      if (!(error instanceof Fault) || !isGone(error, home)) throw error;
      await this.#homes.refresh();
      if (homeOf(this.#homes, this.#tenant).epoch === home.epoch) throw error;
      return undefined;
    }
  }
}

/** Whether this is what a home of the tenant's own answers when it is closed or gone. */
function isGone(fault: Fault, home: Home | undefined): boolean {
  return home !== undefined && dataModelOf(home.model) !== "row" && GONE_STATES.has(stateOf(fault));
}

/** The SQLSTATE also of a login that was refused, which is no statement's. */
function stateOf(fault: Fault): string {
  const { cause } = fault;
  return sqlState(fault) ?? (cause instanceof Error && "code" in cause ? String(cause.code) : "");
}
