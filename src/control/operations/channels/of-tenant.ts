import { json, NO_CONTENT, type Operation, platformOperation } from "../../../gateway/index.ts";
import type { Services } from "../../services.ts";
import { namedTenant } from "../tenants/tenant-view.ts";
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

/** `/admin/v1/tenants/{id}/channels`: an operator's calls on the apps of a tenant. */
export function channelsOfTenant(services: Services): readonly Operation[] {
  const { registry } = services;
  const path = "/admin/v1/tenants/{id}/channels";
  return [
    platformOperation(
      { role: "viewer" },
      {
        method: "GET",
        path,
        summary: "List a tenant's apps on chat platforms, without their secrets.",
        async run({ params }) {
          const { uuid } = await namedTenant(registry, params["id"]);
          return json(200, { channels: (await registry.installations.ofTenant(uuid)).map(toInstallationView) });
        },
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "POST",
        path,
        summary: "Install a tenant's app. Whose it is is asked of the platform.",
        body: installationInput,
        async run(call) {
          const tenant = await namedTenant(registry, call.params["id"]);
          return json(201, await addInstallation(services, call, tenant, call.body));
        },
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "PATCH",
        path: `${path}/{channel}`,
        summary: "Change what a tenant's channel is called, and how the chat of a website looks.",
        body: installationChanges,
        async run(call) {
          const tenant = await namedTenant(registry, call.params["id"]);
          return json(200, await changeInstallation(services, call, tenant, call.params["channel"] ?? "", call.body));
        },
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "DELETE",
        path: `${path}/{channel}`,
        summary: "Take a tenant's app away. What it delivers is refused, in every process within a second.",
        async run(call) {
          await removeInstallation(services, call, await namedTenant(registry, call.params["id"]), call.params["channel"] ?? "");
          return NO_CONTENT;
        },
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "POST",
        path: `${path}/{channel}/test`,
        summary: "Send a signed message through a tenant's app, its agent and the platform, and say how it ended.",
        body: testInput,
        async run({ params, body }) {
          return json(200, await testInstallation(services, await namedTenant(registry, params["id"]), params["channel"] ?? "", body));
        },
      },
    ),
  ];
}
