import { parseTenantId, type Tenant, type TenantId } from "../../kernel/index.ts";
import type { RequestHead } from "../../wire/index.ts";
import type { Claim } from "../routing/request-view.ts";
import type { Consumer } from "./plugin.ts";
import type { DataPlanePorts } from "./ports.ts";

const BEARER = /^bearer +(\S+)$/i;
/** A payload larger than this is not looked into for a claim. */
const PAYLOAD_CHARACTERS_MAX = 8 * 1024;

/**
 * What the request says about its tenant, read without proving anything: the field, the path, the bearer token, a key of a consumer or
 * of the platform, or a custom host. It may choose a route, because whoever then proves to be somebody else is refused.
 */
export function claimOf(
  head: RequestHead,
  ports: Pick<DataPlanePorts, "claimedTenant" | "findTenant">,
  claimedConsumer: (head: RequestHead) => Consumer | undefined,
): Claim {
  const token = readBearer(head);
  const consumer = claimedConsumer(head);
  const named =
    head.headers.all("x-tenant-id")[0] ?? pathTenant(head) ?? token?.tenantId ?? ports.claimedTenant(head) ?? consumer?.tenantId;
  const tenantId = parseTenantId(named);
  const tenant = tenantId === undefined ? undefined : ports.findTenant(tenantId);
  return {
    tenantId,
    // a tenant that is not in memory is fetched before the match where the plan matters
    tenantTier: tenant instanceof Promise ? undefined : tenant?.plan,
    principal: token?.principal ?? (consumer?.tenantId === undefined ? undefined : consumer.username),
  };
}

/** The same, with the plan of a tenant that has to be fetched. */
export async function claimWithTier(
  claim: Claim,
  findTenant: (id: TenantId) => Tenant | undefined | Promise<Tenant | undefined>,
): Promise<Claim> {
  const tenantId = parseTenantId(claim.tenantId);
  if (tenantId === undefined || claim.tenantTier !== undefined) return claim;
  return { ...claim, tenantTier: (await findTenant(tenantId))?.plan };
}

/** `/tenants/{id}/...`, as the platform's own paths have it. */
function pathTenant({ target }: RequestHead): string | undefined {
  if (!target.path.startsWith("/tenants/")) return undefined;
  return target.path.split("/", 3)[2];
}

/** The path without the part that names the tenant; undefined when there is none. */
export function withoutTenantPath(path: string): string | undefined {
  if (!path.startsWith("/tenants/")) return undefined;
  const end = path.indexOf("/", "/tenants/".length);
  if (end === "/tenants/".length || path.length === "/tenants/".length) return undefined;
  return end === -1 ? "/" : path.slice(end);
}

function readBearer(head: RequestHead): { readonly tenantId: string | undefined; readonly principal: string | undefined } | undefined {
  const text = BEARER.exec(head.headers.all("authorization")[0] ?? "")?.[1];
  if (text === undefined) return undefined;
  const colon = text.indexOf(":");
  // a development token; where it is not taken it proves nothing either
  if (colon > 0 && !text.includes(".")) return { tenantId: text.slice(0, colon), principal: text.slice(colon + 1) };
  const payload = text.split(".", 3)[1];
  if (payload === undefined || payload.length > PAYLOAD_CHARACTERS_MAX) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
    if (typeof claims !== "object" || claims === null) return undefined;
    const { tenant_id: tenantId, sub } = claims as { readonly tenant_id?: unknown; readonly sub?: unknown };
    return { tenantId: textOf(tenantId), principal: textOf(sub) };
  } catch {
    return undefined;
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
