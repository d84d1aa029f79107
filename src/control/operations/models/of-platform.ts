import { z } from "zod";
import { json, NO_CONTENT, type Operation, platformOperation } from "../../../gateway/index.ts";
import { platformModelsSchema, tenantGrantSchema } from "../../../models/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import { namedTenant } from "../tenants/tenant-view.ts";

/** With `version`, only if nobody changed it since; 0 is a document that there is not yet. */
export const version = z.int().min(0).optional();
/** A provider's key, or null to take it away. */
export const keyInput = z.strictObject({ key: z.string().min(1).max(4_096).nullable() });

/** `/admin/v1/models` and `/admin/v1/tenants/{id}/models`: an operator's calls on providers, models and what tenants may use of them. */
export function modelsOfPlatform(services: Services): readonly Operation[] {
  return [...platformDocument(services), ...grants(services)];
}

function platformDocument(services: Services): readonly Operation[] {
  const { models } = services;
  const path = "/admin/v1/models";
  return [
    platformOperation(
      { role: "viewer" },
      {
        method: "GET",
        path,
        summary: "Read the platform's providers, models, routes and what plans may use of them. No call shows a key.",
        run: async () => json(200, await models.readPlatform()),
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "PUT",
        path,
        summary: "Replace the platform's providers, models, routes and what plans may use of them.",
        body: z.strictObject({ document: platformModelsSchema, version }),
        async run(call) {
          await models.putPlatform(call.body.document, call.body.version);
          recordChange(services, call, "models_changed", null);
          return json(200, await models.readPlatform());
        },
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "PUT",
        path: `${path}/keys/{provider}`,
        summary: "Set the platform's key for a provider, or with null take it away.",
        body: keyInput,
        async run(call) {
          const provider = call.params["provider"] ?? "";
          await models.putPlatformKey(provider, call.body.key);
          recordChange(services, call, "model_key_changed", null, { provider, isSet: call.body.key !== null });
          return NO_CONTENT;
        },
      },
    ),
  ];
}

function grants(services: Services): readonly Operation[] {
  const { models, registry } = services;
  const path = "/admin/v1/tenants/{id}/models";
  return [
    platformOperation(
      { role: "viewer" },
      {
        method: "GET",
        path,
        summary: "Read which models a tenant was given besides its plan, and its budgets.",
        async run({ params }) {
          const { given, version: at } = await models.readTenant(await namedTenant(registry, params["id"]));
          return json(200, { document: given, version: at });
        },
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "PUT",
        path,
        summary: "Give a tenant models besides its plan, and budgets over its plan's of the same names.",
        body: z.strictObject({ document: tenantGrantSchema, version }),
        async run(call) {
          const tenant = await namedTenant(registry, call.params["id"]);
          await models.putGrant(tenant, call.body.document, call.body.version);
          recordChange(services, call, "models_changed", tenant.id);
          const { given, version: at } = await models.readTenant(tenant);
          return json(200, { document: given, version: at });
        },
      },
    ),
  ];
}
