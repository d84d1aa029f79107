import { z } from "zod";
import type { TestRun } from "../../../agents/index.ts";
import { PLATFORMS, type Tenant } from "../../../kernel/index.ts";
import type { Installation } from "../../../tenancy/registry/index.ts";
import { recordChange, type Caller } from "../../record-change.ts";
import { text } from "../../schemas.ts";
import type { Services } from "../../services.ts";

/** What makes an installation. What the platform's own fields are is checked by its adapter. */
export const installationInput = z.strictObject({
  platform: z.enum(PLATFORMS),
  name: text(100).optional(),
  settings: z.record(z.string().max(64), z.json()),
});

/** What is changed of an installation: what is not named stays. */
export const installationChanges = z.strictObject({
  name: text(100).optional(),
  settings: installationInput.shape.settings.optional(),
});

/** A test message: to whom the answer goes, by the platform's own name, and what is asked. */
export const testInput = z.strictObject({
  to: z.string().regex(/^[A-Za-z0-9]{1,32}$/, "use the id of a channel"),
  message: text(2_000).default("Are you there?"),
});

/** How long a test waits for its end. */
const TEST_WAIT_MS = 30_000;

/** An installation as lists show it: with its address and without its secrets. */
export function toInstallationView({
  id,
  platform,
  name,
  app,
  workspace,
  settings,
  createdBy,
  createdAt,
}: Installation): Record<string, unknown> {
  return { id, platform, name, app, workspace, settings, path: `/channels/${platform}/${id}`, createdBy, createdAt };
}

/** Makes an installation of this tenant. */
export async function addInstallation(
  services: Services,
  call: Caller,
  tenant: Tenant,
  { platform, name, settings }: z.output<typeof installationInput>,
): Promise<Record<string, unknown>> {
  const createdBy = call.context?.principal.id ?? `platform:${call.principal?.id ?? ""}`;
  const made = await services.channels.add(tenant, {
    platform,
    name: name ?? platform,
    given: settings,
    createdBy,
  });
  recordChange(services, call, "channel_added", tenant.id, { channel: made.id, platform, app: made.app, workspace: made.workspace });
  return toInstallationView(made);
}

/** Changes an installation of this tenant. */
export async function changeInstallation(
  services: Services,
  call: Caller,
  tenant: Tenant,
  id: string,
  { name, settings }: z.output<typeof installationChanges>,
): Promise<Record<string, unknown>> {
  const changed = await services.channels.change(tenant, id, { name, given: settings });
  recordChange(services, call, "channel_changed", tenant.id, { channel: changed.id, platform: changed.platform });
  return toInstallationView(changed);
}

/** Takes an installation of this tenant away. */
export async function removeInstallation(services: Services, call: Caller, tenant: Tenant, id: string): Promise<void> {
  const found = await services.channels.find(tenant, id);
  await services.registry.installations.remove(tenant.uuid, found.id);
  recordChange(services, call, "channel_removed", tenant.id, { channel: found.id, platform: found.platform });
}

/** Sends a message through an installation of this tenant. */
export async function testInstallation(
  services: Services,
  tenant: Tenant,
  id: string,
  { to, message }: z.output<typeof testInput>,
): Promise<TestRun> {
  return await services.channels.test(tenant, id, { to, text: message }, TEST_WAIT_MS);
}
