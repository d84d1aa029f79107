import type { Json } from "../../kernel/index.ts";
import { createRowLifecycle, type DataStore, type RowLifecycle } from "../../stores/data/index.ts";
import type { Registry } from "./registry.ts";
import { clearSettings } from "./restored.ts";
import { type TenantDocument, tenantSelfUpdateSchema } from "./tenant-settings.ts";
import { readTenants } from "./tenant-store.ts";

const TRAIL = "freehold.audit_entries";
const PLACES: ReadonlySet<string> = new Set([
  TRAIL,
  "freehold.active_users",
  "freehold.api_keys",
  "freehold.channel_conversations",
  "freehold.channel_deliveries",
  "freehold.channel_installations",
  "freehold.channel_link_codes",
  "freehold.channel_links",
  "freehold.channel_requests",
  "freehold.counters",
  "freehold.tenant_domains",
  "freehold.tenant_secrets",
]);

/**
 * The life of a tenant in the registry's own tables: keys, domains, installations, secrets, counters, audit trail and the tenant's settings. Exported are
 * the settings that a tenant may set itself, its domains and its audit trail; none of it is put back by an import: the settings are given
 * when the tenant is made, a domain has to be claimed, and a trail tells of the installation in which it was written. A tenant's own row stays, without its settings.
 */
export function createRegistryLifecycle(data: DataStore, registry: Pick<Registry, "domains">): RowLifecycle {
  const { rows, system } = data;
  const own = createRowLifecycle(rows, { name: "registry", owns: (place) => PLACES.has(place) });
  return {
    ...own,
    async *export(tenant) {
      const [row] = await readTenants(system, [tenant.id]);
      if (row?.uuid === tenant.uuid) yield { kind: "settings", value: ownSettings(row.document) };
      for (const host of await registry.domains(tenant)) yield { kind: "domain", value: { host } };
      for await (const value of rows.read(tenant, TRAIL)) yield { kind: "audit_entry", value };
    },
    // nothing of it is put back
    import: async () => {},
    async erase(tenant) {
      await own.erase(tenant);
      await clearSettings(system, tenant);
    },
  };
}

/** What a tenant's admin could have set: plan, quotas and price are the operator's to give. */
function ownSettings(document: TenantDocument): Record<string, Json> {
  const shown = Object.entries(document).filter(
    ([name, value]) => Object.hasOwn(tenantSelfUpdateSchema.shape, name) && value !== undefined,
  );
  return Object.fromEntries(shown) as Record<string, Json>; // stored as JSON
}
