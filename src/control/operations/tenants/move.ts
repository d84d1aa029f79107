import { z } from "zod";
import { DATA_MODELS, type DataModel, type Tenant } from "../../../kernel/index.ts";
import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import type { MoveReport } from "../../../stores/data/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import { namedTenant } from "./tenant-view.ts";

/** How long one call waits for the move's end. A call that finds the same move under way waits for that one. */
const WAIT_MS = 20_000;

const moveInput = z.strictObject({ data: z.enum(DATA_MODELS) });

/**
 * `POST /admin/v1/tenants/{id}/move`: moves the tenant's rows to another data model while it is served. Answers 200 with a report, or 202
 * while it goes on: the same call again asks how far it is.
 */
export function moveTenant(services: Services): Operation {
  const moves = new Map<string, { readonly target: DataModel; readonly report: Promise<MoveReport> }>();
  const moveOnce = (tenant: Tenant, target: DataModel): Promise<MoveReport> => {
    const known = moves.get(tenant.uuid);
    if (known?.target === target) return known.report;
    const report = services.homes.move(tenant, target);
    report.catch(() => undefined); // whoever asks next is told
    moves.set(tenant.uuid, { target, report });
    return report;
  };
  return platformOperation(
    { role: "admin" },
    {
      method: "POST",
      path: "/admin/v1/tenants/{id}/move",
      summary: "Move a tenant's rows to another data model while it is served. 202: it goes on; call again.",
      body: moveInput,
      async run(call) {
        const tenant = await namedTenant(services.registry, call.params["id"]);
        const { data } = call.body;
        const ended = await endWithin(WAIT_MS, moveOnce(tenant, data));
        if (!ended) return json(202, { id: tenant.id, moving: data });
        moves.delete(tenant.uuid);
        const report = await ended.result;
        await services.registry.catchUp();
        recordChange(services, call, "tenant_moved", tenant.id, { from: report.source, to: report.target });
        return json(200, { id: tenant.id, ...report, fenceMs: Math.round(report.fenceMs), elapsedMs: Math.round(report.elapsedMs) });
      },
    },
  );
}

/** `POST /admin/v1/tenants/{id}/move/confirm`: deletes the home that the tenant has left. */
export function confirmMove(services: Services): Operation {
  return platformOperation(
    { role: "admin" },
    {
      method: "POST",
      path: "/admin/v1/tenants/{id}/move/confirm",
      summary: "Delete the home that a moved tenant has left. Until then it is kept.",
      async run(call) {
        const tenant = await namedTenant(services.registry, call.params["id"]);
        await services.homes.confirm(tenant);
        recordChange(services, call, "tenant_move_confirmed", tenant.id);
        return json(200, { id: tenant.id, data: services.homes.modelOf(tenant) });
      },
    },
  );
}

/** The work once it has ended, well or not; nothing while it goes on. */
async function endWithin<T>(waitMs: number, work: Promise<T>): Promise<{ readonly result: Promise<T> } | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), waitMs);
  });
  const end = { result: work };
  try {
    return await Promise.race([
      work.then(
        () => end,
        () => end,
      ),
      late,
    ]);
  } finally {
    clearTimeout(timer);
  }
}
