import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import { planSchema } from "../../../tenancy/registry/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";

/** `PUT /admin/v1/plans`: makes a plan or replaces its defaults, for all its tenants. */
export function putPlan(services: Services): Operation {
  return platformOperation(
    { role: "admin" },
    {
      method: "PUT",
      path: "/admin/v1/plans",
      summary: "Make a plan, or replace its defaults for every tenant that has it.",
      body: planSchema,
      async run(call) {
        await services.registry.putPlan(call.body);
        recordChange(services, call, "plan_changed", null, { plan: call.body.name });
        return json(200, call.body);
      },
    },
  );
}
