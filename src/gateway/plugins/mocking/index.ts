import type { Answer } from "../../../wire/index.ts";
import type { Call, Plugin } from "../../proxy/plugin.ts";
import { compileTemplate } from "../../routing/template.ts";
import { compileHeaders, headerProblem, type HeaderValue } from "../shared/header-fields.ts";
import { createMock, type MockSchema, toXml } from "./mock-value.ts";

/** Settings of mocking: the answer that stands in for the upstream's. The delay is in seconds. */
export interface MockingSettings {
  readonly delay: number;
  readonly response_status: number;
  readonly content_type: string;
  readonly response_example?: string;
  readonly response_schema?: MockSchema;
  readonly with_mock_header: boolean;
  readonly response_headers?: Readonly<Record<string, HeaderValue>>;
}

const SCHEMA = {
  type: "object",
  properties: {
    delay: { type: "integer", default: 0 },
    response_status: { type: "integer", default: 200, minimum: 100 },
    content_type: { type: "string", default: "application/json;charset=utf8" },
    response_example: { type: "string" },
    response_schema: { type: "object" },
    with_mock_header: { type: "boolean", default: true },
    response_headers: {
      type: "object",
      minProperties: 1,
      patternProperties: { "^[^:]+$": { oneOf: [{ type: "string" }, { type: "number" }] } },
    },
  },
  anyOf: [{ required: ["response_example"] }, { required: ["response_schema"] }],
};
const CONTENT_TYPES: ReadonlySet<string> = new Set(["application/xml", "application/json", "text/plain", "text/html", "text/xml"]);

/** Answers in place of an upstream: with an example, or with values made up to fit a schema. */
export const mocking: Plugin<MockingSettings> = {
  name: "mocking",
  priority: 10_900,
  schema: SCHEMA,
  check({ content_type: type, response_headers: headers = {}, response_status: status }, profile) {
    if (!CONTENT_TYPES.has(mediaType(type))) return "unsupported content type!";
    if (status < 200 || status > 599) return `property "response_status" validation failed: ${status} is no status of a final answer`;
    for (const [name, value] of [...Object.entries(headers), ["content-type", type] as const]) {
      const wrong = headerProblem(name, value, profile);
      if (wrong) return wrong;
    }
    return undefined;
  },
  create(settings, _owner, ports) {
    const fields = compileHeaders(settings.response_headers);
    const example = settings.response_example === undefined ? undefined : compileTemplate(settings.response_example);
    const schema = settings.response_schema ?? {};
    const type = mediaType(settings.content_type);
    const answer = (call: Call): Answer => ({
      status: settings.response_status,
      headers: {
        "content-type": settings.content_type,
        ...(settings.with_mock_header && { "x-mock-by": "Freehold" }),
        ...Object.fromEntries(fields.map(({ name, value }) => [name.toLowerCase(), value.render(call)])),
      },
      body: example ? example.render(call) : mockBody(type, schema, ports.random),
    });
    const delayMs = settings.delay * 1000;
    return { access: (call) => (delayMs > 0 ? ports.delay(delayMs, call).then(() => answer(call)) : answer(call)) };
  },
};

function mediaType(contentType: string): string {
  return (contentType.split(";", 1)[0] ?? "").trim();
}

function mockBody(type: string, schema: MockSchema, random: Parameters<typeof createMock>[1]): string {
  const value = createMock({ type: "object", ...schema }, random);
  if (type === "application/xml" || type === "text/xml") return toXml(value, "data");
  return type === "text/html" ? "" : JSON.stringify(value);
}
