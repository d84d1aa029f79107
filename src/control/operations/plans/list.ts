import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import type { Services } from "../../services.ts";

/** `GET /admin/v1/plans`: all plans. */
export function listPlans({ registry }: Services): Operation {
  return platformOperation(
    { role: "viewer" },
    {
      method: "GET",
      path: "/admin/v1/plans",
      summary: "List plans with their defaults.",
      run: () => json(200, { plans: registry.plans() }),
    },
  );
}
