import { type Clock, Fault, type Json, type Platform, type StoreTenant, type TenantId } from "../../kernel/index.ts";
import { type Queryable, sql, type SystemData } from "../../stores/data/index.ts";
import type { SealPlace, VaultStore } from "../../stores/vault/index.ts";
import { CachedLookup } from "./cached-lookup.ts";
import { type ResealReport, resealTable, sealSecret } from "./reseal.ts";

/** One app of one tenant on one platform, without its secrets. Frozen. */
export interface Installation {
  /** Random: it stands in the address to which the platform delivers. */
  readonly id: string;
  readonly tenantId: TenantId;
  readonly tenantUuid: string;
  readonly platform: Platform;
  /** For people. */
  readonly name: string;
  /** The app's id, as the platform itself says. */
  readonly app: string;
  /** Where the app is installed, as the platform itself says. */
  readonly workspace: string;
  readonly settings: Readonly<Record<string, Json>>;
  readonly createdBy: string;
  readonly createdAt: Date;
}

/** What a new installation is made of. `secrets` are sealed and never shown again. */
export interface InstallationInsert extends Omit<Installation, "createdAt" | "tenantId" | "tenantUuid"> {
  readonly tenant: StoreTenant;
  readonly secrets: Readonly<Record<string, string>>;
}

/** What people see of an installation. */
export type InstallationChange = Pick<Installation, "name" | "settings">;

/** All installations. Those in use are found in memory; a change by any process is seen as a tenant's is. */
export interface Installations {
  find(id: string): Installation | undefined | Promise<Installation | undefined>;
  /** The tenant's installations, in the order in which they were made. */
  ofTenant(tenantUuid: string): Promise<readonly Installation[]>;
  /** Throws `conflict` when the app is installed there already, for whichever tenant, or when the tenant is on its way out. */
  add(installation: InstallationInsert): Promise<Installation>;
  /** Gives an installation of this tenant what people see of it. Throws `conflict` when it is not as `known` says any more, `not_found`. */
  change(known: Installation, next: InstallationChange): Promise<Installation>;
  /** Takes an installation of this tenant away: what it delivers from now on is refused. Throws `not_found`. */
  remove(tenantUuid: string, id: string): Promise<void>;
  /** Its secrets by name. Throws what the vault throws. */
  secrets(installation: Installation): Promise<Readonly<Record<string, string>>>;
}

/** What installations are kept with. */
interface InstallationPorts {
  readonly system: SystemData;
  readonly vault: Pick<VaultStore, "forTenant" | "newestVersions">;
  readonly clock: Clock;
}

interface Stored extends Installation {
  readonly sealed: Buffer;
}

interface SealedRow {
  readonly id: string;
  readonly uuid: string;
  readonly keyVersion: number;
}

const INSTALLATIONS_MAX = 50_000;
const PER_TENANT_MAX = 100;
const PAGE = 100;

/** The installations of the registry. `catchUp` resolves when what was committed before it is seen here. */
export class InstallationBook implements Installations {
  readonly #ports: InstallationPorts;
  readonly #catchUp: () => Promise<void>;
  readonly #known: CachedLookup<Stored>;

  constructor(ports: InstallationPorts, catchUp: () => Promise<void>) {
    this.#ports = ports;
    this.#catchUp = catchUp;
    this.#known = new CachedLookup((ids) => readInstallations(ports.system, ids), ports.clock, INSTALLATIONS_MAX);
  }

  find(id: string): Installation | undefined | Promise<Installation | undefined> {
    return this.#known.find(id);
  }

