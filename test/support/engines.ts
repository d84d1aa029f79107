import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe } from "node:test";
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import type { DataModel } from "../../src/kernel/index.ts";
import { createDataStore, type DataLocation, type DataPorts, type DataStore } from "../../src/stores/data/index.ts";
import { testPorts } from "./data-ports.ts";
import { asAdministrator, freshDatabase, templateFolder } from "./databases.ts";
import { copyTemplate } from "./embedded-template.ts";

/** An installation of its own: no other test sees it. */
export interface Place {
  readonly location: DataLocation;
  /** Opens a store here. It is closed with the suite, if the test does not. */
  open(change?: OpenOptions): Promise<DataStore>;
  /** Runs SQL as the engine's superuser and gives the last statement's rows. On PGlite only while no store is open here. */
  administer<R = Record<string, unknown>>(text: string): Promise<R[]>;
}

/** What a test may change about how a store is opened. */
export interface OpenOptions {
  readonly ports?: DataPorts;
  /** How long a statement may run: the engine's own limit (PostgreSQL), or the watchdog's (PGlite). */
  readonly statementTimeoutMs?: number;
}

/** One engine, for tests that hold for all. */
export interface Engine {
  readonly name: "PGlite" | "PostgreSQL";
  /** A set-up, empty installation. */
  place(): Promise<Place>;
  /** A store over a place of its own. */
  open(change?: OpenOptions): Promise<DataStore>;
}

/** Runs the same suite for every engine. What was opened in it is closed and removed after it. */
export function eachEngine(suite: (engine: Engine) => void): void {
  for (const name of ["PGlite", "PostgreSQL"] as const) {
    describe(name, () => {
      const engine = createEngine(name);
      after(() => engine.close());
      suite(engine);
    });
  }
}

/** The data models that the engine has. */
const MODELS: Readonly<Record<Engine["name"], readonly DataModel[]>> = {
  PGlite: ["row", "schema"],
  PostgreSQL: ["row", "schema", "database"],
};

/** Runs the same suite for every data model of every engine. */
export function eachModel(suite: (engine: Engine, model: DataModel) => void): void {
  for (const name of ["PGlite", "PostgreSQL"] as const) {
    for (const model of MODELS[name]) {
      describe(`${name}, ${model}`, () => {
        const engine = createEngine(name);
        after(() => engine.close());
        suite(engine, model);
      });
    }
  }
}

/** One engine outside `eachEngine`: the caller closes it. */
export function createEngine(name: Engine["name"]): Engine & { close(): Promise<void> } {
  const ends: (() => Promise<void> | void)[] = [];
  const place = async (): Promise<Place> => {
    if (name === "PostgreSQL") return postgresPlace(await freshDatabase(), ends);
    const folder = copyTemplate(await templateFolder());
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    return embeddedPlace(folder, ends);
  };
  return {
    name,
    place,
    open: async (change) => await (await place()).open(change),
    close: async () => {
      for (const end of ends.splice(0).toReversed()) await end();
    },
  };
}

/** A new folder in the system's place for such, removed with the suite that `after` belongs to. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "freehold-test-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function embeddedPlace(folder: string, ends: (() => Promise<void> | void)[]): Place {
  const location: DataLocation = { kind: "embedded", folder };
  return {
    location,
    open: async ({ ports = testPorts(), statementTimeoutMs } = {}) =>
      closedOnce(
        await createDataStore({ ...location, ...(statementTimeoutMs ? { exchangeTimeoutMs: statementTimeoutMs } : {}) }, ports),
        ends,
      ),
    administer: async <R>(text: string) => {
      const database = await PGlite.create({ dataDir: path.join(folder, "pg"), extensions: { vector } });
      try {
        return ((await database.exec(text)).at(-1)?.rows ?? []) as R[]; // the caller names the shape of its own statement
      } finally {
        await database.close();
      }
    },
  };
}

function postgresPlace(url: string, ends: (() => Promise<void> | void)[]): Place {
  const location: DataLocation = { kind: "postgres", url, connectionsMax: 12 };
  return {
    location,
    open: async ({ ports = testPorts(), statementTimeoutMs } = {}) =>
      closedOnce(await createDataStore({ ...location, ...(statementTimeoutMs ? { statementTimeoutMs } : {}) }, ports), ends),
    administer: async <R>(text: string) => {
      const result: unknown = await asAdministrator(url, (client) => client.query(text));
      const last: unknown = Array.isArray(result) ? result.at(-1) : result;
      return (last as { rows: R[] }).rows; // node-postgres gives an array of results for several statements
    },
  };
}

function closedOnce(store: DataStore, ends: (() => Promise<void> | void)[]): DataStore {
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= store.close());
  ends.push(close);
  return { ...store, close };
}
