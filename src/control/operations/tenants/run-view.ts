import type { Tenant } from "../../../kernel/index.ts";
import type { Run } from "../../../tenancy/lifecycle/index.ts";
import { toView } from "./tenant-view.ts";

/** What is being done to a tenant as the management API shows it: how far it is, and what it met. */
export function toRunView({ id, kind, state, steps, notes, problem, createdAt, updatedAt }: Run): Record<string, unknown> {
  const { archive, stored } = notes;
  return { id, kind, state, steps, problem, createdAt, updatedAt, ...(archive && { archive }), ...(stored && { stored }) };
}

/** The tenant with what is being done to it, or was done last where that says something. */
export function toViewWithRun(tenant: Tenant, run: Run | undefined): Record<string, unknown> {
  const tells = run !== undefined && (run.state !== "done" || run.kind !== "provision");
  return { ...toView(tenant), ...(tells && { lifecycle: toRunView(run) }) };
}
