import { z } from "zod";
import { Fault, type Json, TENANT_ROLES, type TenantRole } from "../../../kernel/index.ts";
import { type Queryable, sql } from "../../../stores/data/index.ts";
import type { SearchItem } from "../../../stores/search/index.ts";
import type { TenantScope } from "../../../stores/index.ts";
import { agreeingTenantId, entityId, metadata, text } from "../../schemas.ts";

/** A user of one tenant. */
export interface User {
  readonly id: string;
  readonly email: string | null;
  readonly name: string;
  readonly roles: readonly TenantRole[];
  readonly metadata: Readonly<Record<string, Json>>;
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const email = z.email().max(254);
const roles = z.array(z.enum(TENANT_ROLES)).min(1).max(TENANT_ROLES.length);

/** What makes a user. */
export const userInput = z.strictObject({
  id: entityId.refine((id) => id !== "create", "is the address of POST /users/create").optional(),
  name: text(200),
  email: email.nullish(),
  roles: roles.default(["member"]),
  metadata,
  tenantId: agreeingTenantId,
});

/** What may change of a user. */
export const userChanges = z.strictObject({
  name: text(200).optional(),
  email: email.nullish(),
  roles: roles.optional(),
  metadata: metadata.unwrap().optional(),
  tenantId: agreeingTenantId,
});

/** The user, or `not_found`. */
export async function findUser(on: Queryable, scope: TenantScope, id: string): Promise<User> {
  const { rows } = await on.query<User>(sql`
    select id, email, name, roles, metadata, version, created_at as "createdAt", updated_at as "updatedAt"
    from users where tenant_id = ${scope.context.tenant.uuid} and id = ${id}`);
  if (!rows[0]) throw new Fault("not_found", "no such user");
  return rows[0];
}

/** Tells of a change to a user, in the transaction of the change. */
export async function publishUser(
  tx: Queryable,
  scope: TenantScope,
  type: "created" | "updated" | "deleted",
  userId: string,
): Promise<void> {
  await scope.events.publish(tx, { topic: "user.events", type: `user.${type}`, key: userId, data: { userId } });
}

/** What search knows of a user. */
export function toSearchItem({ id, name, email: address, roles: held, metadata: extra }: User): SearchItem {
  const lines = [name, address ?? "", held.join(", "), ...Object.entries(extra).map(([key, value]) => `${key}: ${toWords(value)}`)];
  return { kind: "user", ref: id, title: name, text: lines.filter(Boolean).join("\n"), payload: { userId: id, ...extra } };
}

function toWords(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
