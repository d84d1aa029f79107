import type { Attempt } from "../attempt.ts";
import { attackerOf, by, fill, MISMATCH, plausibleBody, REFUSED, tenantOperations, type World } from "../world.ts";

/** Names that some upstreams and frameworks take for the tenant's field, or for another target. */
const ALIASES = [
  "X_Tenant_ID",
  "X.Tenant.ID",
  "x-tenant_id",
  "X-TenantID",
  "X-Tenant",
  "Tenant-ID",
  "X-Org-ID",
  "X-Tenant-Context",
  "X-Forwarded-User",
  "X-Consumer-Username",
] as const;

/** Everything in a request that may name a tenant, naming the victim under the attacker's credential. */
export function carrierAttempts(world: World): readonly Attempt[] {
  const { attacker, victim, ids } = world.parties;
  const own = attackerOf(world);
  const contradictions: readonly (readonly [name: string, fields: readonly (readonly [string, string])[], expect: readonly number[]])[] = [
    ["X-Tenant-ID of the victim", [["x-tenant-id", victim.id]], MISMATCH],
    ["X-TENANT-id of the victim", [["X-TENANT-id", victim.id]], MISMATCH],
    [
      "X-Tenant-ID of both, the attacker first",
      [
        ["x-tenant-id", attacker.id],
        ["x-tenant-id", victim.id],
      ],
      [400],
    ],
    [
      "X-Tenant-ID of both, the victim first",
      [
        ["x-tenant-id", victim.id],
        ["x-tenant-id", attacker.id],
      ],
      [400],
    ],
    ["X-Tenant-ID of both with a comma", [["x-tenant-id", `${attacker.id}, ${victim.id}`]], [400]],
    ["an empty X-Tenant-ID", [["x-tenant-id", ""]], [400]],
    ["X-Tenant-ID *", [["x-tenant-id", "*"]], [400]],
    ["X-Tenant-ID default", [["x-tenant-id", "default"]], [400]],
  ];
  return tenantOperations(world).flatMap((operation) => {
    const { method, path, queryFields } = operation;
    const target = fill(path, ids.user);
    const body = plausibleBody(operation, attacker);
    const sent = body === undefined ? {} : { body };
    const attempts = contradictions.map(([name, fields, expect]) => ({
      layer: "carriers" as const,
      name: `${method} ${path} with ${name}`,
      request: by(own, method, target, { ...sent, fields }),
      expect,
    }));
    const inPath = {
      layer: "carriers" as const,
      name: `${method} /tenants/{victim}${path}`,
      request: by(own, method, `/tenants/${victim.id}${target}`, sent),
      expect: MISMATCH,
    };
    const inQuery = queryFields.includes("tenantId")
      ? [
          {
            layer: "carriers" as const,
            name: `${method} ${path}?tenantId={victim}`,
            request: by(own, method, `${target}?tenantId=${victim.id}`, sent),
            expect: MISMATCH,
          },
          {
            layer: "carriers" as const,
            name: `${method} ${path}?tenantId={attacker}&tenantId={victim}`,
            request: by(own, method, `${target}?tenantId=${attacker.id}&tenantId=${victim.id}`, sent),
            expect: REFUSED,
          },
        ]
      : [];
    return [...attempts, inPath, ...inQuery];
  });
}

/** Fields whose names only look like ours, and fields that make some servers serve another target. The answer may be the attacker's own. */
export function foldingAttempts(world: World): readonly Attempt[] {
  const { victim, ids } = world.parties;
  const fields: readonly (readonly [string, string])[] = [
    ...ALIASES.map((name) => [name, victim.id] as const),
    ["X-Original-URL", `/tenants/${victim.id}/users/${ids.user}`],
    ["X-Rewrite-URL", `/tenants/${victim.id}/users/${ids.user}`],
    ["X-Forwarded-Prefix", `/tenants/${victim.id}`],
    ["X-Forwarded-Host", `${victim.id}.example.com`],
    ["Forwarded", `host=${victim.id}.example.com`],
    ["baggage", `tenant.id=${victim.id}`],
    ["X-HTTP-Method-Override", "DELETE"],
    ["X-Tenant-Context", victim.admin],
  ];
  return ["/users", `/users/${ids.user}`, "/documents", "/api/sessions"].flatMap((target) =>
    fields.map(([name, value]) => ({
      layer: "header folding" as const,
      name: `GET ${target.replace(ids.user, "{id of the victim}")} with ${name}`,
      request: by(attackerOf(world), "GET", target, { fields: [[name, value]] }),
      expect: target.includes(ids.user) ? [400, 403, 404] : [200, 400, 403],
    })),
  );
}

/** Targets that one reader takes for the attacker's and another for the victim's. */
export function pathAttempts(world: World): readonly Attempt[] {
  const { attacker, victim, ids } = world.parties;
  const thing = `users/${ids.user}`;
  const targets = [
    `/tenants/${attacker.id}/../${victim.id}/${thing}`,
    `/tenants/${attacker.id}/%2e%2e/${victim.id}/${thing}`,
    `/tenants/${attacker.id}/%2E./${victim.id}/${thing}`,
    `/tenants/${attacker.id}%2f..%2f${victim.id}/${thing}`,
    `/tenants/${attacker.id}\\..\\${victim.id}/${thing}`,
    `/tenants/${attacker.id};${victim.id}/${thing}`,
    `/tenants//${victim.id}/${thing}`,
    `//tenants/${victim.id}/${thing}`,
    `/./tenants/${victim.id}/${thing}`,
    `/tenants/${victim.id}%00/${thing}`,
    `/tenants/${victim.id}%20/${thing}`,
    `/tenants/${victim.id}./${thing}`,
    `/tenants/${victim.id.toUpperCase()}/${thing}`,
    `/%74enants/${victim.id}/${thing}`,
    `/tenants/${attacker.id}/tenants/${victim.id}/${thing}`,
    `/users/..%2f..%2ftenants%2f${victim.id}%2fusers%2f${ids.user}`,
    `/users/${ids.user}/..`,
    `/users/%2e`,
    `/users/../users/${ids.user}`,
    `/users/${ids.user}%23`,
    `/users/${ids.user}%3f`,
    `http://${victim.id}.example.com/users`,
  ];
  return targets.map((target) => ({
    layer: "paths",
    name: `GET ${target.replaceAll(attacker.id, "{attacker}").replaceAll(victim.id, "{victim}").replaceAll(ids.user, "{id of the victim}")}`,
    request: by(attackerOf(world), "GET", target),
    expect: REFUSED,
  }));
}
