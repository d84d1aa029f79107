import { BoundedMap, Fault, type Tenant, type TenantId } from "../kernel/index.ts";
import { asServed, type ContextStatement, unauthenticated, type VouchedTenant } from "../tenancy/identity/index.ts";
import type { Registry } from "../tenancy/registry/index.ts";

/** Tenants of which it is remembered when they were last vouched for. */
const REMEMBERED_MAX = 100_000;

/** The tenants that this service knows. */
export interface KnownTenants {
  /**
   * The tenant that a statement is about, from memory when nothing changed. With the gateway's database it is the gateway's own; otherwise the
   * service's registry takes on what is vouched for. Throws when the tenant is not served, or its name once stood for another tenant.
   */
  find(statement: ContextStatement): Promise<Tenant>;
}

/** The tenants of this registry; `shared` says that it is the gateway's. */
export function createKnownTenants(registry: Registry, shared: boolean): KnownTenants {
  const vouchedAtS = new BoundedMap<string, number>(REMEMBERED_MAX);

  /** Whether the statement says something newer than what was taken on last: one on its way when the tenant changed does not change it back. */
  function isNews(known: Tenant | undefined, { tenant, issuedAtS }: ContextStatement): boolean {
    if (known && isSame(known, tenant)) return false;
    return issuedAtS >= (vouchedAtS.get(tenant.uuid) ?? 0);
  }

  async function takeOn(known: Tenant | undefined, { tenant, issuedAtS }: ContextStatement): Promise<void> {
    const { id, uuid, plan, locale } = tenant;
    const features = [...tenant.features];
    vouchedAtS.set(uuid, issuedAtS);
    await registry.ensurePlan(plan);
    if (known) await registry.update(id, { plan, features, locale });
    else await registry.create({ id, name: id, plan, features, locale }, { uuid }).catch(madeMeanwhile);
  }

  return {
    async find(statement) {
      const { id, uuid } = statement.tenant;
      const known = await registry.find(id);
      if (shared || known) check(known, id, uuid);
      if (!shared && isNews(known, statement)) await takeOn(known, statement);
      return check(await registry.find(id), id, uuid);
    },
  };
}

function check(known: Tenant | undefined, id: TenantId, uuid: string): Tenant {
  // a name that stands for another internal id is another tenant: nothing of the first may reach it
  if (known && known.uuid !== uuid) throw unauthenticated("tenant_uuid_mismatch");
  const served = asServed(known, id);
  if (served.ok) return served.tenant;
  throw served.fault;
}

function isSame(known: Tenant, { plan, locale, features }: VouchedTenant): boolean {
  const had = known.features;
  return known.plan === plan && known.locale === locale && had.length === features.length && had.every((key, at) => key === features[at]);
}

/** Two requests that are the first of a tenant both make it. */
function madeMeanwhile(error: unknown): void {
  if (!(error instanceof Fault) || error.code !== "conflict") throw error;
}
