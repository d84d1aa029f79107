import { Fault, toFault } from "../../kernel/index.ts";
import type { GatewayObject, GatewayObjects, GatewayWrite } from "../../tenancy/registry/index.ts";
import type { Plugin, Profile } from "../proxy/plugin.ts";
import type { DocumentFile } from "./document-file.ts";
import { openDocumentFile } from "./document-file.ts";
import { ObjectChecks } from "./object-checks.ts";
import type { GatewayDocument } from "./objects.ts";
import { fitStored, type FittedDocument, type StoredObject } from "./fit-stored.ts";
import type { ParsedDocument } from "./parse-document.ts";
import { isRecord } from "./schema/compiler.ts";
import { mergeDocuments, type SourceDocument, splitDocument } from "./source-document.ts";

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

/** The gateway document that is in force: the settings file with the stored objects. */
export interface GatewayConfig {
  readonly profile: Profile;
  current(): GatewayDocument;
  /** As it is written, in the parts that the file and the store have. */
  source(): SourceDocument;
  warnings(): readonly string[];
  onChange(listener: ConfigListener): void;
  /** The stored objects in the order of their making. */
  stored(): readonly GatewayObject[];
  /** Whether the settings file has this object, which nothing but the file can change. */
  isInFile(kind: string, id: string): boolean;
  /** Checks of single objects, in the words of APISIX's admin API. */
  readonly checks: ObjectChecks;
  /** Reads a document that replaces the stored one, with that of the file. Throws `invalid_settings` for anything that would be left out. */
  check(change: GatewayWrite): ParsedDocument;
  /** Checks, stores and serves the change. Throws `invalid_settings` or, for what the file has, `conflict`. */
  write(change: GatewayWrite, options?: { readonly fresh?: boolean }): Promise<void>;
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
  readonly #listeners: ConfigListener[] = [];
  #fileSource: SourceDocument = {};
  #stored: readonly GatewayObject[] = [];
  #parsed: FittedDocument;
  /** Changes are taken in one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #freshNext = false;

  constructor(ports: GatewayConfigPorts) {
    this.#ports = ports;
    this.profile = ports.profile;
    this.checks = new ObjectChecks(ports);
    this.#file = ports.file === undefined ? undefined : openDocumentFile(ports.file, ports.variable);
    this.#parsed = this.#fit({}, []);
  }

  async start(): Promise<void> {
    this.#fileSource = this.#readFile();
    this.#parsed = this.#fit(this.#fileSource, []);
    this.#ports.objects.onChange(
      () => void this.#inTurn(() => this.#reload()).catch((error: unknown) => this.#ports.report(toFault(error))),
    );
    await this.#inTurn(() => this.#reload()).catch((error: unknown) => this.#ports.report(toFault(error)));
    for (const warning of this.#parsed.warnings) this.#ports.warn(warning);
    this.#file?.watch(async () => await this.#inTurn(() => this.#fileChanged()), this.#ports.report);
  }

  current(): GatewayDocument {
    return this.#parsed.document;
  }

  source(): SourceDocument {
    return mergeDocuments(this.#fileSource, this.#stored).document;
  }

  warnings(): readonly string[] {
    return this.#parsed.warnings;
  }

  onChange(listener: ConfigListener): void {
    this.#listeners.push(listener);
  }

  stored(): readonly GatewayObject[] {
    return this.#stored;
  }

  isInFile(kind: string, id: string): boolean {
    return splitDocument(this.#fileSource).some((each) => each.kind === kind && each.id === id);
  }

  check(change: GatewayWrite): ParsedDocument {
    for (const { kind, id } of change.put) {
      if (!this.isInFile(kind, id)) continue;
      const detail = `${kind} ${id} stands in the settings file: change it there`;
      throw new Fault("conflict", detail, { public: { detail } });
    }
    const parsed = this.#fit(this.#fileSource, afterwards(this.#stored, change));
    this.#assertKept(parsed);
    // nothing that is written may be left out; what was doubtful before the change does not hinder it
    const wrong = parsed.refused.find((text) => !this.#parsed.refused.includes(text));
    const doubt = change.remove === "everything" ? undefined : parsed.doubts.find((text) => !this.#parsed.doubts.includes(text));
    const detail = wrong ?? doubt;
    if (detail !== undefined) throw new Fault("invalid_settings", detail, { public: { detail } });
    return parsed;
  }

  async write(change: GatewayWrite, { fresh = false }: { readonly fresh?: boolean } = {}): Promise<void> {
    await this.#inTurn(async () => {
      this.check(change);
      this.#freshNext ||= fresh;
      await this.#ports.objects.write(change);
      await this.#reload();
    });
  }

  async reload({ fresh = false }: { readonly fresh?: boolean } = {}): Promise<void> {
    await this.#inTurn(async () => {
      this.#freshNext ||= fresh;
      await this.#fileChanged();
    });
  }

  async close(): Promise<void> {
    this.#file?.close();
    await Promise.allSettled([this.#last]);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined); // whoever asked for it is told
    return turn;
  }

  #fit(file: SourceDocument, stored: readonly StoredObject[]): FittedDocument {
    const { profile, plugins, variable, storedVariables } = this.#ports;
    const storedVariable = (name: string): string | undefined => (storedVariables.includes(name) ? variable(name) : undefined);
    return fitStored(file, stored, { profile, plugins, variable, storedVariable });
  }

  /** A change may not leave out what is served, nor what it brings itself. */
  #assertKept(next: FittedDocument): void {
    for (const [name, reason] of next.leftOut) {
      if (this.#parsed.leftOut.has(name)) continue;
      const detail = `${name}: ${reason}`;
      throw new Fault("invalid_settings", detail, { public: { detail } });
    }
  }

