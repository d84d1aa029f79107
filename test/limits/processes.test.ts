import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/kernel/index.ts";
import { createMemoryLedger, serveLedger } from "../../src/tenancy/limits/index.ts";
import { until } from "../support/until.ts";
import type { Order, OrderAnswer } from "./gateway-process.ts";

const PROGRAM = fileURLToPath(new URL("./gateway-process.ts", import.meta.url));
const LIMIT = { count: 1_000, windowMs: 600_000, kind: "fixed", scope: "shared" } as const;

/** One process, which shares its limits with the others through this one. */
class GatewayProcess {
  readonly #child: ChildProcess = fork(PROGRAM);

  constructor(ledger: ReturnType<typeof createMemoryLedger>) {
    const child = this.#child;
    const stop = serveLedger(ledger.join(), {
      send: (message) => void (child.connected && child.send(message as object)), // messages are objects
      onMessage: (listener) => {
        child.on("message", listener);
        return () => void child.off("message", listener);
      },
    });
    child.once("exit", () => void stop());
  }

  async order(order: Order): Promise<OrderAnswer> {
    const answer = new Promise<OrderAnswer>((resolve) => {
      const hear = (message: object): void => {
        if (!("admitted" in message)) return;
        this.#child.off("message", hear);
        resolve(message as OrderAnswer); // our own program
      };
      this.#child.on("message", hear);
    });
    this.#child.send(order);
    return await answer;
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }
}

describe("processes of one machine that share limits through the first", () => {
  const ledger = createMemoryLedger(systemClock);
  let gateways: readonly GatewayProcess[] = [];

  before(() => {
    gateways = Array.from({ length: 3 }, () => new GatewayProcess(ledger));
  });
  after(() => Promise.all(gateways.map((gateway) => gateway.kill())));

  async function each(order: Order): Promise<number> {
    const answers = await Promise.all(gateways.map((gateway) => gateway.order(order)));
    return answers.reduce((sum, { admitted }) => sum + admitted, 0);
  }

  test("let no more through together than one alone would", async () => {
    assert.equal(await each({ order: "requests", key: "flood", count: 1_000, limit: LIMIT }), 1_000);
    assert.equal(await each({ order: "requests", key: "flood", count: 100, limit: LIMIT }), 0);
    assert.equal(await each({ order: "requests", key: "last", count: 500, limit: { ...LIMIT, count: 1 } }), 1);
  });

  test("have the places back of a process that was killed", async () => {
    const [first, second] = gateways;
    assert.ok(first && second);
    assert.equal((await first.order({ order: "places", key: "work", count: 8, max: 10 })).admitted, 8);
    assert.equal((await second.order({ order: "places", key: "work", count: 8, max: 10 })).admitted, 2);
    await first.kill();
    await until(
      "its places are free",
      async () => (await second.order({ order: "places", key: "work", count: 1, max: 10 })).admitted === 1,
    );
    assert.equal((await second.order({ order: "places", key: "work", count: 20, max: 10 })).admitted, 7);
    assert.equal((await second.order({ order: "requests", key: "count", count: 1, limit: LIMIT })).gateways, 2);
  });
});
