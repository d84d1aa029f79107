/** Runs once around a whole test run: `node --test --test-global-setup=test/support/global-setup.ts …`. */
import { rmSync } from "node:fs";
import { ENGINES_ENV, type EngineAddresses, removeLeftovers } from "./databases.ts";
import { makeTemplate } from "./embedded-template.ts";
import { startPostgres, type TestServer } from "./postgres-server.ts";

let server: TestServer | undefined;
let template: string | undefined;

/** Starts PostgreSQL and makes the embedded template; test processes find both by the environment they inherit. */
export async function globalSetup(): Promise<void> {
  const [started, made] = await Promise.all([startPostgres(), makeTemplate()]);
  server = started;
  template = made;
  const addresses: EngineAddresses = { postgres: started.url, template: made };
  process.env[ENGINES_ENV] = JSON.stringify(addresses);
}

/** Stops what `globalSetup` started. */
export async function globalTeardown(): Promise<void> {
  if (server) await removeLeftovers(server.url);
  await server?.stop();
  if (template) rmSync(template, { recursive: true, force: true });
}
