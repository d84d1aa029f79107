import { BoundedMap, Fault, type Secret, type StoreTenant, type Tenant, toFault } from "../../kernel/index.ts";
import { isWord } from "../guardrails/deny-list.ts";
import { MODERATION_SECRET } from "../guardrails/moderation.ts";
import { SIGNING_SECRET } from "../../wire/index.ts";
import { type Catalogue, type CatalogueParts, createCatalogue, type Owner } from "./catalogue.ts";
import { baseUrlOf, toProvider } from "./providers.ts";
import {
  type ModelSettings,
  type PlatformModels,
  platformModelsSchema,
  type ProviderSettings,
  type TenantGrant,
  tenantGrantSchema,
  type TenantModels,
  tenantModelsSchema,
} from "./schema.ts";
import type { ModelStore, PlatformModelRow, TenantModelRow, Versioned } from "./store.ts";

/** What the book of models works with. */
export interface ModelBookPorts {
  readonly store: ModelStore;
  /** The address of a tenant's provider as it would be called. Throws `egress_denied`. */
  readonly checkUrl: (url: string) => URL;
  /** Throws for a schema of answers that cannot be used. */
  readonly checkSchema: (schema: unknown) => void;
  /** Told of faults that no caller can be told of. */
  readonly report: (fault: Fault) => void;
}

/** The settings of models, in memory: what each tenant may use, and the keys of providers. */
export interface ModelBook {
  catalogue(tenant: Tenant): Catalogue | Promise<Catalogue>;
  /** The platform's model of this name, or the one that its provider calls so; whoever may use it. */
  known(name: string): { readonly name: string; readonly settings: ModelSettings } | undefined;
  /** The key of a provider, or undefined where none is set. */
  key(tenant: StoreTenant, owner: Owner, provider: string): Promise<Secret | undefined>;
  /** Days for which lines of the ledger are kept; undefined keeps them. */
  readonly ledgerDays: number | undefined;
  readPlatform(): Promise<Versioned & { readonly keys: readonly string[] }>;
  readTenant(tenant: StoreTenant): Promise<{ given: TenantGrant; own: TenantModels; version: number; keys: readonly string[] }>;
  putPlatform(document: PlatformModels, version: number | undefined): Promise<void>;
  putGrant(tenant: StoreTenant, grant: TenantGrant, version: number | undefined): Promise<void>;
  putOwn(tenant: StoreTenant, document: TenantModels, version: number | undefined): Promise<void>;
  putPlatformKey(provider: string, key: string | null): Promise<void>;
  putTenantKey(tenant: StoreTenant, provider: string, key: string | null): Promise<void>;
  close(): Promise<void>;
}

/** Settings of tenants that are held in memory; the rest is read when it is asked for. */
const TENANTS_MAX = 20_000;
const POLL_MS = 500;

interface Platform {
  readonly row: PlatformModelRow;
  readonly parts: CatalogueParts["platform"];
}

interface Entry {
  /** Counts readings up: a slow one must not replace a later one. */
  readonly reading: number;
  readonly row: TenantModelRow;
  readonly given: TenantGrant | undefined;
  readonly own: CatalogueParts["own"];
  /** The catalogue for this snapshot of the tenant and of the platform. */
  made: { readonly tenant: Tenant; readonly platform: Platform; readonly catalogue: Catalogue } | undefined;
  /** Why the tenant has no models: what is stored for it does not fit. */
  readonly fault: Fault | undefined;
}

/** Opens the book and begins to follow changes of any process: they are seen here within a second, own ones at once. */
export async function createModelBook(ports: ModelBookPorts): Promise<ModelBook> {
  const book = new LiveBook(ports);
  await book.start();
  return book;
}

class LiveBook implements ModelBook {
  readonly #ports: ModelBookPorts;
  readonly #tenants = new BoundedMap<string, Entry>(TENANTS_MAX);
  readonly #loads = new Map<string, Promise<Entry>>();
  #platform!: Platform; // `start` sets it before anybody has the book
  #seen = 0;
  #readings = 0;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  #failing = false;

  constructor(ports: ModelBookPorts) {
    this.#ports = ports;
  }

  async start(): Promise<void> {
    this.#seen = (await this.#ports.store.changesSince(0)).revision;
    this.#platform = this.#toPlatform(await this.#ports.store.platform());
    this.#timer = setInterval(() => this.#wake(), POLL_MS).unref();
  }

  catalogue(tenant: Tenant): Catalogue | Promise<Catalogue> {
    const entry = this.#tenants.get(tenant.uuid);
    return entry ? this.#catalogueOf(tenant, entry) : this.#load(tenant.uuid).then((loaded) => this.#catalogueOf(tenant, loaded));
  }

