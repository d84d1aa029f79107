import { sql, type SystemData } from "../../stores/data/index.ts";
import { deepFreeze } from "./deep-freeze.ts";
import type { Plan, PlanDocument } from "./tenant-settings.ts";

interface PlanRow {
  readonly name: string;
  readonly version: number;
  readonly document: PlanDocument;
}

/** All plans, in memory. A plan that did not change stays the same object, so that snapshots can share its parts. */
export class PlanList {
  readonly #system: SystemData;
  #plans: ReadonlyMap<string, PlanRow> = new Map();

  constructor(system: SystemData) {
    this.#system = system;
  }

  get(name: string): PlanDocument | undefined {
    return this.#plans.get(name)?.document;
  }

  all(): readonly Plan[] {
    return [...this.#plans.values()].map(({ name, document }) => ({ name, ...document }));
  }

  /** Takes in what the database has now. */
  async read(): Promise<void> {
    const { rows } = await this.#system.query<PlanRow>(sql`select name, version, document from freehold.plans order by name`);
    this.#plans = new Map(
      rows.map((row) => {
        const old = this.#plans.get(row.name);
        return [row.name, old?.version === row.version ? old : deepFreeze(row)];
      }),
    );
  }
}
