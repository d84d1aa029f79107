import { Fault } from "../../../kernel/index.ts";
import { NO_CONTENT, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { sql } from "../../../stores/data/index.ts";
import { addToCounter } from "../../counters.ts";
import { publishUser } from "./user.ts";

/** `DELETE /users/{id}`: removes a user; the change is published to `user.events`. */
export function removeUser(): Operation {
  return tenantOperation(
    { role: "admin", scope: "users" },
    {
      method: "DELETE",
      path: "/users/{id}",
      summary: "Delete a user. Publishes user.deleted.",
      async run({ params, context, scope }) {
        const id = params["id"] ?? "";
        await scope.data.transaction(async (tx) => {
          const { count } = await tx.query(sql`delete from users where tenant_id = ${context.tenant.uuid} and id = ${id}`);
          if (count === 0) throw new Fault("not_found", "no such user");
          await addToCounter(tx, context, "users", -1, 0);
          await publishUser(tx, scope, "deleted", id);
        });
        return NO_CONTENT;
      },
    },
  );
}