  known(name: string): { readonly name: string; readonly settings: ModelSettings } | undefined {
    const { models } = this.#platform.parts.document;
    const own = Object.hasOwn(models, name) ? models[name] : undefined;
    if (own) return { name, settings: own };
    const other = Object.entries(models).find(([, { model }]) => model === name);
    return other && { name: other[0], settings: other[1] };
  }

  async key(tenant: StoreTenant, owner: Owner, provider: string): Promise<Secret | undefined> {
    const { store } = this.#ports;
    if (owner === "platform") {
      const sealed = this.#platform.row.keys.get(provider);
      return sealed && store.openPlatformKey(provider, sealed);
    }
    const { row } = this.#tenants.get(tenant.uuid) ?? (await this.#load(tenant.uuid));
    const sealed = row.keys.get(provider);
    return sealed && (await store.openTenantKey(tenant, provider, sealed));
  }

  get ledgerDays(): number | undefined {
    return this.#platform.parts.document.ledgerDays;
  }

  async readPlatform(): Promise<Versioned & { readonly keys: readonly string[] }> {
    const { document, version, keys } = await this.#ports.store.platform();
    const read = platformModelsSchema.safeParse(document ?? {});
    // in the order of the schema, which the database does not keep; what an older version has stored is shown as it is
    return { document: read.success ? read.data : document, version, keys: [...keys.keys()].toSorted() };
  }

  async readTenant({ uuid }: StoreTenant): Promise<{ given: TenantGrant; own: TenantModels; version: number; keys: readonly string[] }> {
    const { given, own, version, keys } = await this.#ports.store.tenant(uuid);
    return { given: readGiven(given), own: readOwn(own), version, keys: [...keys.keys()] };
  }

  async putPlatform(document: PlatformModels, version: number | undefined): Promise<void> {
    for (const [name, settings] of Object.entries(document.providers)) platformUrl(name, settings);
    await this.#ports.store.putPlatform(document, version);
    await this.#catchUp();
  }

  async putGrant(tenant: StoreTenant, grant: TenantGrant, version: number | undefined): Promise<void> {
    await this.#ports.store.putTenant(tenant, "given", grant, version);
    await this.#catchUp();
  }

  async putOwn(tenant: StoreTenant, document: TenantModels, version: number | undefined): Promise<void> {
    for (const settings of Object.values(document.providers)) this.#ports.checkUrl(baseUrlOf(settings));
    const { deny, moderation, answerSchema } = document.guardrails ?? {};
    if (deny) assertWords(deny.words);
    if (moderation) this.#ports.checkUrl(moderation.url);
    if (answerSchema) this.#checkSchema(answerSchema);
    await this.#ports.store.putTenant(tenant, "own", document, version);
    await this.#catchUp();
  }

  async putPlatformKey(provider: string, key: string | null): Promise<void> {
    assertProvider(this.#platform.parts.providers.has(provider) || key === null, provider);
    await this.#ports.store.putPlatformKey(provider, key);
    await this.#catchUp();
  }

  async putTenantKey(tenant: StoreTenant, provider: string, key: string | null): Promise<void> {
    const { own } = await this.readTenant(tenant);
    const isModeration = provider === MODERATION_SECRET && own.guardrails?.moderation !== undefined;
    assertProvider(Object.hasOwn(own.providers, provider) || isModeration || key === null, provider);
    if (isModeration && key !== null) assertSigningSecret(key);
    await this.#ports.store.putTenantKey(tenant, provider, key);
    await this.#catchUp();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#polling?.catch(() => undefined); // it was reported
  }

  #checkSchema(schema: unknown): void {
    try {
      this.#ports.checkSchema(schema);
    } catch (cause) {
      const detail = `guardrails.answerSchema: ${toFault(cause).message}`;
      throw new Fault("invalid_settings", detail, { public: { detail, field: "guardrails.answerSchema" }, cause });
    }
  }

  #catalogueOf(tenant: Tenant, entry: Entry): Catalogue {
    const { made, fault } = entry;
    if (fault) throw fault;
    if (made?.tenant === tenant && made.platform === this.#platform) return made.catalogue;
    const catalogue = createCatalogue(tenant, { platform: this.#platform.parts, given: entry.given, own: entry.own });
    entry.made = { tenant, platform: this.#platform, catalogue };
    return catalogue;
  }

  #load(uuid: string): Promise<Entry> {
    const known = this.#loads.get(uuid);
    if (known) return known;
    const load = this.#read(uuid).finally(() => {
      if (this.#loads.get(uuid) === load) this.#loads.delete(uuid);
    });
    this.#loads.set(uuid, load);
    return load;
  }

  async #read(uuid: string): Promise<Entry> {
    const reading = ++this.#readings;
    const entry = this.#toEntry(uuid, reading, await this.#ports.store.tenant(uuid));
    const known = this.#tenants.peek(uuid);
    if (known && known.reading > reading) return known;
    this.#tenants.set(uuid, entry);
    return entry;
  }

