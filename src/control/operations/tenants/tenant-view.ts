import { Fault, parseTenantId, type Tenant } from "../../../kernel/index.ts";
import type { Registry } from "../../../tenancy/registry/index.ts";

/** A tenant as the management API shows it. Secrets appear only as whether they are set. */
export function toView(tenant: Tenant): Record<string, unknown> {
  const { channels, uuid: _internal, ...shown } = tenant;
  return { ...shown, ...channels };
}

/** The tenant's chat settings under the names that chat gateways use. */
export function toConfig({ id, name, channels, agentConfig }: Tenant): Record<string, unknown> {
  const { invokeUrl, timeout } = agentConfig;
  return { tenantId: id, name, web: channels.web, agentConfig: { invokeUrl, timeout } };
}

/** The tenant that an operator's call names, or `not_found`. */
export async function namedTenant(registry: Registry, id: string | undefined): Promise<Tenant> {
  const tenantId = parseTenantId(id);
  const tenant = tenantId && (await registry.find(tenantId));
  if (!tenant) throw new Fault("not_found", "no such tenant");
  return tenant;
}
