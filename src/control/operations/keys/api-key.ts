import { z } from "zod";
import { SCOPES, TENANT_ROLES } from "../../../kernel/index.ts";
import { mintApiKey } from "../../../tenancy/identity/index.ts";
import type { KeyInsert, StoredKey } from "../../../tenancy/registry/index.ts";
import { text } from "../../schemas.ts";
import type { Services } from "../../services.ts";

/** What makes a key of a tenant. */
export const keyInput = z.strictObject({
  name: text(100),
  roles: z.array(z.enum(TENANT_ROLES)).min(1).max(TENANT_ROLES.length).default(["member"]),
  scopes: z
    .array(z.enum(SCOPES))
    .min(1)
    .max(SCOPES.length)
    .default([...SCOPES].filter((scope) => scope !== "tenant")),
  expiresInDays: z.int().min(1).max(3_650).optional(),
});

const DAY_MS = 86_400_000;

/** Makes a key. The answer is the only place where the key itself ever stands. */
export async function makeKey(
  { registry, random, keyring, clock }: Services,
  owner: { readonly tenantUuid: string | null; readonly createdBy: string },
  input: Omit<z.output<typeof keyInput>, "roles"> & Pick<KeyInsert, "roles">,
): Promise<Record<string, unknown>> {
  const { id, secret, hash } = mintApiKey({ random, keyring });
  const expiresAt = input.expiresInDays === undefined ? null : new Date(clock.now() + input.expiresInDays * DAY_MS);
  const stored = await registry.createKey({ id, hash, name: input.name, roles: input.roles, scopes: input.scopes, expiresAt, ...owner });
  return { ...toKeyView(stored), key: secret.reveal() };
}

/** A key as lists show it: never the key or its hash. */
export function toKeyView({ hash: _kept, tenantId, ...shown }: StoredKey): Record<string, unknown> {
  return tenantId === null ? shown : { tenantId, ...shown };
}
