/** Runs once around a whole test run: `node --test --test-global-setup=test/support/global-setup.ts …`. */
import { rmSync } from "node:fs";
import { ENGINES_ENV, type EngineAddresses, removeLeftovers } from "./databases.ts";
import { makeTemplate } from "./embedded-template.ts";
import { startPostgres, type TestServer } from "./postgres-server.ts";

let server: TestServer | undefined;
let template: string | undefined;

/** Starts PostgreSQL and makes the embedded template; test processes find both by the environment they inherit. */
export async function globalSetup(): Promise<void> {
  const [started, made] = await Promise.allSettled([startPostgres(), makeTemplate()]);
  if (started.status === "fulfilled") server = started.value;
  if (made.status === "fulfilled") template = made.value;
  if (!server || !template) {
    await globalTeardown(); // the runner does not call it after a set-up that failed
    throw new Error("the engines for the tests did not start", { cause: started.status === "rejected" ? started.reason : made });
  }
  const addresses: EngineAddresses = { postgres: server.url, template };
  process.env[ENGINES_ENV] = JSON.stringify(addresses);
}

/** Stops what `globalSetup` started. */
export async function globalTeardown(): Promise<void> {
  if (server) await removeLeftovers(server.url);
  await server?.stop();
  if (template) rmSync(template, { recursive: true, force: true });
}
