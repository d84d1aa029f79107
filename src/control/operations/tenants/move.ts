import { z } from "zod";
import { DATA_MODELS, STORE_PLACES, type StoreMove, type StorePlaces, type Tenant } from "../../../kernel/index.ts";
import { json, type Operation, platformOperation } from "../../../gateway/index.ts";
import { recordChange } from "../../record-change.ts";
import type { Services } from "../../services.ts";
import { namedTenant } from "./tenant-view.ts";

/** How long one call waits for the move's end. A call that finds the same move under way waits for that one. */
const WAIT_MS = 20_000;

const moveInput = z
  .strictObject({ data: z.enum(DATA_MODELS).optional(), search: z.enum(STORE_PLACES).optional(), files: z.enum(STORE_PLACES).optional() })
  .refine((input) => Object.keys(input).length > 0, "name a store and where to: data, search, files");

type Moved = StoreMove & Pick<StorePlaces, "store">;

/**
 * `POST /admin/v1/tenants/{id}/move`: moves the tenant's part of each named store while it is served, one store after the other. Answers 200
 * with a report, or 202 while it goes on: the same call again asks how far it is.
 */
export function moveTenant(services: Services): Operation {
  const moves = new Map<string, { readonly wanted: string; readonly moved: Promise<readonly Moved[]> }>();
  const moveOnce = (tenant: Tenant, targets: z.infer<typeof moveInput>): Promise<readonly Moved[]> => {
    const wanted = JSON.stringify(services.places.map(({ store }) => targetOf(targets, store)));
    const known = moves.get(tenant.uuid);
    if (known?.wanted === wanted) return known.moved;
    const moved = moveStores(services.places, tenant, targets);
    moved.catch(() => undefined); // whoever asks next is told
    moves.set(tenant.uuid, { wanted, moved });
    return moved;
  };
  return platformOperation(
    { role: "admin" },
    {
      method: "POST",
      path: "/admin/v1/tenants/{id}/move",
      summary: "Move a tenant's rows, search or files to another place while it is served. 202: it goes on; call again.",
      body: moveInput,
      async run(call) {
        const tenant = await namedTenant(services.registry, call.params["id"]);
        const ended = await endWithin(WAIT_MS, moveOnce(tenant, call.body));
        if (!ended) return json(202, { id: tenant.id, moving: call.body });
        moves.delete(tenant.uuid);
        const moved = await ended.result;
        await services.registry.catchUp();
        for (const { store, source, target } of moved)
          recordChange(services, call, "tenant_moved", tenant.id, { store, from: source, to: target });
        return json(200, { id: tenant.id, moved });
      },
    },
  );
}

/** `POST /admin/v1/tenants/{id}/move/confirm`: deletes the places that the tenant has left. */
export function confirmMove(services: Services): Operation {
  return platformOperation(
    { role: "admin" },
    {
      method: "POST",
      path: "/admin/v1/tenants/{id}/move/confirm",
      summary: "Delete the places that a moved tenant has left. Until then they are kept.",
      async run(call) {
        const tenant = await namedTenant(services.registry, call.params["id"]);
        for (const places of services.places) await places.confirm(tenant);
        recordChange(services, call, "tenant_move_confirmed", tenant.id);
        return json(200, { id: tenant.id, places: await placesOf(services, tenant) });
      },
    },
  );
}

/** Where the tenant's part of each store is. */
export async function placesOf({ places }: Pick<Services, "places">, tenant: Tenant): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const each of places) found[each.store] = await each.placeOf(tenant);
  return found;
}

/** What was moved by an earlier call with the same targets stays as it is; when all is there already, the first store says so. */
async function moveStores(places: readonly StorePlaces[], tenant: Tenant, targets: z.infer<typeof moveInput>): Promise<readonly Moved[]> {
  const moved: Moved[] = [];
  const named = places.filter(({ store }) => targetOf(targets, store) !== undefined);
  const left: StorePlaces[] = [];
  for (const each of named) if ((await each.placeOf(tenant)) !== targetOf(targets, each.store)) left.push(each);
  for (const each of left.length > 0 ? left : named) {
    const report = await each.move(tenant, targetOf(targets, each.store) ?? "");
    moved.push({ store: each.store, ...report, fenceMs: Math.round(report.fenceMs), elapsedMs: Math.round(report.elapsedMs) });
  }
  return moved;
}

function targetOf(targets: z.infer<typeof moveInput>, store: StorePlaces["store"]): string | undefined {
  return new Map<string, string | undefined>(Object.entries(targets)).get(store);
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
