import { Fault, SerialQueue, toFault } from "../../kernel/index.ts";
import type { Confirmation, GatewayObject, GatewayObjects, GatewayState, GatewayWrite } from "../../tenancy/registry/index.ts";
import type { Plugin, Profile } from "../proxy/plugin.ts";
import { type DocumentFile, openDocumentFile } from "./document-file.ts";
import { createDocumentReader, type DocumentReader } from "./document-reader.ts";
import { type DocumentText, toDocumentText } from "./document-text.ts";
import type { DocumentVerdict } from "./document-work.ts";
import { fitStored, type FittedDocument, type StoredObject } from "./fit-stored.ts";
import { ObjectChecks } from "./object-checks.ts";
import type { GatewayDocument } from "./objects.ts";
import type { TextFormat } from "./read-text.ts";
import { nameOf, type SourceObject } from "./source-document.ts";

/** What the configuration is made of. */
export interface GatewayConfigPorts {
  readonly profile: Profile;
  readonly plugins: readonly Plugin[];
  /** The settings file, where there is one. */
  readonly file: string | undefined;
  readonly objects: GatewayObjects;
  /** Variables that `${{NAME}}` and `$env://NAME` stand for. */
  readonly variable: (name: string) => string | undefined;
  /** Names of those that stored objects may use too: whoever may write them is not to read the rest. */
  readonly storedVariables: readonly string[];
  /** Takes faults that no caller can be told of: a bad file, a stored object that no longer fits. What was served goes on. */
  readonly report: (fault: Fault) => void;
  /** Takes each warning about what is served now. */
  readonly warn: (message: string) => void;
}

/** Told of a new document before the change that brought it is answered. `fresh`: counters are to begin anew. */
export type ConfigListener = (document: GatewayDocument, change: { readonly fresh: boolean }) => void | Promise<void>;

/** How a change is made. */
export interface WriteOptions {
  /** What refers to something that goes is no hindrance, where the profile serves such an object. */
  readonly dangling?: boolean;
}

/** The gateway document that is in force: the settings file with the stored objects. */
export interface GatewayConfig {
  readonly profile: Profile;
  current(): GatewayDocument;
  /** As it is written, in the parts that the file and the store have: JSON. */
  source(): Promise<Uint8Array>;
  warnings(): readonly string[];
  onChange(listener: ConfigListener): void;
  /** The stored objects in the order of their making. */
  stored(): readonly GatewayObject[];
  /** Checks of single objects, in the words of APISIX's admin API. */
  readonly checks: ObjectChecks;
  /** The objects of a document that somebody sends. Throws `invalid_settings`. */
  objectsOf(bytes: Uint8Array, format: TextFormat): Promise<readonly SourceObject[]>;
  /**
   * What the document of the file would be with this change, and what is worth knowing about it. Throws `invalid_settings` for anything that
   * would be left out, `conflict` for what the file has.
   */
  check(change: GatewayWrite, options?: WriteOptions): Promise<DocumentVerdict>;
  /**
   * Checks, stores and serves the change, and waits for a bounded time until all gateways on this database do. Throws `invalid_settings` or, for
   * what the file has, `conflict`.
   */
  write(change: GatewayWrite, options?: WriteOptions): Promise<Confirmation>;
  /** From now on this gateway is waited for by whoever writes. To be called when the listeners have begun. */
  announce(): Promise<void>;
  /** Reads the settings file now instead of at the next poll. Throws `invalid_settings`, and then what was served goes on. */
  reload(options?: { readonly fresh?: boolean }): Promise<void>;
  close(): Promise<void>;
}

/** Opens the configuration. Throws `invalid_settings` for a bad file; stored objects that do not fit are reported and left out. */
export async function createGatewayConfig(ports: GatewayConfigPorts): Promise<GatewayConfig> {
  const config = new LiveConfig(ports);
  await config.start();
  return config;
}

