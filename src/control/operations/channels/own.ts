import { json, NO_CONTENT, type Operation, tenantOperation } from "../../../gateway/index.ts";
import type { Services } from "../../services.ts";
import {
  addInstallation,
  changeInstallation,
  installationChanges,
  installationInput,
  removeInstallation,
  testInput,
  testInstallation,
  toInstallationView,
} from "./installation.ts";

/** `/tenant/v1/channels`: a tenant admin's calls on the tenant's own apps. */
export function ownChannels(services: Services): readonly Operation[] {
  const path = "/tenant/v1/channels";
  return [
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "GET",
        path,
        summary: "List the tenant's apps on chat platforms, without their secrets.",
        async run({ context }) {
          return json(200, { channels: (await services.registry.installations.ofTenant(context.tenant.uuid)).map(toInstallationView) });
        },
      },
    ),
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "POST",
        path,
        summary: "Install an app of the tenant. Whose it is is asked of the platform.",
        body: installationInput,
        run: async (call) => json(201, await addInstallation(services, call, call.context.tenant, call.body)),
      },
    ),
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "PATCH",
        path: `${path}/{channel}`,
        summary: "Change what a channel of the tenant is called, and how the chat of a website looks.",
        body: installationChanges,
        run: async (call) =>
          json(200, await changeInstallation(services, call, call.context.tenant, call.params["channel"] ?? "", call.body)),
      },
    ),
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "DELETE",
        path: `${path}/{channel}`,
        summary: "Take an app of the tenant away. What it delivers is refused, in every process within a second.",
        async run(call) {
          await removeInstallation(services, call, call.context.tenant, call.params["channel"] ?? "");
          return NO_CONTENT;
        },
      },
    ),
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "POST",
        path: `${path}/{channel}/test`,
        summary: "Send a signed message through an app of the tenant, its agent and the platform, and say how it ended.",
        body: testInput,
        run: async ({ context, params, body }) =>
          json(200, await testInstallation(services, context.tenant, params["channel"] ?? "", body)),
      },
    ),
  ];
}
