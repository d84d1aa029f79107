/** What `Authorization: Signature ...` says. */
export interface SignatureFields {
  readonly keyId: string | undefined;
  readonly algorithm: string | undefined;
  readonly signature: string | undefined;
  /** The names that were signed, in order. */
  readonly headers: readonly string[];
}

const SCHEME = "Signature";
const PAIR = /^\s*(\w+)="([^"]*)"/;

/** Reads the field; undefined when it is of another scheme. */
export function readSignature(field: string): SignatureFields | undefined {
  if (!field.startsWith(SCHEME)) return undefined;
  const found = new Map<string, string>();
  for (const part of field.slice(SCHEME.length).split(",")) {
    const [, name, value] = PAIR.exec(part) ?? [];
    if (name !== undefined && value !== undefined) found.set(name, value);
  }
  return {
    keyId: found.get("keyId"),
    algorithm: found.get("algorithm"),
    signature: found.get("signature"),
    headers: found.get("headers")?.split(" ") ?? [],
  };
}
