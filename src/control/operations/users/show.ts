import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { findUser } from "./user.ts";

/** `GET /users/{id}`: one user of the tenant. */
export function showUser(): Operation {
  return tenantOperation(
    { role: "member", scope: "users" },
    {
      method: "GET",
      path: "/users/{id}",
      summary: "Read a user.",
      run: async ({ params, scope }) => json(200, await findUser(scope.data, scope, params["id"] ?? "")),
    },
  );
}
