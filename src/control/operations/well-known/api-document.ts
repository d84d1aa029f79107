import { json, type Operation, publicOperation } from "../../../gateway/index.ts";
import { toOpenApi } from "../../openapi.ts";

/** `GET /openapi.json`: this API, made from the route table itself. */
export function apiDocument(operations: readonly Operation[], version: string): Operation {
  const described = publicOperation({ method: "GET", path: "/openapi.json", summary: "Read this document.", run: () => answer });
  const answer = json(200, toOpenApi([...operations, described], version), { "cache-control": "public, max-age=300" });
  return described;
}
