import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { eachEngine, type Place } from "../support/engines.ts";
import { createEventHouse, deliveriesIn, effectsOf, lettersIn, outboxSize, passTime, recorder } from "./event-house.ts";
import { type CrashOrder, type Failpoint, FAILPOINTS } from "./crashing-process.ts";

const PROCESS = new URL("./crashing-process.ts", import.meta.url);

function begin(place: Place, failpoint: Failpoint): ChildProcess {
  const order: CrashOrder = { location: place.location, failpoint };
  return spawn(process.execPath, [PROCESS.pathname, JSON.stringify(order)], { stdio: ["ignore", "pipe", "inherit"] });
}

/** Waits for the end of the process. Gives the events whose handling it had begun. */
async function ended(child: ChildProcess, onEvent: (count: number) => void = () => {}): Promise<string[]> {
  assert.ok(child.stdout);
  const begun: string[] = [];
  createInterface(child.stdout).on("line", (id) => onEvent(begun.push(id)));
  const signal = await new Promise<NodeJS.Signals | null>((resolve) => child.once("close", (_code, how) => resolve(how)));
  assert.equal(signal, "SIGKILL", "the process ended in another way");
  return begun;
}

eachEngine((engine) => {
  describe("after a process was killed", () => {
    for (const failpoint of FAILPOINTS.filter((point) => !["none", "publishing"].includes(point))) {
      test(`while ${failpoint}: every event has its effect once`, async () => {
        const place = await engine.place();
        const before = await place.open();
        const ids: string[] = [];
        for (let n = 0; n < 5; n++) ids.push(await createEventHouse(before, []).publish("a", `k${n % 3}`, { n }));
        await before.close();
        await ended(begin(place, failpoint));

        const data = await place.open();
        const effects = await effectsOf(data, "a");
        assert.ok(failpoint === "after-commit" ? effects.size >= 1 : effects.size === 0, `${effects.size} effects before the restart`);
        const { consumer } = recorder();
        const house = createEventHouse(data, [consumer]);
        await passTime(data);
        await house.worker().drain();
        assert.deepEqual(await effectsOf(data, "a"), new Map(ids.map((id) => [id, 1])));
        assert.deepEqual([await deliveriesIn(data), await lettersIn(data), await outboxSize(data)], [[], [], 0]);
      });
    }

    test("while publishing, before the commit: the event is not published", async () => {
      const place = await engine.place();
      await ended(begin(place, "publishing"));
      const data = await place.open();
      assert.equal(await outboxSize(data), 0);
    });

    test("at any moment, again and again: every event has its effect once", async () => {
      const place = await engine.place();
      const before = await place.open();
      const publisher = createEventHouse(before, []);
      const ids: string[] = [];
      for (let n = 0; n < 120; n++) ids.push(await publisher.publish(n % 2 === 0 ? "a" : "b", `k${n % 30}`, { n }));
      await before.close();
      for (const kill of [1, 7, 20]) {
        const child = begin(place, "none");
        const begun = await ended(child, (count) => {
          if (count === kill) child.kill("SIGKILL");
        });
        assert.ok(begun.length >= kill);
        const data = await place.open();
        await passTime(data);
        await data.close();
      }
      const data = await place.open();
      const { consumer } = recorder();
      await createEventHouse(data, [consumer]).worker().drain();
      const effects = new Map([...(await effectsOf(data, "a")), ...(await effectsOf(data, "b"))]);
      assert.deepEqual(effects, new Map(ids.map((id) => [id, 1])));
      assert.deepEqual([await deliveriesIn(data), await lettersIn(data), await outboxSize(data)], [[], [], 0]);
    });
  });
});