class LiveConfig implements GatewayConfig {
  readonly profile: Profile;
  readonly checks: ObjectChecks;
  readonly #ports: GatewayConfigPorts;
  readonly #file: DocumentFile | undefined;
  readonly #reader: DocumentReader;
  readonly #listeners: ConfigListener[] = [];
  /** What the file had when it was last good. */
  #text: DocumentText | undefined;
  #state: GatewayState = { objects: [], revision: 0, fresh: 0 };
  /** How often a write was told of, and how many of these times were before the last reading. */
  #told = 0;
  #seen = 0;
  #announced = false;
  #parsed: FittedDocument;
  /** Changes are taken in one after the other. */
  readonly #queue = new SerialQueue();
  #freshNext = false;
  #closed = false;

  constructor(ports: GatewayConfigPorts) {
    const { profile, plugins, variable, storedVariables } = ports;
    const storedVariable = (name: string): string | undefined => (storedVariables.includes(name) ? variable(name) : undefined);
    this.#ports = ports;
    this.profile = profile;
    this.checks = new ObjectChecks(ports);
    this.#file = ports.file === undefined ? undefined : openDocumentFile(ports.file);
    this.#reader = createDocumentReader({ profile, plugins, variable, storedVariable });
    this.#parsed = fitStored({}, [], { profile, plugins, variable, storedVariable });
  }

  async start(): Promise<void> {
    const report = (error: unknown): void => {
      if (!this.#closed) this.#ports.report(toFault(error)); // what a reading that is given up says helps nobody
    };
    this.#ports.objects.onChange(() => {
      const told = ++this.#told;
      void this.#queue.run(() => this.#reloadSince(told)).catch(report);
    });
    await this.#queue.run(() => this.#begin(report));
    for (const warning of this.#parsed.warnings) this.#ports.warn(warning);
    this.#file?.watch(async () => await this.#queue.run(() => this.#fileChanged()), report);
  }

