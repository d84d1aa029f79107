/** Program: a gateway over the database of the process that starts it, to be killed. It says where it is, and when it knows budgets. */
import { createApp } from "../../src/cli/app.ts";
import { parseSettings } from "../../src/cli/settings.ts";
import { until } from "../support/until.ts";
import { tenantIdOf } from "../support/tenants.ts";

/** What the process is started with, or budgets of tenant a that it should know. */
export type Order =
  | { readonly order: "start"; readonly settings: Readonly<Record<string, unknown>>; readonly rootKey: string }
  | { readonly order: "know"; readonly budgets: readonly string[] };

let starting: ReturnType<typeof createApp> | undefined;

async function execute(message: Order): Promise<object> {
  if (message.order === "start") {
    starting = createApp({
      settings: parseSettings({ ...message.settings }, "test"),
      rootKey: Buffer.from(message.rootKey, "hex"),
      readVariable: () => undefined,
      logLines: { write: () => {} },
    });
    return { url: (await starting).url };
  }
  const { registry, models } = (await starting)?.services ?? {};
  await until("the budgets to be known", async () => {
    const tenant = await registry?.find(tenantIdOf("a"));
    const known = tenant && (await models?.catalogue(tenant))?.budgets.map(({ name }) => name);
    return message.budgets.every((name) => known?.includes(name));
  });
  return { known: true };
}

process.on("message", (message: Order) => void execute(message).then((answer) => process.send?.(answer)));
// whoever has started it is gone
process.on("disconnect", () => process.exit());
