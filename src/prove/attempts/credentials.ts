import { createHmac } from "node:crypto";
import type { Attempt } from "../attempt.ts";
import { bearer, by, fill, tenantOperations, type World } from "../world.ts";

/** Nobody is proved. */
export const UNPROVED = [401] as const;
/** Two are. */
export const AMBIGUOUS = [400] as const;
/** What a tenant's call may be refused with when nobody is proved: the body may be refused first where it is too large or of another kind. */
const LISTS = ["/users", "/documents", "/api/sessions"] as const;

/** Calls without a credential, with broken and with forged ones, and with two at once. */
export function credentialAttempts(world: World): readonly Attempt[] {
  return [...withoutAny(world), ...forged(world), ...twoAtOnce(world)];
}

function withoutAny(world: World): readonly Attempt[] {
  return tenantOperations(world).map((operation) => ({
    layer: "credentials",
    name: `${operation.method} ${operation.path} without a credential`,
    request: by(
      undefined,
      operation.method,
      fill(operation.path, world.parties.ids.user),
      operation.bodyFields.length > 0 ? { body: {} } : {},
    ),
    expect: UNPROVED,
  }));
}

/** A credential, or several, under a name for people. */
export interface NamedCredential {
  readonly name: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** Tokens and keys that say the victim and that nobody has signed or given for it. */
export function forgedCredentials(world: World): readonly NamedCredential[] {
  const { attacker, victim } = world.parties;
  const [head = "", claims = "", signature = ""] = attacker.admin.split(".");
  const victims = victim.admin.split(".")[1] ?? "";
  const renamed = encode({ ...decode(claims), tenant_id: victim.id });
  const doubled = Buffer.from(
    Buffer.from(claims, "base64url")
      .toString()
      .replace("{", `{"tenant_id":${JSON.stringify(victim.id)},`),
  ).toString("base64url");
  const header = (change: Readonly<Record<string, unknown>>): string => encode({ ...decode(head), ...change });
  const mac = (key: string): string => {
    const text = `${header({ alg: "HS256" })}.${victims}`;
    return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
  };
  const tokens: Readonly<Record<string, string>> = {
    "the attacker's token with the victim's name in it": `${head}.${renamed}.${signature}`,
    "the attacker's token that names both": `${head}.${doubled}.${signature}`,
    "the victim's claims under the attacker's signature": `${head}.${victims}.${signature}`,
    "the victim's claims, alg none": `${header({ alg: "none" })}.${victims}.`,
    "the victim's claims, alg None": `${header({ alg: "None" })}.${victims}.`,
    "the victim's claims without a signature": `${head}.${victims}.`,
    "the victim's claims, HS256 under the published keys": mac(world.publicKeys),
    "the victim's claims, HS256 under the public key": mac(/"x":"([^"]+)"/.exec(world.publicKeys)?.[1] ?? ""),
    "the victim's claims, HS256 under an empty key": mac(""),
    "a token of the victim's name alone": victim.id,
  };
  const bearers = Object.entries(tokens).map(([name, token]) => ({ name, fields: [bearer(token)] }));
  const secret = attacker.key.slice(attacker.key.indexOf(attacker.keyId) + attacker.keyId.length);
  const keys = Object.entries({
    "the victim's key id with the attacker's secret": `sk-fh-${victim.keyId}${secret}`,
    "the victim's key id alone": victim.keyId,
    "the victim's key with its last letter changed": changedEnd(victim.key),
  }).map(([name, key]) => ({ name, fields: [["x-api-key", key] as const] }));
  return [...bearers, ...keys];
}

function forged(world: World): readonly Attempt[] {
  const { ids } = world.parties;
  return forgedCredentials(world).flatMap(({ name, fields }) =>
    [...LISTS, `/users/${ids.user}`].map((target) => ({
      layer: "credentials" as const,
      name: `GET ${target.replace(ids.user, "{id of the victim}")} with ${name}`,
      request: by(undefined, "GET", target, { fields }),
      expect: UNPROVED,
    })),
  );
}

/** Credentials of both tenants in one request. */
export function pairedCredentials({ parties: { attacker, victim } }: World): readonly NamedCredential[] {
  const own = bearer(attacker.admin);
  const pairs: readonly (readonly [name: string, fields: NamedCredential["fields"]])[] = [
    ["the attacker's token, then the victim's", [own, bearer(victim.admin)]],
    ["the victim's token, then the attacker's", [bearer(victim.admin), own]],
    ["the attacker's token and the victim's key", [own, ["x-api-key", victim.key]]],
    ["the victim's key and the attacker's token", [["x-api-key", victim.key], own]],
    [
      "the attacker's key and the victim's session cookie",
      [
        ["x-api-key", attacker.key],
        ["cookie", `freehold_session=${victim.admin}`],
      ],
    ],
  ];
  return pairs.map(([name, fields]) => ({ name, fields }));
}

function twoAtOnce(world: World): readonly Attempt[] {
  return pairedCredentials(world).flatMap(({ name, fields }) =>
    LISTS.map((target) => ({
      layer: "credentials" as const,
      name: `GET ${target} with ${name}`,
      request: by(undefined, "GET", target, { fields }),
      expect: AMBIGUOUS,
    })),
  );
}

function changedEnd(key: string): string {
  return key.slice(0, -1) + (key.endsWith("a") ? "b" : "a");
}

function decode(part: string): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(part, "base64url").toString("utf8")) as Record<string, unknown>; // the installation's own token
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
