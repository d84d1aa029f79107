import type { Random, Tenant } from "../../kernel/index.ts";
import type { ModelRequest } from "../request.ts";
import type { OpenModel, OpenRoute, Target } from "../settings/catalogue.ts";
import type { TargetHealth } from "./health.ts";

/** What the order of targets depends on. */
export interface OrderPorts {
  readonly health: TargetHealth;
  readonly random: Random;
  readonly nowMs: number;
}

/** Names one target in the book of its health. */
export function targetKey({ owner, provider, upstreamName }: OpenModel): string {
  return JSON.stringify([owner, provider.name, upstreamName]);
}

/** The targets in the order in which they are tried; those that are being given a rest come last. Empty when no condition holds. */
export function orderTargets(
  { strategy }: Pick<OpenRoute, "strategy">,
  targets: readonly Target[],
  request: ModelRequest,
  tenant: Tenant,
  { health, random, nowMs }: OrderPorts,
): readonly Target[] {
  const possible = targets.filter(({ when }) => holds(when, request, tenant));
  const ordered = arranged(strategy, possible, tenant.uuid, health, random);
  const rests = (target: Target): boolean => health.rests(tenant.uuid, targetKey(target.model), nowMs);
  return [...ordered.filter((target) => !rests(target)), ...ordered.filter(rests)];
}

function arranged(
  strategy: OpenRoute["strategy"],
  targets: readonly Target[],
  tenant: string,
  health: TargetHealth,
  random: Random,
): readonly Target[] {
  switch (strategy) {
    case "fallback":
    case "conditional":
      return targets;
    case "weighted":
      return weighted(targets, random);
    case "least-latency":
      return targets.toSorted((a, b) => health.firstByteMs(tenant, targetKey(a.model)) - health.firstByteMs(tenant, targetKey(b.model)));
    default:
      return strategy satisfies never;
  }
}

/** One by its weight, then the others as they are listed. */
function weighted(targets: readonly Target[], random: Random): readonly Target[] {
  const total = targets.reduce((sum, { weight }) => sum + weight, 0);
  if (total === 0) return targets;
  let at = (random.bytes(4).readUInt32BE() / 2 ** 32) * total;
  const first = targets.find(({ weight }) => (at -= weight) < 0);
  return first ? [first, ...targets.filter((target) => target !== first && target.weight > 0)] : targets;
}

function holds(when: Target["when"], { body, stream }: ModelRequest, { plan, features }: Tenant): boolean {
  if (!when) return true;
  if (when.bytesMax !== undefined && body.length > when.bytesMax) return false;
  if (when.stream !== undefined && when.stream !== stream) return false;
  if (when.plan !== undefined && when.plan !== plan) return false;
  return when.feature === undefined || features.includes(when.feature);
}
