import type { z } from "zod";
import { Fault, type Json, JSON_BOUNDS, parseJson } from "../kernel/index.ts";
import type { Exchange, RequestHead } from "../wire/index.ts";
import type { Operation } from "./operation.ts";

const QUERY_PARAMETERS_MAX = 100;

/** The body, checked by the operation's schema. Throws the 400s, 413s and 415 of the error table. */
export async function readInput(exchange: Exchange, operation: Operation, signal: AbortSignal): Promise<unknown> {
  if (operation.rawBody === "stream") return exchange.streamBody(operation.bytesMax ?? JSON_BOUNDS.bytesMax, signal);
  if (operation.rawBody === "whole") return await exchange.readBody(operation.bytesMax ?? JSON_BOUNDS.bytesMax);
  if (!operation.body) return undefined;
  assertJson(exchange.head);
  const bytesMax = operation.bytesMax ?? JSON_BOUNDS.bytesMax;
  const bytes = await exchange.readBody(bytesMax);
  return checkInput(operation.body, parseJson(bytes, { ...JSON_BOUNDS, bytesMax }));
}

/** The query, checked by the operation's schema; a parameter that came twice is refused. */
export function readQuery(head: RequestHead, operation: Operation): unknown {
  const values: Record<string, string> = {};
  const parameters = [...new URLSearchParams(head.target.query)];
  if (parameters.length > QUERY_PARAMETERS_MAX) throw malformed("The query has too many parameters.");
  for (const [name, value] of parameters) {
    if (Object.hasOwn(values, name)) throw malformed("A query parameter came twice.");
    Object.defineProperty(values, name, { value, enumerable: true }); // also for names such as __proto__
  }
  return operation.query ? checkInput(operation.query, values, "query") : undefined;
}

/**
 * The value as the schema gives it. Throws `unknown_field` for a field that the schema does not have, `invalid_json` for any other
 * disagreement, with the place.
 */
export function checkInput(schema: z.ZodType, value: Json | Record<string, string>, place: "body" | "query" = "body"): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path.map(String) ?? [];
  if (issue?.code === "unrecognized_keys") {
    const field = [...path, issue.keys[0] ?? ""].join(".");
    throw new Fault("unknown_field", `${place}: ${field}`, { public: { detail: `There is no field ${field} here.`, field } });
  }
  const field = path.join(".");
  const detail = `${field === "" ? `The ${place}` : field}: ${issue?.message ?? "not valid"}.`;
  throw new Fault(place === "body" ? "invalid_json" : "malformed_request", detail, { public: { detail, ...(field !== "" && { field }) } });
}

/** The tenant that a checked query or body names, if it does. */
export function tenantIn(part: unknown): unknown {
  return typeof part === "object" && part !== null && "tenantId" in part ? part.tenantId : undefined;
}

function assertJson(head: RequestHead): void {
  const type = head.headers.one("content-type") ?? "";
  const [media = "", ...parameters] = type.split(";").map((part) => part.trim().toLowerCase());
  const utf8 = parameters.every((parameter) => parameter === "charset=utf-8" || parameter === 'charset="utf-8"');
  if (media === "application/json" && utf8) return;
  const detail = "Send JSON, with Content-Type: application/json and no encoding.";
  throw new Fault("unsupported_media_type", `content-type ${type.slice(0, 100)}`, { public: { detail } });
}

function malformed(detail: string): Fault {
  return new Fault("malformed_request", detail, { public: { detail } });
}
