import type { Json } from "../../../kernel/index.ts";
import type { Call } from "../../proxy/plugin.ts";

/** The claims of a JSON Web Token whose signature and life time were checked. */
export type Claims = { readonly [name: string]: Json };

const KEY = {};

/** Keeps the claims of the token that this call was proved with. */
export function keepClaims(call: Call, claims: Claims): void {
  call.setNote(KEY, claims);
}

/** The claims of the token that a plugin has proved this call with, if one has. */
export function verifiedClaims(call: Call): Claims | undefined {
  return call.note<Claims>(KEY);
}
