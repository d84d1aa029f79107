import { z } from "zod";
import { FAULTS } from "../kernel/index.ts";
import type { Operation } from "../gateway/index.ts";

const REALM_WORDS = {
  public: "Anybody may call it.",
  tenant: "For principals of a tenant",
  platform: "For operators of the platform",
} as const;

/** The route table as an OpenAPI 3.1 document. */
export function toOpenApi(operations: readonly Operation[], version: string): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const operation of operations) {
    paths[operation.path] = { ...paths[operation.path], [operation.method.toLowerCase()]: describe(operation) };
  }
  return {
    openapi: "3.1.0",
    info: { title: "Freehold", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    security: [{ bearer: [] }, { apiKey: [] }],
    paths,
    components: {
      securitySchemes: { bearer: { type: "http", scheme: "bearer" }, apiKey: { type: "apiKey", in: "header", name: "x-api-key" } },
      schemas: { Problem: PROBLEM },
    },
  };
}

const PROBLEM = {
  type: "object",
  description: "RFC 9457 problem details.",
  required: ["type", "title", "status", "code", "requestId"],
  properties: {
    type: { type: "string" },
    title: { type: "string" },
    status: { type: "integer" },
    code: { type: "string", enum: Object.keys(FAULTS) },
    detail: { type: "string" },
    field: { type: "string" },
    policy: { type: "string" },
    retryAfterMs: { type: "integer" },
    requestId: { type: "string" },
  },
} as const;

function describe({ method, path, summary, access, body, rawBody, query, bodyTypes, accept }: Operation): Record<string, unknown> {
  const who = access.realm === "public" ? REALM_WORDS.public : `${REALM_WORDS[access.realm]}, role ${access.role} or higher.`;
  const scope = access.realm === "tenant" ? ` Scope: ${access.scope}.` : "";
  return {
    operationId: `${method.toLowerCase()}${path.replaceAll(/[^A-Za-z0-9]+/g, "_")}`,
    summary,
    description: who + scope,
    ...(access.realm === "public" && { security: [] }),
    parameters: [...pathParameters(path), ...queryParameters(query)],
    ...requestBody(body, rawBody ? (bodyTypes.length > 0 ? bodyTypes : ["application/octet-stream"]) : []),
    responses: {
      [accept ? "101" : "2XX"]: { description: accept ? "The connection becomes a WebSocket." : "Done." },
      default: { description: "A problem.", content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } } },
    },
  };
}

function requestBody(body: z.ZodType | undefined, types: readonly string[]): Record<string, unknown> {
  const kinds = types.map((type) => [type, {}] as const);
  if (!body && kinds.length === 0) return {};
  return {
    requestBody: { required: true, content: body ? { "application/json": { schema: toSchema(body) } } : Object.fromEntries(kinds) },
  };
}

function pathParameters(path: string): Record<string, unknown>[] {
  return [...path.matchAll(/\{([a-zA-Z]+)\}/g)].map(([, name]) => ({ name, in: "path", required: true, schema: { type: "string" } }));
}

function queryParameters(query: z.ZodType | undefined): Record<string, unknown>[] {
  if (!query) return [];
  const { properties = {}, required = [] } = toSchema(query) as { properties?: Record<string, unknown>; required?: string[] };
  return Object.entries(properties).map(([name, schema]) => ({ name, in: "query", required: required.includes(name), schema }));
}

/** What the caller sends, so before defaults are filled in. Checks that JSON Schema cannot say are left out of it. */
function toSchema(schema: z.ZodType): Record<string, unknown> {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
}
