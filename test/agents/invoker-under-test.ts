import type { TestContext } from "node:test";
import { createInvoker, type Invoker, type InvokerOptions, type SearchPassages } from "../../src/agents/index.ts";
import { type Clock, systemClock } from "../../src/kernel/index.ts";
import { createLimits } from "../../src/tenancy/limits/index.ts";
import { createEgress, type Lookup } from "../../src/wire/index.ts";

export interface TestInvokerOptions {
  readonly clock?: Clock;
  readonly searchPassages?: SearchPassages;
  readonly lookup?: Lookup;
  /** What the built-in agent has tools with. */
  readonly tools?: Partial<Pick<InvokerOptions, "askModel" | "mcpSecret" | "noteToolCall">>;
}

/** An invoker over the real outbound client, which may call loopback addresses and closes after the test. */
export function createTestInvoker(t: TestContext, options: TestInvokerOptions = {}): Invoker {
  const egress = createEgress({ policy: { loopback: true, ports: [443] }, ...(options.lookup && { lookup: options.lookup }) });
  t.after(() => egress.close());
  return createInvoker({
    egress,
    clock: options.clock ?? systemClock,
    agentSecret: () => Promise.resolve(undefined),
    limits: createLimits({ clock: systemClock }),
    searchPassages: options.searchPassages ?? (() => Promise.resolve([])),
    mcpSecret: () => Promise.resolve(undefined),
    noteToolCall: () => undefined,
    askModel: () => Promise.reject(new Error("no model was set up")),
    ...options.tools,
  });
}

/** Everything the events are, in their order. */
export async function allOf<T>(events: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const event of events) all.push(event);
  return all;
}
