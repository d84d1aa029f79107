import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { before, describe, test } from "node:test";
import { temporaryFolder } from "../support/engines.ts";
import { templateFolder } from "../support/databases.ts";
import { copyTemplate } from "../support/embedded-template.ts";

const ROOT = path.join(import.meta.dirname, "../..");
const INSTALLED = path.join(ROOT, "node_modules");

/** What somebody writes who has installed the package: every door, with its types. */
const SERVICE = `
import express from "express";
import Fastify from "fastify";
import { Hono } from "hono";
import { createFreehold, Fault, type Freehold, type RequestTenant, sql, type TenantScope } from "freehold";
import { problemHandler, tenantMiddleware } from "freehold/express";
import { tenantPlugin } from "freehold/fastify";
import { tenantMiddleware as honoTenant } from "freehold/hono";
import { createTestFreehold } from "freehold/testing";

export function viaExpress(freehold: Freehold): void {
  const app = express();
  app.use(tenantMiddleware(freehold));
  app.get("/", async (request, response) => {
    const { scope, context }: RequestTenant = request.tenant;
    const { rows } = await scope.data.query<{ name: string }>(sql\`select name from freehold.users\`);
    // @ts-expect-error -- plain text is no statement
    await scope.data.query("select 1");
    // @ts-expect-error -- the context cannot be changed
    context.tenant = context.tenant;
    response.json(rows.map((row) => row.name.toUpperCase()));
  });
  app.use(problemHandler(freehold));
}

export async function viaFastify(freehold: Freehold): Promise<void> {
  const app = Fastify();
  await app.register(tenantPlugin, { freehold });
  app.get("/", async (request) => ({ tenant: request.tenant.context.tenant.id satisfies string }));
}

export function viaHono(freehold: Freehold): void {
  const app = new Hono();
  app.use(honoTenant(freehold));
  app.get("/", (c) => c.json({ tenant: c.var.tenant.context.tenant.id }));
}

export async function elsewhere(folder: string): Promise<TenantScope> {
  const freehold = await createFreehold({ audience: "orders", database: { folder }, gatewayUrl: "https://gateway.example" });
  // @ts-expect-error -- a service without a name cannot check whom a context is for
  await createFreehold({ database: { folder } });
  try {
    return await freehold.forTenant("acme", "nightly report");
  } catch (error) {
    if (error instanceof Fault && error.code === "not_found") throw error;
    throw new Fault("internal", "unexpected", { cause: error });
  }
}

export const testing = createTestFreehold;
`;

const PROGRAM = `
import { sql } from "freehold";
import { tenantMiddleware } from "freehold/express";
import { tenantPlugin } from "freehold/fastify";
import { tenantMiddleware as honoTenant } from "freehold/hono";
import { createTestFreehold } from "freehold/testing";

const [folder] = process.argv.slice(2);
const testing = await createTestFreehold({ database: { folder }, rootKey: "07".repeat(32) });
const { scope, context } = await testing.tenant("acme");
const { rows } = await scope.data.query(sql\`select freehold.tenant()::text as tenant\`);
const doors = [tenantMiddleware, tenantPlugin, honoTenant].map((door) => typeof door);
await testing.close();
console.log(JSON.stringify({ isOwn: rows[0].tenant === context.tenant.uuid, doors }));
`;

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly engines: Readonly<Record<string, string>>;
}

describe("the package as it is published", () => {
  const folder = temporaryFolder();
  const consumer = path.join(folder, "consumer");
  const modules = path.join(consumer, "node_modules");
  const run = (file: string, ...args: readonly string[]): string => execFileSync(file, args, { cwd: consumer, encoding: "utf8" });

  before(() => {
    const dist = path.join(folder, "dist");
    execFileSync(process.execPath, [path.join(ROOT, "build/main.ts"), dist]);
    mkdirSync(path.join(modules, "freehold"), { recursive: true });
    run("npm", "pack", dist, "--offline", "--ignore-scripts", "--loglevel", "error", "--pack-destination", folder);
    const tarball = readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? "";
    run("tar", "-xzf", path.join(folder, tarball), "--strip-components", "1", "-C", path.join(modules, "freehold"));
    writeFileSync(path.join(consumer, "package.json"), JSON.stringify({ type: "module", private: true }));
    // what an installation would put beside it, and nothing else: a dependency that is not declared is not there
    for (const name of [...Object.keys(manifest().dependencies), "express", "fastify", "hono", "@types/express", "@types/node"]) link(name);
  });

  const manifest = (): Manifest => JSON.parse(readFileSync(path.join(modules, "freehold/package.json"), "utf8")) as Manifest; // the build made it
  function link(name: string): void {
    mkdirSync(path.dirname(path.join(modules, name)), { recursive: true });
    symlinkSync(path.join(INSTALLED, name), path.join(modules, name));
  }

  test("runs as JavaScript, its embedded database included", async () => {
    writeFileSync(path.join(consumer, "program.mjs"), PROGRAM);
    const said: unknown = JSON.parse(run(process.execPath, "program.mjs", copyTemplate(await templateFolder())));
    assert.deepEqual(said, { isOwn: true, doors: ["function", "function", "function"] });
  });

  test("has types that hold under strict rules, libraries checked as well", () => {
    writeFileSync(path.join(consumer, "service.ts"), SERVICE);
    const compilerOptions = {
      target: "es2024",
      lib: ["es2024", "esnext.disposable"],
      module: "nodenext",
      types: ["node"],
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
    };
    writeFileSync(path.join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["service.ts"] }));
    assert.equal(run(path.join(INSTALLED, ".bin/tsc"), "-p", "."), "");
  });

  test("brings the program, and nothing that only development needs", () => {
    assert.match(run(process.execPath, path.join(modules, "freehold/bin/freehold.js"), "--help"), /Usage: freehold/);
    assert.deepEqual(
      Object.keys(manifest()).filter((name) => /^(?:devDependencies|scripts|private|allowScripts)$/.test(name)),
      [],
    );
    assert.equal(manifest().engines["node"], ">=24");
    for (const name of ["express", "fastify", "hono"]) assert.ok(!Object.hasOwn(manifest().dependencies, name));
  });
});
