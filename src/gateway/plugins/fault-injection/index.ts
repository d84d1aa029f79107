import { type Random, toFault } from "../../../kernel/index.ts";
import type { Answer } from "../../../wire/index.ts";
import type { ExpressionSource } from "../../dialect/objects.ts";
import type { Call, Plugin, PluginPorts, Profile } from "../../proxy/plugin.ts";
import { compileExpression } from "../../routing/expression.ts";
import { createPatternCompiler } from "../../routing/pattern.ts";
import { compileTemplate } from "../../routing/template.ts";
import { compileHeaders, headerProblem, type HeaderValue } from "../shared/header-fields.ts";

interface When {
  readonly percentage?: number;
  readonly vars?: readonly ExpressionSource[];
}

interface AbortSettings extends When {
  readonly http_status: number;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, HeaderValue>>;
}

/** Settings of fault-injection: which share of the requests waits (seconds), and which is answered at once. */
export interface FaultInjectionSettings {
  readonly abort?: AbortSettings;
  readonly delay?: When & { readonly duration: number };
}

const PERCENTAGE = { type: "integer", minimum: 0, maximum: 100 };
const VARS = { type: "array", maxItems: 20, items: { type: "array" } };
const SCHEMA = {
  type: "object",
  properties: {
    abort: {
      type: "object",
      properties: {
        http_status: { type: "integer", minimum: 200 },
        body: { type: "string", minLength: 0 },
        headers: {
          type: "object",
          minProperties: 1,
          patternProperties: { "^[^:]+$": { oneOf: [{ type: "string" }, { type: "number" }] } },
        },
        percentage: PERCENTAGE,
        vars: VARS,
      },
      required: ["http_status"],
    },
    delay: {
      type: "object",
      properties: { duration: { type: "number", minimum: 0 }, percentage: PERCENTAGE, vars: VARS },
      required: ["duration"],
    },
  },
  minProperties: 1,
};
const STATUS_MAX = 599;

/** Lets requests wait or fail on purpose, to see what callers make of it. */
export const faultInjection: Plugin<FaultInjectionSettings> = {
  name: "fault-injection",
  priority: 11_000,
  schema: SCHEMA,
  check({ abort, delay }, profile) {
    for (const [name, value] of Object.entries(abort?.headers ?? {})) {
      const wrong = headerProblem(name, value, profile);
      if (wrong) return wrong;
    }
    if (abort && abort.http_status > STATUS_MAX) {
      return `property "abort" validation failed: property "http_status" validation failed: expected ${abort.http_status} to be at most ${STATUS_MAX}`;
    }
    return varsProblem([...(abort?.vars ?? []), ...(delay?.vars ?? [])], profile);
  },
  create({ abort, delay }, _owner, ports) {
    const aborts = abort && compileWhen(abort, ports);
    const answer = abort && compileAnswer(abort);
    const delays = delay && compileWhen(delay, ports);
    const delayMs = (delay?.duration ?? 0) * 1000;
    return {
      rewrite(call) {
        const isAborted = aborts?.(call) === true;
        if (!delays?.(call)) return isAborted ? answer?.(call) : undefined;
        return ports.delay(delayMs, call).then(() => (isAborted ? answer?.(call) : undefined));
      },
    };
  },
};

function varsProblem(vars: readonly ExpressionSource[], profile: Profile): string | undefined {
  try {
    for (const each of vars)
      compileExpression(
        each,
        createPatternCompiler(profile, () => undefined),
      );
    return undefined;
  } catch (error) {
    return toFault(error).message;
  }
}

/** One of the conditions holds, and the dice say so. */
function compileWhen({ percentage, vars }: When, ports: PluginPorts): (call: Call) => boolean {
  const conditions = vars?.map((each) => compileExpression(each, (source, flags) => ports.pattern(source, flags)));
  return (call) => {
    if (conditions && !conditions.some((condition) => condition.holds(call))) return false;
    return percentage === undefined || dice(ports.random) < percentage;
  };
}

/** 0 to 99. */
function dice(random: Random): number {
  return random.bytes(4).readUInt32BE() % 100;
}

function compileAnswer({ http_status: status, body = "", headers }: AbortSettings): (call: Call) => Answer {
  const fields = compileHeaders(headers);
  const text = compileTemplate(body);
  const hasBody = body !== "";
  return (call) => ({
    status,
    headers: Object.fromEntries(fields.map(({ name, value }) => [name.toLowerCase(), value.render(call)])),
    body: hasBody ? text.render(call) : undefined,
  });
}
