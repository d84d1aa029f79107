/**
 * A process that publishes or handles events and ends itself by SIGKILL at a named point: no handler runs, nothing is closed.
 * Without a point it works until it is killed from outside. It writes a line for each event whose handling has begun.
 */
import { writeSync } from "node:fs";
import { systemRandom } from "../../src/kernel/index.ts";
import { createDataStore, type DataLocation } from "../../src/stores/data/index.ts";
import type { EventBus, EventConsumer } from "../../src/stores/events/index.ts";
import { contextOf } from "../support/tenants.ts";
import { createEventHouse, keyring, recorder } from "./event-house.ts";

export const FAILPOINTS = ["handling", "before-commit", "after-commit", "publishing", "relaying", "none"] as const;
export type Failpoint = (typeof FAILPOINTS)[number];

/** What the process is told. */
export interface CrashOrder {
  readonly location: DataLocation;
  readonly failpoint: Failpoint;
}

if (import.meta.main) await run(JSON.parse(process.argv[2] ?? "") as CrashOrder); // the test wrote it

function crash(): Promise<never> {
  process.kill(process.pid, "SIGKILL");
  return new Promise(() => {});
}

async function run({ location, failpoint }: CrashOrder): Promise<void> {
  const data = await createDataStore(location, { keyring, random: systemRandom, report: () => {} });
  const { consumer } = recorder();
  const crashing: EventConsumer = {
    ...consumer,
    async handle(event, context, signal) {
      writeSync(1, `${event.id}\n`);
      if (failpoint === "handling") await crash();
      const effect = await consumer.handle(event, context, signal);
      return async (tx) => {
        await effect(tx);
        if (failpoint === "before-commit") await crash();
      };
    },
  };
  const house = createEventHouse(data, [crashing]);
  if (failpoint === "publishing") {
    await data.forTenant(contextOf("a")).transaction(async (tx) => {
      await house.events.forTenant(contextOf("a")).publish(tx, { topic: "user.events", type: "user.created", key: "k", data: {} });
      await crash();
    });
  }
  const bus: EventBus = {
    ...house.bus,
    relay: async () => ((await house.bus.relay()) > 0 && failpoint === "relaying" ? await crash() : 0),
    settle: async (delivery, outcome) => (failpoint === "after-commit" ? await crash() : await house.bus.settle(delivery, outcome)),
  };
  await house.worker(failpoint === "none" ? {} : { bus }).start();
}
