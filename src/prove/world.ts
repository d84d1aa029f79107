import type { Json } from "../kernel/index.ts";
import type { LiteralRequest } from "../wire/index.ts";
import type { Canary } from "./canary.ts";
import type { Parties, Party } from "./parties.ts";

/** One call of the installation, as its own OpenAPI document lists it. */
export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly realm: "tenant" | "platform" | "public";
  /** Whether it opens a WebSocket. */
  readonly socket: boolean;
  /** Names of the body's fields; none where there is no body. */
  readonly bodyFields: readonly string[];
  readonly queryFields: readonly string[];
}

/** Everything that attempts are made from. */
export interface World {
  readonly parties: Parties;
  readonly canary: Canary;
  readonly operations: readonly Operation[];
  /** The installation's public keys as it publishes them. */
  readonly publicKeys: string;
  /** Paths of the gateway document's routes; undefined where the operator's port cannot be reached. */
  readonly routes: readonly string[] | undefined;
}

/** Statuses by which a contradiction, a foreign id or a malformed request is refused. */
export const REFUSED = [400, 401, 403, 404, 405, 409, 413, 415, 422] as const;
/** A credential of one tenant and the name of another. */
export const MISMATCH = [403] as const;
/** What is not yours, and what is not. */
export const NOTHING_HERE = [404] as const;

/** The field that proves a party. */
export function bearer(token: string): readonly [string, string] {
  return ["authorization", `Bearer ${token}`];
}

/** A request by the attacker's admin, with more fields or another credential. */
export function by(
  credential: readonly [string, string] | undefined,
  method: string,
  target: string,
  { body, fields = [] }: { readonly body?: Json | string; readonly fields?: readonly (readonly [string, string])[] } = {},
): LiteralRequest {
  const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
  return {
    method,
    target,
    fields: [
      ...(credential ? [credential] : []),
      ...(text === undefined ? [] : [["content-type", "application/json"] as const]),
      ...fields,
    ],
    ...(text !== undefined && { body: text }),
  };
}

/** The attacker's strongest credential. */
export function attackerOf({ parties }: World): readonly [string, string] {
  return bearer(parties.attacker.admin);
}

/** Operations of tenants that answer a request. */
export function tenantOperations({ operations }: World): readonly Operation[] {
  return operations.filter(({ realm, socket }) => realm === "tenant" && !socket);
}

/** Operations of tenants that open a WebSocket. */
export function tenantSockets({ operations }: World): readonly Operation[] {
  return operations.filter(({ realm, socket }) => realm === "tenant" && socket);
}

/** The operation's path with every parameter filled in. */
export function fill(path: string, value: string): string {
  return path.replaceAll(/\{[^}]+\}/g, encodeURIComponent(value));
}

/** A body that the call would take, as far as its form goes. */
export function plausibleBody({ bodyFields }: Operation, { id }: Party): Readonly<Record<string, Json>> | undefined {
  if (bodyFields.length === 0) return undefined;
  const known: Readonly<Record<string, Json>> = { message: "Hello", query: "refund", text: `Text of ${id}`, name: `Name of ${id}` };
  return Object.fromEntries(Object.entries(known).filter(([name]) => bodyFields.includes(name)));
}

/** The operations of an OpenAPI document of Freehold's: who may call one is said in its description. */
export function readOperations(document: Json): readonly Operation[] {
  return Object.entries(fieldsOf(fieldsOf(document)["paths"])).flatMap(([path, methods]) =>
    Object.entries(fieldsOf(methods)).map(([method, value]) => {
      const { description, requestBody, parameters, responses } = fieldsOf(value);
      const content = fieldsOf(fieldsOf(fieldsOf(requestBody)["content"])["application/json"]);
      const words = typeof description === "string" ? description : "";
      return {
        method: method.toUpperCase(),
        path,
        realm: words.startsWith("For operators") ? "platform" : words.startsWith("For principals") ? "tenant" : "public",
        socket: "101" in fieldsOf(responses),
        bodyFields: Object.keys(fieldsOf(fieldsOf(content["schema"])["properties"])),
        queryFields: listOf(parameters)
          .map(fieldsOf)
          .flatMap(({ in: place, name }) => (place === "query" && typeof name === "string" ? [name] : [])),
      };
    }),
  );
}

/** Paths that the routes of a gateway document take. A pattern stands for what is before its first wildcard. */
export function readRoutes(document: Json): readonly string[] {
  const uris = listOf(fieldsOf(document)["routes"])
    .map(fieldsOf)
    .flatMap(({ uri, uris: several }) => [uri, ...listOf(several)])
    .filter((uri) => typeof uri === "string");
  return [...new Set(uris.map((uri) => uri.replace(/[*:{].*$/, "")))].filter((uri) => uri.startsWith("/"));
}

function fieldsOf(value: Json | undefined): { readonly [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}

function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [];
}