  async ofTenant(tenantUuid: string): Promise<readonly Installation[]> {
    const { rows } = await this.#ports.system.query<{ id: string }>(sql`
      select id from freehold.channel_installations where tenant_id = ${tenantUuid} order by created_at, id`);
    const found = await readInstallations(
      this.#ports.system,
      rows.map(({ id }) => id),
    );
    return rows.flatMap(({ id }) => found.get(id) ?? []);
  }

  async add({ tenant, secrets, ...installation }: InstallationInsert): Promise<Installation> {
    const { id, platform, name, app, workspace, settings, createdBy } = installation;
    const { bytes, keyVersion } = await sealSecret(this.#ports.vault, tenant, placeOf(id), Buffer.from(JSON.stringify(secrets), "utf8"));
    try {
      const { count } = await this.#ports.system.query(sql`
        insert into freehold.channel_installations (id, tenant_id, platform, name, app, workspace, settings, sealed, key_version, created_by)
        select ${id}, uuid, ${platform}, ${name}, ${app}, ${workspace}, ${JSON.stringify(settings)}::jsonb, ${bytes}, ${keyVersion}, ${createdBy}
        from freehold.tenants where uuid = ${tenant.uuid} and status not in ('deleting', 'erased')
          and (select count(*) from freehold.channel_installations where tenant_id = ${tenant.uuid}) < ${PER_TENANT_MAX}`);
      if (count === 0) throw taken(`The tenant is on its way out, or has ${PER_TENANT_MAX} channels already.`);
    } catch (error) {
      if (error instanceof Fault && error.code === "conflict" && error.public.detail === undefined) {
        throw taken("This app is set up for this workspace already. Remove it there first.");
      }
      throw error;
    }
    return await this.#seen(id);
  }

  async change({ id, tenantUuid, ...known }: Installation, { name, settings }: InstallationChange): Promise<Installation> {
    const { count } = await this.#ports.system.query(sql`
      update freehold.channel_installations set name = ${name}, settings = ${JSON.stringify(settings)}::jsonb
      where id = ${id} and tenant_id = ${tenantUuid} and name = ${known.name} and settings = ${JSON.stringify(known.settings)}::jsonb`);
    const after = await this.#seen(id);
    if (count === 0) throw taken("Somebody else has just changed this channel. Look at it, and try again.");
    return after;
  }

  async remove(tenantUuid: string, id: string): Promise<void> {
    const { count } = await this.#ports.system.query(sql`
      delete from freehold.channel_installations where id = ${id} and tenant_id = ${tenantUuid}`);
    if (count === 0) throw new Fault("not_found", `installation ${id}`);
    await this.#catchUp();
  }

  async secrets(installation: Installation): Promise<Readonly<Record<string, string>>> {
    const known = await this.#known.find(installation.id);
    if (!known) throw new Fault("not_found", `installation ${installation.id}`);
    return JSON.parse((await this.#open(known)).toString("utf8")) as Record<string, string>; // sealed by `add`
  }

  /** Reads again what changed; every one in memory where `ids` is undefined. */
  async refresh(ids: readonly string[] | undefined): Promise<void> {
    if (ids) await this.#known.refresh(ids);
    else await this.#known.refreshAll();
  }

  /** Seals with the tenants' newest keys what older ones sealed. */
  async reseal(report: (fault: Fault) => void, signal?: AbortSignal): Promise<ResealReport> {
    const { system, vault } = this.#ports;
    const page = async (after: SealedRow | undefined): Promise<readonly SealedRow[]> => {
      const { rows } = await system.query<SealedRow>(sql`
        select id, tenant_id as uuid, key_version as "keyVersion" from freehold.channel_installations
        where id > ${after?.id ?? ""} order by id limit ${PAGE}`);
      return rows;
    };
    return await resealTable({ page, reseal: ({ id }) => this.#resealOne(id) }, vault, report, signal);
  }

  /** As it is once everything that was committed so far is known here. */
  async #seen(id: string): Promise<Installation> {
    await this.#catchUp();
    const found = await this.#known.find(id);
    if (!found) throw new Fault("not_found", `installation ${id}`);
    return found;
  }

  async #resealOne(id: string): Promise<boolean> {
    const stored = (await readInstallations(this.#ports.system, [id])).get(id);
    if (!stored) return false;
    const { bytes, keyVersion } = await sealSecret(this.#ports.vault, tenantOf(stored), placeOf(id), await this.#open(stored));
    const { count } = await this.#ports.system.query(sql`
      update freehold.channel_installations set sealed = ${bytes}, key_version = ${keyVersion}
      where id = ${id} and sealed = ${stored.sealed}`);
    return count === 1;
  }

  async #open(stored: Stored): Promise<Buffer> {
    return await this.#ports.vault.forTenant(tenantOf(stored)).open(placeOf(stored.id), stored.sealed);
  }
}

async function readInstallations(system: Queryable, ids: readonly string[]): Promise<ReadonlyMap<string, Stored>> {
  if (ids.length === 0) return new Map();
  const { rows } = await system.query<Stored>(sql`
    select i.id, t.id as "tenantId", t.uuid as "tenantUuid", i.platform, i.name, i.app, i.workspace, i.settings, i.created_by as "createdBy",
      i.created_at as "createdAt", i.sealed
    from freehold.channel_installations i join freehold.tenants t on t.uuid = i.tenant_id where i.id = any (${ids})`);
  return new Map(rows.map((row) => [row.id, Object.freeze(row)]));
}

/** Whose it is. */
export function tenantOf({ tenantId, tenantUuid }: Installation): StoreTenant {
  return { id: tenantId, uuid: tenantUuid };
}

function placeOf(id: string): SealPlace {
  return { purpose: "secrets", table: "channel_installations", column: "sealed", row: [id] };
}

function taken(detail: string): Fault {
  return new Fault("conflict", detail, { public: { detail } });
}
