import { z } from "zod";
import { json, type Operation, platformOperation, rawPlatformOperation } from "../../../gateway/index.ts";
import { Fault, parseTenantId } from "../../../kernel/index.ts";
import { recordChange } from "../../record-change.ts";
import { requestedBy } from "../../requested-by.ts";
import type { Services } from "../../services.ts";
import { toView } from "./tenant-view.ts";

const PIECE_BYTES_MAX = 8 * 1024 * 1024;

const importInput = z.strictObject({ upload: z.uuid(), plan: z.string().min(1).max(63).default("starter") });

/** `PUT /admin/v1/uploads/{upload}`: a piece of an archive, so that one of any size can be brought. */
export function uploadArchive({ lifecycle }: Services): Operation {
  return rawPlatformOperation(
    { role: "admin" },
    {
      method: "PUT",
      path: "/admin/v1/uploads/{upload}",
      summary: "Add a piece of at most 8 MiB to an upload: a UUID of your own. `at` is where it ended so far, 0 at first.",
      query: z.strictObject({ at: z.coerce.number().int().min(0) }),
      bytesMax: PIECE_BYTES_MAX,
      run: async ({ params, query, body }) => json(200, { end: await lifecycle.upload(params["upload"] ?? "", query.at, body) }),
    },
  );
}

/** `POST /admin/v1/tenants/{id}/import`: a new tenant of an uploaded archive. */
export function importTenant(services: Services): Operation {
  return platformOperation(
    { role: "admin" },
    {
      method: "POST",
      path: "/admin/v1/tenants/{id}/import",
      summary: "Make a tenant with this id of an uploaded archive. A refused archive leaves nothing behind.",
      body: importInput,
      async run(call) {
        const id = parseTenantId(call.params["id"]);
        if (id === undefined) throw new Fault("invalid_tenant_id", "not a tenant id");
        const { upload, plan } = call.body;
        const tenant = await services.lifecycle.import({ id, upload, plan }, requestedBy(call));
        recordChange(services, call, "tenant_imported", tenant.id, { upload });
        return json(201, toView(tenant), { location: `/admin/v1/tenants/${tenant.id}` });
      },
    },
  );
}
