import { Fault, type TenantId } from "../../../kernel/index.ts";
import type { Call, PluginPorts } from "../../proxy/plugin.ts";

/** The fault for a request that is proved to be of one tenant and says another, after writing it to the audit trail. */
export function refuseTenant(call: Call, ports: PluginPorts, reason: string, claimed: TenantId | undefined, message: string): Fault {
  ports.audit("cross_tenant_attempt", reason, call, claimed);
  return new Fault("tenant_mismatch", message);
}