  #readFile(): SourceDocument {
    const source = this.#file?.read() ?? {};
    if (isRecord(source)) return source;
    throw new Fault("invalid_settings", `${this.#ports.file}: not a mapping`, {
      public: { detail: "The gateway document must be a mapping." },
    });
  }

  async #fileChanged(): Promise<void> {
    const before = this.#fileSource;
    try {
      this.#fileSource = this.#readFile();
      const parsed = this.#fit(this.#fileSource, this.#stored);
      this.#assertKept(parsed);
      await this.#apply(parsed);
    } catch (error) {
      this.#fileSource = before; // the last good one is served on
      throw error;
    }
  }

  async #reload(): Promise<void> {
    const stored = await this.#ports.objects.read();
    const fresh = this.#freshNext;
    if (!fresh && isSame(stored, this.#stored)) return;
    const before = this.#stored;
    try {
      this.#stored = stored;
      await this.#apply(this.#fit(this.#fileSource, stored));
    } catch (error) {
      this.#stored = before;
      throw error;
    }
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
    for (const name of parsed.hidden) this.#ports.warn(`${name}: stands in the settings file too, and that is served`);
    for (const warning of parsed.warnings) if (!before.warnings.includes(warning)) this.#ports.warn(warning);
  }
}

/** The stored objects as they would be after the change. */
function afterwards(stored: readonly StoredObject[], { put, remove }: GatewayWrite): readonly StoredObject[] {
  const is = (a: { kind: string; id: string }, b: { kind: string; id: string }): boolean => a.kind === b.kind && a.id === b.id;
  const kept = stored.flatMap((each) => {
    const changed = put.find((other) => is(each, other));
    if (changed) return [changed];
    return remove === "everything" || remove.some((other) => is(each, other)) ? [] : [each];
  });
  return [...kept, ...put.filter((each) => !stored.some((other) => is(each, other)))];
}

function isSame(a: readonly GatewayObject[], b: readonly GatewayObject[]): boolean {
  return (
    a.length === b.length &&
    a.every((each, at) => each.kind === b[at]?.kind && each.id === b[at].id && each.modifiedIndex === b[at].modifiedIndex)
  );
}
