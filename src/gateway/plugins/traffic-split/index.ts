import { Fault, toFault } from "../../../kernel/index.ts";
import type { ExpressionSource, UpstreamSettings } from "../../dialect/objects.ts";
import { toNodeList } from "../../dialect/node-list.ts";
import { ID } from "../../dialect/schemas/shared.ts";
import { UPSTREAM } from "../../dialect/schemas/upstream.ts";
import type { Plugin, PluginInstance, PluginOwner, PluginPorts, Profile, UpstreamTarget, Verdict } from "../../proxy/plugin.ts";
import { compileExpression, type Expression } from "../../routing/expression.ts";
import { createPatternCompiler } from "../../routing/pattern.ts";
import { WeightedCycle } from "../../upstreams/balancers/weighted-cycle.ts";

interface Share {
  readonly upstream_id?: string | number;
  readonly upstream?: UpstreamSettings;
  readonly weight: number;
}

interface RuleSettings {
  readonly match?: readonly { readonly vars?: ExpressionSource }[];
  readonly weighted_upstreams: readonly Share[];
}

interface Settings {
  readonly rules?: readonly RuleSettings[];
}

/** An upstream and its part of the calls; undefined stands for the route's own. */
interface Choice {
  readonly target: UpstreamTarget | undefined;
  readonly weight: number;
}

interface Rule {
  /** Undefined when every call fits. */
  readonly match: readonly Expression[] | undefined;
  readonly cycle: WeightedCycle<Choice>;
  /** An id that there is no upstream of; a call that comes here is answered as the dialect does. */
  readonly missing: string | undefined;
}

/** Sends calls that fit a rule to its upstreams, by weight. */
export const trafficSplit: Plugin<Settings> = {
  name: "traffic-split",
  priority: 966,
  schema: {
    type: "object",
    properties: {
      rules: {
        type: "array",
        items: {
          type: "object",
          properties: {
            match: { type: "array", items: { type: "object", properties: { vars: { type: "array" } } } },
            weighted_upstreams: {
              type: "array",
              items: {
                type: "object",
                properties: { upstream_id: ID, upstream: UPSTREAM, weight: { type: "integer", default: 1, minimum: 0 } },
              },
              default: [{ weight: 1 }],
              minItems: 1,
              maxItems: 20,
            },
          },
        },
      },
    },
  },
  check,
  upstreamIds: ({ rules = [] }) =>
    rules.flatMap(({ weighted_upstreams: shares }) => shares.flatMap(({ upstream_id: id }) => (id === undefined ? [] : [String(id)]))),
  create,
};

function check({ rules = [] }: Settings, profile: Profile): string | undefined {
  const pattern = createPatternCompiler(profile, () => undefined);
  try {
    for (const { match = [] } of rules) for (const { vars = [] } of match) compileExpression(vars, pattern);
  } catch (error) {
    return `failed to validate the 'vars' expression: ${toFault(error).message}`;
  }
  for (const { weighted_upstreams: shares } of rules) {
    for (const { upstream } of shares) {
      const wrong = upstream && toNodeList({ ...upstream });
      if (wrong !== undefined) return wrong;
    }
  }
  return undefined;
}

function create({ rules = [] }: Settings, owner: PluginOwner, ports: PluginPorts): PluginInstance {
  const compiled = rules.map((rule) => compile(rule, owner, ports));
  return {
    access(call) {
      for (const { match, cycle, missing } of compiled) {
        if (missing !== undefined) return unknownUpstream(missing);
        if (match && !match.some((expression) => expression.holds(call))) continue;
        call.upstream.target = cycle.next(ANY)?.target;
        return undefined;
      }
      return undefined;
    },
  };
}

const ANY = { allows: () => true };

function compile({ match, weighted_upstreams: shares }: RuleSettings, owner: PluginOwner, ports: PluginPorts): Rule {
  const choices: Choice[] = [];
  let missing: string | undefined;
  for (const { upstream, upstream_id: id, weight } of shares) {
    const named = id === undefined ? upstream && withNodeList(upstream, owner.profile) : String(id);
    const target = named === undefined ? undefined : owner.upstream(named);
    if (named !== undefined && !target) {
      const detail = `traffic-split on ${owner.id} names an upstream ${String(id)} that there is not`;
      if (owner.profile === "strict") throw new Fault("invalid_settings", detail, { public: { detail } });
      missing ??= String(id);
    }
    choices.push({ target, weight });
  }
  return {
    match: match?.map(({ vars = [] }) => compileExpression(vars, (text, flags) => ports.pattern(text, flags))),
    cycle: new WeightedCycle(
      choices.filter(({ weight }) => weight > 0),
      ports.random,
    ),
    missing,
  };
}

function withNodeList(upstream: UpstreamSettings, profile: Profile): UpstreamSettings {
  const copy: Record<string, unknown> = { ...upstream };
  toNodeList(copy);
  if (profile === "apisix") copy["of_split"] = true;
  return copy as unknown as UpstreamSettings; // the same settings, with the list form of their nodes
}

function unknownUpstream(id: string): Verdict {
  const headers = { "content-type": "text/plain; charset=utf-8" };
  return { status: 500, headers, body: `failed to fetch upstream info by upstream id: ${id}` };
}
