import { compactVerify } from "jose";
import type { Json } from "../../kernel/index.ts";
import { encodePart, signParts } from "./compact-jws.ts";
import { checkJwkSet } from "./jwk.ts";
import type { SigningKey } from "./token-issuer.ts";

/** What was signed, and by which key. */
export interface OpenedStatement {
  readonly kid: string;
  readonly payload: Json;
}

/**
 * Signs something that the installation states about itself: a JWS (EdDSA) whose `typ` says what kind of statement it is, so that one kind
 * is never taken for another, or for a token.
 */
export function signStatement(key: SigningKey, typ: string, payload: object): string {
  return signParts(encodePart({ alg: "EdDSA", kid: key.kid, typ }), encodePart(payload), key.privateKey);
}

/** Opens a statement of this kind with the keys of a published set; undefined when no key of the set has signed exactly this. */
export async function openStatement(text: string, typ: string, jwks: unknown): Promise<OpenedStatement | undefined> {
  const keys = checkJwkSet(jwks);
  try {
    const { payload, protectedHeader } = await compactVerify(
      text.trim(),
      ({ kid }) => {
        const found = keys.key(kid);
        if (!found || kid === undefined) throw new TypeError("no such key");
        return found.key;
      },
      { algorithms: ["EdDSA"] },
    );
    if (protectedHeader.typ !== typ || protectedHeader.kid === undefined) return undefined;
    return { kid: protectedHeader.kid, payload: JSON.parse(Buffer.from(payload).toString("utf8")) as Json }; // JSON.parse gives nothing but Json
  } catch {
    return undefined; // jose throws for every signature that does not hold; why makes no difference to who asks
  }
}
