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
  const underWay = new Map<string, Promise<void>>();

  /** Whether the statement says something newer than what was taken on last: one on its way when the tenant changed does not change it back. */
  function isNews(known: Tenant | undefined, { tenant, issuedAtS }: ContextStatement): boolean {
    if (known && isSame(known, tenant)) return false;
    return issuedAtS >= (vouchedAtS.get(tenant.uuid) ?? 0);
  }

  async function takeOn(statement: ContextStatement): Promise<void> {
    const { tenant, issuedAtS } = statement;
    const { id, uuid, plan, locale } = tenant;
    const known = await registry.find(id);
    if (!isNews(known, statement)) return; // taken on while this request looked
    const settings = { plan, features: [...tenant.features], locale };
    vouchedAtS.set(uuid, issuedAtS);
    await registry.ensurePlan(plan);
    if (!known && (await madeHere(registry.create({ id, name: id, ...settings }, { uuid })))) return;
    await registry.update(id, settings); // returns when this process has seen what another has made
  }

  /** The first requests of a tenant come together: one of them takes it on, the others wait for that. */
  async function takeOnOnce(statement: ContextStatement): Promise<void> {
    const { uuid } = statement.tenant;
    const taking = underWay.get(uuid) ?? takeOn(statement).finally(() => underWay.delete(uuid));
    underWay.set(uuid, taking);
    await taking;
  }

  return {
    async find(statement) {
      const { id, uuid } = statement.tenant;
      const known = await registry.find(id);
      if (shared || known) check(known, id, uuid);
      if (!shared && isNews(known, statement)) await takeOnOnce(statement);
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

/** Whether it was made now; false when another process has made it a moment before. */
async function madeHere(making: Promise<Tenant>): Promise<boolean> {
  try {
    await making;
    return true;
  } catch (error) {
    if (error instanceof Fault && error.code === "conflict") return false;
    throw error;
  }
}
