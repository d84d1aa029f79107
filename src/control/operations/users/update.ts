import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { sql } from "../../../stores/data/index.ts";
import { findUser, publishUser, userChanges } from "./user.ts";

/** `PATCH /users/{id}`: changes the given fields; the change is published to `user.events`. */
export function updateUser(): Operation {
  return tenantOperation(
    { role: "admin", scope: "users" },
    {
      method: "PATCH",
      path: "/users/{id}",
      summary: "Change a user. Publishes user.updated.",
      body: userChanges,
      async run({ params, body, context, scope }) {
        const id = params["id"] ?? "";
        const user = await scope.data.transaction(async (tx) => {
          const old = await findUser(tx, scope, id);
          const { name = old.name, email = old.email, roles = old.roles, metadata = old.metadata } = body;
          await tx.query(sql`
          update users set name = ${name}, email = ${email}, roles = ${roles}, metadata = ${JSON.stringify(metadata)}::jsonb,
            version = version + 1, updated_at = now() where tenant_id = ${context.tenant.uuid} and id = ${id}`);
          await publishUser(tx, scope, "updated", id);
          return await findUser(tx, scope, id);
        });
        return json(200, user);
      },
    },
  );
}
