import { createKeyring, systemClock, systemRandom } from "../../kernel/index.ts";
import { createTokenIssuer, ownSigningKey } from "../../tenancy/identity/index.ts";
import { type Management, withManagement } from "../installation.ts";
import { type CommonFlags, readSettings } from "../options.ts";
import { loadRootKey, ROOT_KEY_VARIABLE } from "../root-key.ts";
import { print } from "../terminal.ts";
import { tenantPath } from "./tenant.ts";

/** The flags of `token`. */
export interface TokenFlags extends CommonFlags {
  readonly user: string;
  readonly role: string;
  readonly lifetime: string;
  readonly platform?: boolean;
}

/** Prints a token of the platform's own issuer: for somebody in the tenant, or with --platform for an operator. */
export async function token(tenant: string | undefined, flags: TokenFlags): Promise<void> {
  const seconds = Number(flags.lifetime);
  const text =
    tenant === undefined
      ? await operatorToken(flags, seconds)
      : await withManagement(flags, (management) => tenantToken(management, tenant, { ...flags, lifetimeSeconds: seconds }));
  print(flags.json ? JSON.stringify({ token: text, expiresIn: seconds }) : text);
}

/** A token of the platform's own issuer for somebody in the tenant. */
export async function tenantToken(
  management: Management,
  tenant: string,
  { user, role, lifetimeSeconds }: Pick<TokenFlags, "user" | "role"> & { readonly lifetimeSeconds: number },
): Promise<string> {
  const answer = await management.call("POST", `${tenantPath(tenant)}/tokens`, { sub: user, roles: [role], lifetimeSeconds });
  return (answer as { token: string }).token; // the call's own shape
}

async function operatorToken(flags: TokenFlags, lifetimeSeconds: number): Promise<string> {
  const settings = readSettings(flags, process.env);
  const rootKey = await loadRootKey(settings, process.env[ROOT_KEY_VARIABLE], systemRandom);
  const issuer = createTokenIssuer(ownSigningKey(createKeyring(rootKey)), systemClock);
  return issuer.issuePlatform({ sub: flags.user, roles: ["admin"], lifetimeMs: lifetimeSeconds * 1000 });
}
