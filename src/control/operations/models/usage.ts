import { z } from "zod";
import { json, type Operation, platformOperation, tenantOperation } from "../../../gateway/index.ts";
import { pageLimit } from "../../schemas.ts";
import type { Services } from "../../services.ts";
import { namedTenant } from "../tenants/tenant-view.ts";

const time = z.iso.datetime().transform((text) => new Date(text));
const stretch = z.strictObject({ from: time.optional(), to: time.optional() });
const page = z.strictObject({ before: time.optional(), limit: pageLimit });

/** What was used of models: for a tenant its own, for operators anybody's. Money is in billionths of the currency's unit. */
export function modelUsage({ modelUse, registry, clock }: Services): readonly Operation[] {
  const sums = async (tenant: string, { from, to }: z.output<typeof stretch>) => {
    const end = to ?? new Date(clock.now() + 1);
    const start = from ?? new Date(Date.UTC(end.getUTCFullYear(), end.getUTCMonth(), 1));
    return json(200, { from: start, to: end, usage: await modelUse.usage(tenant, start, end) });
  };
  const lines = async (tenant: string, { before, limit }: z.output<typeof page>) =>
    json(200, { lines: await modelUse.lines(tenant, before ?? new Date(clock.now() + 1), limit) });
  return [
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "GET",
        path: "/tenant/v1/models/usage",
        summary: "Add up what the tenant has used of models, by model and principal; this month unless said otherwise.",
        query: stretch,
        run: async ({ context, query }) => await sums(context.tenant.uuid, query),
      },
    ),
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "GET",
        path: "/tenant/v1/models/ledger",
        summary: "List the newest tries of the tenant at providers of models, failed ones too.",
        query: page,
        run: async ({ context, query }) => await lines(context.tenant.uuid, query),
      },
    ),
    platformOperation(
      { role: "viewer" },
      {
        method: "GET",
        path: "/admin/v1/tenants/{id}/models/usage",
        summary: "Add up what a tenant has used of models.",
        query: stretch,
        run: async ({ params, query }) => await sums((await namedTenant(registry, params["id"])).uuid, query),
      },
    ),
    platformOperation(
      { role: "viewer" },
      {
        method: "GET",
        path: "/admin/v1/tenants/{id}/models/ledger",
        summary: "List the newest tries of a tenant at providers of models.",
        query: page,
        run: async ({ params, query }) => await lines((await namedTenant(registry, params["id"])).uuid, query),
      },
    ),
  ];
}
