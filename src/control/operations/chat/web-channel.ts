import { Fault, type TenantContext } from "../../../kernel/index.ts";

/** Throws `forbidden` where the tenant has switched its web channel off. */
export function assertWebEnabled({ tenant }: TenantContext): void {
  if (tenant.channels.web.enabled) return;
  throw new Fault("forbidden", "the web channel is off", { public: { detail: "The tenant has switched its web channel off." } });
}
