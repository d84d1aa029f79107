import { z } from "zod";
import { json, NO_CONTENT, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { tenantModelsSchema } from "../../../models/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import { keyInput, version } from "./of-platform.ts";

/** `/tenant/v1/models`: a tenant admin's calls on its own providers, models, routes, budgets, cache and guardrails. */
export function ownModels(services: Services): readonly Operation[] {
  const { models } = services;
  const path = "/tenant/v1/models";
  return [
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "GET",
        path,
        summary:
          "Read the tenant's own providers, models, routes, budgets, cache and guardrails, and what it was given. No call shows a key.",
        async run({ context }) {
          const { own, given, version: at, keys } = await models.readTenant(context.tenant);
          return json(200, { document: own, given, version: at, keys });
        },
      },
    ),
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "PUT",
        path,
        summary: "Replace the tenant's own providers, models, routes, budgets, cache and guardrails.",
        body: z.strictObject({ document: tenantModelsSchema, version }),
        async run(call) {
          const { tenant } = call.context;
          await models.putOwn(tenant, call.body.document, call.body.version);
          recordChange(services, call, "models_changed", tenant.id);
          const { own, given, version: at, keys } = await models.readTenant(tenant);
          return json(200, { document: own, given, version: at, keys });
        },
      },
    ),
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "PUT",
        path: `${path}/keys/{provider}`,
        summary: "Set the key for a provider of the tenant's own, or with null take it away.",
        body: keyInput,
        async run(call) {
          const { tenant } = call.context;
          const provider = call.params["provider"] ?? "";
          await models.putTenantKey(tenant, provider, call.body.key);
          recordChange(services, call, "model_key_changed", tenant.id, { provider, isSet: call.body.key !== null });
          return NO_CONTENT;
        },
      },
    ),
  ];
}