  /** With a document that does not fit any more its tenant has no models at all, and the others have theirs: guardrails and budgets may stand in it. */
  #toEntry(uuid: string, reading: number, row: TenantModelRow): Entry {
    const none = { reading, row, given: undefined, own: undefined, made: undefined };
    try {
      const [given, document] = [readGiven(row.given), readOwn(row.own)];
      const providers = Object.entries(document.providers).flatMap(([name, settings]) => {
        const base = this.#parsed(`at a provider of ${uuid}`, () => this.#ports.checkUrl(baseUrlOf(settings)));
        return base ? [[name, toProvider(name, settings, base)] as const] : [];
      });
      return { ...none, given, own: { document, providers: new Map(providers) }, fault: undefined };
    } catch (cause) {
      const fault = toFault(cause);
      this.#ports.report(new Fault("invalid_settings", `${uuid}: ${fault.message}`, { cause }));
      return { ...none, fault };
    }
  }

  #toPlatform(row: PlatformModelRow): Platform {
    const document = platformModelsSchema.parse(row.document ?? {});
    const providers = Object.entries(document.providers).map(
      ([name, settings]) => [name, toProvider(name, settings, platformUrl(name, settings))] as const,
    );
    return { row, parts: { document, providers: new Map(providers) } };
  }

  #parsed<T>(what: string, parse: () => T): T | undefined {
    try {
      return parse();
    } catch (cause) {
      this.#ports.report(new Fault("invalid_settings", `the stored models ${what} do not fit`, { cause }));
      return undefined;
    }
  }

  async #catchUp(): Promise<void> {
    await this.#polling?.catch(() => undefined); // it may have read before the change
    await this.#begin();
  }

  #wake(): void {
    if (this.#polling) return;
    this.#begin().catch((error: unknown) => {
      if (!this.#failing) this.#ports.report(toFault(error));
      this.#failing = true;
    });
  }

  #begin(): Promise<void> {
    this.#polling = this.#poll().finally(() => {
      this.#polling = undefined;
    });
    return this.#polling;
  }

  async #poll(): Promise<void> {
    const { store } = this.#ports;
    const { revision, platform, tenants } = await store.changesSince(this.#seen);
    if (platform) {
      const row = await store.platform();
      // one that does not fit leaves the last good one in force
      this.#platform = this.#parsed("of the platform", () => this.#toPlatform(row)) ?? this.#platform;
    }
    for (const uuid of tenants) {
      const isUsed = this.#loads.delete(uuid) || this.#tenants.peek(uuid) !== undefined;
      if (isUsed) await this.#read(uuid);
    }
    this.#seen = revision;
    this.#failing = false;
  }
}

/** Operators run the installation: any address of http or https, without credentials in it. */
function platformUrl(name: string, settings: ProviderSettings): URL {
  const url = URL.parse(baseUrlOf(settings));
  if (url && (url.protocol === "https:" || url.protocol === "http:") && url.username === "" && url.search === "" && url.hash === "")
    return url;
  const detail = `providers.${name}.baseUrl: use https:// and a host, without credentials, query and fragment`;
  throw new Fault("invalid_settings", detail, { public: { detail, field: `providers.${name}.baseUrl` } });
}

function assertWords(words: readonly string[]): void {
  const at = words.findIndex((word) => !isWord(word));
  if (at < 0) return;
  const field = `guardrails.deny.words.${at}`;
  const detail = `${field}: the word has only blanks and marks that are not seen, so that nothing is looked for; write letters, digits or signs`;
  throw new Fault("invalid_settings", detail, { public: { detail, field } });
}

function assertSigningSecret(key: string): void {
  if (SIGNING_SECRET.test(key)) return;
  const detail = "The secret of the moderation service is whsec_ and 24 to 64 random bytes in base64.";
  throw new Fault("invalid_settings", detail, { public: { detail, field: "key" } });
}

function assertProvider(isThere: boolean, provider: string): void {
  if (!isThere)
    throw new Fault("not_found", `no provider ${provider}`, {
      public: { detail: "There is no provider of this name. Add it to the settings first." },
    });
}

function readGiven(value: unknown): TenantGrant {
  const { data, error } = tenantGrantSchema.safeParse(value ?? {});
  if (data) return data;
  throw unfitting(
    "What this tenant was given of the platform's models",
    "An operator has to set it again: PUT /admin/v1/tenants/{id}/models.",
    error,
  );
}

function readOwn(value: unknown): TenantModels {
  const { data, error } = tenantModelsSchema.safeParse(value ?? {});
  if (data) return data;
  throw unfitting("What this tenant has set for its models", "Its admin has to set it again: PUT /tenant/v1/models.", error);
}

function unfitting(what: string, then: string, cause: unknown): Fault {
  const detail = `${what} does not fit this version any more, so no model answers it. ${then}`;
  return new Fault("invalid_settings", detail, { public: { detail }, cause });
}
