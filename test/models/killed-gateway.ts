import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import type { Freehold } from "../support/freehold.ts";
import type { Order } from "./killed-gateway-program.ts";

const PROGRAM = fileURLToPath(new URL("./killed-gateway-program.ts", import.meta.url));

/** A gateway in a process of its own, which is killed as nothing can be prepared for, and started again. Ended with the test file. */
export class KilledGateway {
  readonly #freehold: Freehold;
  #child: ChildProcess | undefined;
  #url = "";

  constructor(freehold: Freehold) {
    this.#freehold = freehold;
    after(() => void this.#child?.kill("SIGKILL"));
  }

  /** Where it is, or was last. */
  get url(): string {
    return this.#url;
  }

  /** Starts it unless it runs, and returns when it knows these budgets of tenant a. */
  async start(budgets: readonly string[]): Promise<void> {
    if (!this.#child) {
      this.#child = fork(PROGRAM);
      const { settings, rootKey } = this.#freehold.outside;
      const { url } = await this.#tell<{ url: string }>({ order: "start", settings, rootKey: rootKey.toString("hex") });
      this.#url = url;
    }
    await this.#tell({ order: "know", budgets });
  }

  /** Returns when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    this.#child = undefined;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  }

  async #tell<T>(order: Order): Promise<T> {
    const child = this.#child;
    if (!child) throw new Error("no gateway was started");
    const ended = once(child, "exit").then(([code]) => {
      throw new Error(`the gateway has ended (${String(code)})`);
    });
    const answered = once(child, "message");
    child.send(order);
    const told: readonly unknown[] = await Promise.race([answered, ended]);
    return told[0] as T; // our own program
  }
}
