import { parseTenantId } from "../../../kernel/index.ts";
import { unauthenticated } from "../../../tenancy/identity/index.ts";
import type { Plugin } from "../../proxy/plugin.ts";
import { refuseTenant } from "../shared/tenant-agreement.ts";

interface Settings {
  readonly tenant_id: string;
}

/** On a consumer: the tenant it is bound to. Anywhere else: the one tenant that may come through. */
export const tenantContext: Plugin<Settings> = {
  name: "tenant-context",
  priority: 2470,
  schema: {
    type: "object",
    properties: {
      tenant_id: { type: "string" },
      // the upstream is always told the proved tenant, and never another
      propagate_headers: { type: "boolean", const: true, default: true },
    },
    required: ["tenant_id"],
    additionalProperties: false,
  },
  check: ({ tenant_id: id }) => (parseTenantId(id) === undefined ? `${id} is no valid tenant id` : undefined),
  create: ({ tenant_id: id }, _owner, ports) => ({
    access(call) {
      const proved = call.context?.tenant.id;
      if (proved === id) return undefined;
      if (proved === undefined) throw unauthenticated("no tenant was proved");
      throw refuseTenant(call, ports, "route_mismatch", parseTenantId(id), `a caller of ${proved} came to a place of ${id}`);
    },
  }),
};