  /** Stored objects that cannot be read, or not together, hinder no start: the file is served. */
  async #begin(report: (error: unknown) => void): Promise<void> {
    this.#text = await this.#file?.read();
    try {
      const state = await this.#ports.objects.read();
      this.#parsed = await this.#reader.fit(this.#text, state.objects);
      this.#state = state;
      this.#sayHidden();
    } catch (error) {
      this.#parsed = await this.#reader.fit(this.#text, []);
      report(error);
    }
  }

  current(): GatewayDocument {
    return this.#parsed.document;
  }

  async source(): Promise<Uint8Array> {
    return await this.#reader.source(this.#text, this.#state.objects);
  }

  warnings(): readonly string[] {
    return this.#parsed.warnings;
  }

  onChange(listener: ConfigListener): void {
    this.#listeners.push(listener);
  }

  stored(): readonly GatewayObject[] {
    return this.#state.objects;
  }

  async objectsOf(bytes: Uint8Array, format: TextFormat): Promise<readonly SourceObject[]> {
    // variables belong to the file of the machine: a caller does not read its environment
    return await this.#reader.objects(toDocumentText(bytes, format, { trusted: false }));
  }

  async check(change: GatewayWrite, { dangling = false }: WriteOptions = {}): Promise<DocumentVerdict> {
    const verdict = await this.#reader.check(this.#text, afterwards(this.#state.objects, change));
    const hidden = new Set(verdict.hidden);
    const taken = change.put.find((each) => hidden.has(nameOf(each)));
    if (taken) {
      const detail = `${nameOf(taken)} stands in the settings file: change it there`;
      throw new Fault("conflict", detail, { public: { detail } });
    }
    this.#assertKept(verdict);
    // nothing that is written may be left out; what was doubtful before the change does not hinder it
    const detail = firstNew(verdict.refused, this.#parsed.refused) ?? (dangling ? undefined : this.#newDoubt(change, verdict));
    if (detail !== undefined) throw new Fault("invalid_settings", detail, { public: { detail } });
    return verdict;
  }

  async write(change: GatewayWrite, options: WriteOptions = {}): Promise<Confirmation> {
    const revision = await this.#queue.run(async () => {
      await this.check(change, options);
      const written = await this.#ports.objects.write(change);
      await this.#reload();
      return written;
    });
    return await this.#ports.objects.confirmed(revision);
  }

  async announce(): Promise<void> {
    this.#announced = true;
    await this.#queue.run(() => this.#ports.objects.serves(this.#state.revision));
  }

  async reload({ fresh = false }: { readonly fresh?: boolean } = {}): Promise<void> {
    await this.#queue.run(async () => {
      this.#freshNext ||= fresh;
      await this.#fileChanged();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#file?.close();
    await this.#reader.close();
    await this.#queue.idle();
  }

  /** A change may not leave out what is served, nor what it brings itself. */
  #assertKept(next: DocumentVerdict): void {
    for (const [name, reason] of next.leftOut) {
      if (this.#parsed.leftOut.has(name)) continue;
      const detail = `${name}: ${reason}`;
      throw new Fault("invalid_settings", detail, { public: { detail } });
    }
  }

  #newDoubt({ remove }: GatewayWrite, { doubts }: DocumentVerdict): string | undefined {
    return remove === "everything" ? undefined : firstNew(doubts, this.#parsed.doubts);
  }

  async #fileChanged(): Promise<void> {
    const text = await this.#file?.read();
    const parsed = await this.#reader.fit(text, this.#state.objects);
    this.#assertKept(parsed);
    await this.#apply(parsed);
    this.#text = text; // where anything failed, the last good one is served on
  }

  /** What this process has written itself was read by whoever wrote it. */
  async #reloadSince(told: number): Promise<void> {
    if (this.#seen < told) await this.#reload();
  }

  async #reload(): Promise<void> {
    const told = this.#told;
    const state = await this.#ports.objects.read();
    this.#freshNext ||= state.fresh !== this.#state.fresh;
    if (this.#freshNext || !isSame(state.objects, this.#state.objects))
      await this.#apply(await this.#reader.fit(this.#text, state.objects));
    const isNew = state.revision !== this.#state.revision;
    this.#state = state;
    this.#seen = told;
    if (isNew && this.#announced) await this.#ports.objects.serves(state.revision);
  }

  async #apply(parsed: FittedDocument): Promise<void> {
    const before = this.#parsed;
    const fresh = this.#freshNext;
    this.#parsed = parsed;
    try {
      for (const listener of this.#listeners) await listener(parsed.document, { fresh });
    } catch (error) {
      this.#parsed = before;
      throw error;
    }
    this.#freshNext = false;
    this.#sayHidden();
    const said = new Set(before.warnings);
    for (const warning of parsed.warnings) if (!said.has(warning)) this.#ports.warn(warning);
  }

  #sayHidden(): void {
    for (const name of this.#parsed.hidden) this.#ports.warn(`${name}: stands in the settings file too, and that is served`);
  }
}

/** The stored objects as they would be after the change. */
function afterwards(stored: readonly StoredObject[], { put, remove }: GatewayWrite): readonly StoredObject[] {
  const changed = new Map(put.map((each) => [nameOf(each), each]));
  const removed = remove === "everything" ? undefined : new Set(remove.map(nameOf));
  const there = new Set(stored.map(nameOf));
  const kept = stored.flatMap((each) => {
    const name = nameOf(each);
    const now = changed.get(name) ?? (removed?.has(name) === false ? each : undefined);
    return now ? [now] : [];
  });
  return [...kept, ...put.filter((each) => !there.has(nameOf(each)))];
}

function firstNew(now: readonly string[], before: readonly string[]): string | undefined {
  const known = new Set(before);
  return now.find((text) => !known.has(text));
}

function isSame(a: readonly GatewayObject[], b: readonly GatewayObject[]): boolean {
  return (
    a.length === b.length &&
    a.every((each, at) => each.kind === b[at]?.kind && each.id === b[at].id && each.modifiedIndex === b[at].modifiedIndex)
  );
}
