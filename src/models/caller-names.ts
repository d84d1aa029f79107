import { createHmac, createSecretKey } from "node:crypto";
import { BoundedMap, type Keyring, partsToBytes, type Tenant } from "../kernel/index.ts";
import type { RequestHead } from "../wire/index.ts";
import { memberWith, type ProviderRequest, valueAt } from "./request.ts";
import type { OpenModel } from "./settings/catalogue.ts";

/** The field whose text names an answer that the provider may keep. */
export const NAMING_FIELD = "idempotency-key";

/** Tenants whose own part of a prompt cache is not named anew each time. */
const CACHE_NAMES_MAX = 10_000;

/** Names that callers give: of a part of the provider's prompt cache, or of their users. */
export interface CallerNames {
  /** What these members of the request are at the provider; empty where they may stay as they are. */
  membersFor(tenant: Tenant, request: ProviderRequest, model: OpenModel): Readonly<Record<string, unknown>>;
  /** The same for a header field; undefined where the caller has sent none. */
  fieldFor(tenant: Tenant, name: string, head: RequestHead, model: OpenModel): string | undefined;
}

/**
 * At a provider of the platform's all tenants share one account, so a name there is a MAC over the tenant and what the caller wrote: the same name of
 * two tenants is two, nobody can write another's, and the provider learns no name of a user. At a tenant's own provider names stay as they are.
 */
export function createCallerNames(keyring: Keyring): CallerNames {
  // bytes would be looked at each time, whether they are a key
  const key = createSecretKey(keyring.key("caller-names"));
  const mac = (...parts: readonly string[]): string => createHmac("sha256", key).update(partsToBytes(parts)).digest("base64url");
  const cacheNames = new BoundedMap<string, string>(CACHE_NAMES_MAX);
  const cacheNameOf = (path: string, uuid: string): string => {
    const id = `${path} ${uuid}`;
    const known = cacheNames.get(id);
    if (known !== undefined) return known;
    const name = mac(path, uuid);
    cacheNames.set(id, name);
    return name;
  };
  return {
    membersFor({ uuid }, { protocol, values }, { owner, provider: { cacheKey } }) {
      if (owner === "tenant") return {};
      const named = protocol.callerNames.flatMap((path): (readonly [string, unknown])[] => {
        const { value: name } = valueAt(values, path);
        return typeof name === "string" ? [memberWith(values, path, mac(path, uuid, name))] : [];
      });
      const members = Object.fromEntries(named);
      const isMissing = cacheKey !== "none" && protocol.callerNames.includes(cacheKey) && members[cacheKey] === undefined;
      return isMissing ? { ...members, [cacheKey]: cacheNameOf(cacheKey, uuid) } : members;
    },
    fieldFor({ uuid }, name, { headers }, { owner }) {
      const [value] = headers.all(name);
      return value !== undefined && owner === "platform" && name === NAMING_FIELD ? mac(name, uuid, value) : value;
    },
  };
}
