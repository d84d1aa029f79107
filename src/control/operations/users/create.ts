import { Fault, uuidV7 } from "../../../kernel/index.ts";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { sql } from "../../../stores/data/index.ts";
import { addToCounter } from "../../counters.ts";
import type { Services } from "../../services.ts";
import { findUser, publishUser, userInput } from "./user.ts";

/** `POST /users/create`: a user of the tenant; the change is published to `user.events`. */
export function createUser({ clock, random }: Services): Operation {
  return tenantOperation(
    { role: "admin", scope: "users" },
    {
      method: "POST",
      path: "/users/create",
      summary: "Create a user. Publishes user.created; the user can be searched for moments later.",
      body: userInput,
      async run({ body, context, scope }) {
        const { name, email = null, roles, metadata } = body;
        const id = body.id ?? uuidV7(clock, random);
        const { uuid, quotas } = context.tenant;
        const user = await scope.data.transaction(async (tx) => {
          await addToCounter(tx, context, "users", 1, quotas.maxUsers);
          const { count } = await tx.query(sql`
          insert into users (tenant_id, id, email, name, roles, metadata)
          values (${uuid}, ${id}, ${email}, ${name}, ${roles}, ${JSON.stringify(metadata)}::jsonb) on conflict do nothing`);
          if (count === 0)
            throw new Fault("conflict", "user exists", { public: { detail: "A user with this id or email exists already." } });
          await publishUser(tx, scope, "created", id);
          return await findUser(tx, scope, id);
        });
        return json(201, user, { location: `/users/${encodeURIComponent(id)}` });
      },
    },
  );
}
