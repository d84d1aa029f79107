import type { StoreLifecycle, StoreTenant } from "../../kernel/index.ts";
import type { LifecyclePorts } from "./ports.ts";
import type { HeldRun, RunNotes } from "./run-store.ts";

/** One step of a run. It may be done again after a kill at any point, and then goes on or finds nothing to do. */
export interface Step {
  readonly name: string;
  /** Gives what the steps after it have to know. */
  work(run: HeldRun): Promise<RunNotes>;
}

/** What nothing has to be noted of. */
export const NOTHING: RunNotes = {};

/** The tenant of a run. */
export function tenantOf({ subject, request }: HeldRun): StoreTenant {
  return { uuid: subject, id: request.name };
}

/** Makes in each store what the tenant needs there. */
export function prepareSteps({ stores }: LifecyclePorts): readonly Step[] {
  return stores.map((store) => ({
    name: `prepare ${store.name}`,
    async work(run) {
      await store.provision(tenantOf(run));
      return NOTHING;
    },
  }));
}

/** From here on the tenant is served. */
export function activateStep({ registry }: LifecyclePorts): Step {
  return {
    name: "activate",
    async work({ request }) {
      await registry.setStatus(request.name, "active");
      return NOTHING;
    },
  };
}

/** Keys go first. The data before the search: it closes a move that is still open, and with it the tables of the home that was left. */
const ERASURE_TURNS: Readonly<Record<string, number>> = { vault: 0, search: 2, registry: 3 };
const USUAL_TURN = 1;

/** The stores in the order in which they are erased: keys first, the registry last. */
export function inErasureOrder(stores: readonly StoreLifecycle[]): readonly StoreLifecycle[] {
  const turn = ({ name }: StoreLifecycle): number => ERASURE_TURNS[name] ?? USUAL_TURN;
  return stores.toReversed().toSorted((a, b) => turn(a) - turn(b));
}
