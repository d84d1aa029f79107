import { type KeyObject, sign } from "node:crypto";

/** A part of a token in compact form (RFC 7515, 7.1). */
export function encodePart(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

/** Signs two encoded parts with an Ed25519 key (RFC 8037, 3.1) and gives the whole token. */
export function signParts(header: string, payload: string, key: KeyObject): string {
  const signature = sign(null, Buffer.from(`${header}.${payload}`), key);
  return `${header}.${payload}.${signature.toString("base64url")}`;
}
