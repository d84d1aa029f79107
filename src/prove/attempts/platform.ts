import type { Attempt } from "../attempt.ts";
import { attackerOf, by, fill, type World } from "../world.ts";

const NOT_FOR_TENANTS = [401, 403, 404, 405] as const;

/**
 * The platform's own calls with a tenant admin's token and key. Calls that would change something are tried on the victim alone: an
 * installation that lets them through must not lose anything else.
 */
export function platformAttempts(world: World): readonly Attempt[] {
  const { attacker, victim } = world.parties;
  const tried = world.operations.filter(
    ({ realm, method, path }) => realm === "platform" && (method === "GET" || path.startsWith("/admin/v1/tenants/{id}")),
  );
  return tried.flatMap(({ method, path, bodyFields }) =>
    [["an admin's token", attackerOf(world)] as const, ["a key of every scope", ["x-api-key", attacker.key] as const] as const].map(
      ([name, credential]) => ({
        layer: "platform" as const,
        name: `${method} ${path.replace("{id}", "{victim}")} with ${name} of the attacker`,
        request: by(credential, method, fill(path, victim.id), bodyFields.length > 0 ? { body: {} } : {}),
        expect: NOT_FOR_TENANTS,
      }),
    ),
  );
}

/** Routes of the gateway document with the victim named by field, path and host. No route is called without a contradiction. */
export function routeAttempts(world: World): readonly Attempt[] {
  const { victim } = world.parties;
  const own = attackerOf(world);
  return (world.routes ?? []).flatMap((path) => [
    {
      layer: "gateway routes" as const,
      name: `GET ${path} with X-Tenant-ID of the victim`,
      request: by(own, "GET", path, { fields: [["x-tenant-id", victim.id]] }),
    },
    {
      layer: "gateway routes" as const,
      name: `GET ${path} with X-Tenant-ID of the victim twice`,
      request: by(own, "GET", path, {
        fields: [
          ["x-tenant-id", victim.id],
          ["x-tenant-id", victim.id],
        ],
      }),
    },
    { layer: "gateway routes" as const, name: `GET /tenants/{victim}${path}`, request: by(own, "GET", `/tenants/${victim.id}${path}`) },
  ]);
}
