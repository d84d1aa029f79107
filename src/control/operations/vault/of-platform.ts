import { z } from "zod";
import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import { VAULT_PURPOSES } from "../../../stores/vault/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import { namedTenant } from "../tenants/tenant-view.ts";

const rootInput = z.strictObject({
  /** `aws-kms:<ARN>` or `transit:<name>`; null for the installation's own. */
  root: z.string().min(1).max(512).nullable(),
});
const rotateInput = z.strictObject({ purpose: z.enum(VAULT_PURPOSES) });

/** `/admin/v1/tenants/{id}/vault` and `/admin/v1/vault`: an operator's calls on keys. No call shows one. */
export function vaultOperations(services: Services): readonly Operation[] {
  const { registry, vault } = services;
  const path = "/admin/v1/tenants/{id}/vault";
  return [
    platformOperation(
      { role: "viewer" },
      {
        method: "GET",
        path,
        summary: "Say which keys a tenant has and which root key each is under.",
        async run({ params }) {
          return json(200, await vault.describe(await namedTenant(registry, params["id"])));
        },
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "PUT",
        path: `${path}/root`,
        summary: "Put a tenant's keys under a root key of its own, or back under the installation's.",
        body: rootInput,
        async run(call) {
          const tenant = await namedTenant(registry, call.params["id"]);
          await vault.setRoot(tenant, call.body.root);
          recordChange(services, call, "vault_root_changed", tenant.id, { root: call.body.root });
          return json(200, await vault.describe(tenant));
        },
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "POST",
        path: `${path}/rotate`,
        summary: "Make a new key of a tenant, which seals from now on. What older ones sealed stays readable.",
        body: rotateInput,
        async run(call) {
          const tenant = await namedTenant(registry, call.params["id"]);
          const { purpose } = call.body;
          const version = await vault.rotate(tenant, purpose);
          recordChange(services, call, "vault_key_rotated", tenant.id, { purpose, version });
          return json(200, { purpose, version });
        },
      },
    ),
    platformOperation(
      { role: "admin" },
      {
        method: "POST",
        path: "/admin/v1/vault/rewrap",
        summary: "Put every wrapped key under the root key in force, and seal secrets and marked columns with their tenants' newest keys.",
        async run(call) {
          const keys = await vault.rewrap();
          const secrets = await registry.resealSecrets();
          const columns = { resealed: await services.resealColumns() };
          recordChange(services, call, "vault_rewrapped", null, { ...keys, ...secrets, columns: columns.resealed });
          return json(200, { keys, secrets, columns });
        },
      },
    ),
  ];
}
