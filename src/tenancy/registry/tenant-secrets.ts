import { type Fault, type Keyring, Secret, type StoreTenant } from "../../kernel/index.ts";
import { type Queryable, sql, type SystemData } from "../../stores/data/index.ts";
import type { SealPlace, VaultStore } from "../../stores/vault/index.ts";
import { type ResealReport, resealTable, sealSecret } from "./reseal.ts";
import { openSecret } from "./sealed-secret.ts";
import type { TenantUpdate } from "./tenant-settings.ts";

/** What the names of MCP servers' secrets begin with. */
export const MCP_SECRET = "agent.mcp.";

/** The names under which a tenant's secrets are kept. */
export type SecretName = `${typeof MCP_SECRET}${string}` | "agent.apiKey" | "agent.signingSecret";

/** What secrets are sealed and opened with. */
export interface SecretPorts {
  readonly system: SystemData;
  readonly vault: Pick<VaultStore, "forTenant" | "newestVersions">;
  /** Opens what was sealed before there was a vault. */
  readonly keyring: Keyring;
}

/** Secrets on their way into the table; null takes one away. */
export type SealedSecrets = readonly {
  readonly name: SecretName;
  readonly sealed: { readonly bytes: Buffer; readonly keyVersion: number } | null;
}[];

const PAGE = 100;

/** Seals what is given. It may ask a key management service, so it is done before a transaction and not inside. */
export async function sealTenantSecrets(
  { vault }: SecretPorts,
  tenant: StoreTenant,
  { agent }: Pick<TenantUpdate, "agent">,
): Promise<SealedSecrets> {
  const given: readonly (readonly [SecretName, string | null | undefined])[] = [
    ["agent.apiKey", agent?.apiKey],
    ["agent.signingSecret", agent?.signingSecret],
    ...Object.entries(agent?.mcp ?? {}).map(([server, value]) => [`${MCP_SECRET}${server}`, value] as const),
  ];
  const sealed: SealedSecrets[number][] = [];
  for (const [name, value] of given) {
    if (value === null) sealed.push({ name, sealed: null });
    else if (value !== undefined) sealed.push({ name, sealed: await sealSecret(vault, tenant, placeOf(name), Buffer.from(value, "utf8")) });
  }
  return sealed;
}

/** Puts them in the table. */
export async function writeSealedSecrets(tx: Queryable, { uuid }: Pick<StoreTenant, "uuid">, secrets: SealedSecrets): Promise<void> {
  for (const { name, sealed } of secrets) {
    if (sealed === null) await tx.query(sql`delete from freehold.tenant_secrets where tenant_id = ${uuid} and name = ${name}`);
    else {
      await tx.query(sql`
        insert into freehold.tenant_secrets (tenant_id, name, sealed, key_version)
        values (${uuid}, ${name}, ${sealed.bytes}, ${sealed.keyVersion})
        on conflict (tenant_id, name) do update set sealed = excluded.sealed, key_version = excluded.key_version`);
    }
  }
}

/** One of the tenant's secrets, for the adapter that needs it. */
export async function openTenantSecret(ports: SecretPorts, tenant: StoreTenant, name: SecretName): Promise<Secret | undefined> {
  const { rows } = await ports.system.query<SealedRow>(sql`
    select sealed, key_version as "keyVersion" from freehold.tenant_secrets where tenant_id = ${tenant.uuid} and name = ${name}`);
  return rows[0] && (await open(ports, tenant, name, rows[0]));
}

/** Seals every secret that was sealed before there was a vault, or with an older key of its tenant, with the key in force. */
export async function resealTenantSecrets(ports: SecretPorts, report: (fault: Fault) => void, signal?: AbortSignal): Promise<ResealReport> {
  return await resealTable<SecretRow>(
    { page: (after) => readPage(ports, after), reseal: (row) => resealOne(ports, row) },
    ports.vault,
    report,
    signal,
  );
}

type SecretRow = SealedRow & StoreTenant & { readonly name: SecretName };

async function readPage({ system }: SecretPorts, after: SecretRow | undefined): Promise<readonly SecretRow[]> {
  const { uuid, name } = after ?? { uuid: "00000000-0000-0000-0000-000000000000", name: "" };
  const { rows } = await system.query<SecretRow>(sql`
    select t.uuid, t.id, s.name, s.sealed, s.key_version as "keyVersion"
    from freehold.tenant_secrets s join freehold.tenants t on t.uuid = s.tenant_id
    where (s.tenant_id, s.name) > (${uuid}::uuid, ${name}::text) order by s.tenant_id, s.name limit ${PAGE}`);
  return rows;
}

interface SealedRow {
  readonly sealed: Buffer;
  /** Null: sealed before there was a vault. */
  readonly keyVersion: number | null;
}

async function resealOne(ports: SecretPorts, row: SecretRow): Promise<boolean> {
  const secret = await open(ports, row, row.name, row);
  const { bytes, keyVersion } = await sealSecret(ports.vault, row, placeOf(row.name), Buffer.from(secret.reveal(), "utf8"));
  const { count } = await ports.system.query(sql`
    update freehold.tenant_secrets set sealed = ${bytes}, key_version = ${keyVersion}
    where tenant_id = ${row.uuid} and name = ${row.name} and sealed = ${row.sealed}`);
  return count === 1;
}

async function open(ports: SecretPorts, tenant: StoreTenant, name: SecretName, { sealed, keyVersion }: SealedRow): Promise<Secret> {
  if (keyVersion === null) return openSecret(ports.keyring, tenant.uuid, name, sealed);
  return new Secret((await ports.vault.forTenant(tenant).open(placeOf(name), sealed)).toString("utf8"));
}

function placeOf(name: SecretName): SealPlace {
  return { purpose: "secrets", table: "tenant_secrets", column: "sealed", row: [name] };
}
