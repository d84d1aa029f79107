/** Program: a gateway that shares limits with others through the process that started it. Answers each order with how many were let through. */
import { systemClock } from "../../src/kernel/index.ts";
import { createLimits, createMessageLedger, type WindowLimit } from "../../src/tenancy/limits/index.ts";

/** So many requests at once, or so many places to take and keep. */
export type Order =
  | { readonly order: "requests"; readonly key: string; readonly count: number; readonly limit: WindowLimit }
  | { readonly order: "places"; readonly key: string; readonly count: number; readonly max: number };

/** What came of an order, and of how many gateways the process knows. */
export interface OrderAnswer {
  readonly admitted: number;
  readonly gateways: number;
}

/** Longer than an answer takes on a machine that is busy. */
const PATIENT_MS = 10_000;

const ledger = createMessageLedger({
  send: (message) => void process.send?.(message),
  onMessage: (listener) => {
    process.on("message", listener);
    return () => void process.off("message", listener);
  },
});
const limits = createLimits({ clock: systemClock, ledger, ledgerWaitMs: PATIENT_MS });

process.on("message", (message: Order | { readonly order?: undefined }) => {
  if (message.order === undefined) return;
  void execute(message).then((admitted) => process.send?.({ admitted, gateways: ledger.gateways } satisfies OrderAnswer));
});
process.on("disconnect", () => process.exit());

async function execute(order: Order): Promise<number> {
  const takings = Array.from({ length: order.count }, async () =>
    order.order === "requests"
      ? (await limits.exact.window(["tenant", order.key], order.limit)).allow
      : (await limits.exact.slot(["tenant", order.key], order.max, "shared")) !== undefined,
  );
  return (await Promise.all(takings)).filter(Boolean).length;
}
