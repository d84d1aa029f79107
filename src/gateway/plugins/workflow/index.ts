import { toFault } from "../../../kernel/index.ts";
import { createSchemaCheck } from "../../dialect/schema/schema-check.ts";
import type { ExpressionSource } from "../../dialect/objects.ts";
import {
  type Call,
  jsonAnswer,
  type Plugin,
  type PluginInstance,
  type PluginOwner,
  type PluginPorts,
  type Profile,
} from "../../proxy/plugin.ts";
import { compileExpression, type Expression } from "../../routing/expression.ts";
import { createPatternCompiler } from "../../routing/pattern.ts";
import { takeOver } from "../shared/taken-over.ts";

type ActionSettings = Readonly<Record<string, unknown>>;

interface RuleSettings {
  readonly case?: ExpressionSource;
  /** Name and settings; only the first is done. */
  readonly actions: readonly (readonly [name: string, settings?: ActionSettings])[];
}

interface Settings {
  readonly rules: readonly RuleSettings[];
}

interface Rule {
  readonly case: Expression | undefined;
  /** The plugin whose work is done; undefined for `return`. */
  readonly plugin: string | undefined;
  readonly instance: PluginInstance;
}

const RETURN_SCHEMA = {
  type: "object",
  properties: { code: { type: "integer", minimum: 100, maximum: 599 } },
  required: ["code"],
} as const;

/** Does what the first rule that fits says: ends the request, or limits it with settings of its own. `plugins` are what a rule may do. */
export function workflow(plugins: readonly Plugin[]): Plugin<Settings> {
  const byName = new Map(plugins.map((plugin) => [plugin.name, plugin]));
  return {
    name: "workflow",
    priority: 1006,
    schema: {
      type: "object",
      properties: {
        rules: {
          type: "array",
          items: {
            type: "object",
            properties: {
              case: { type: "array", items: { anyOf: [{ type: "array" }, { type: "string" }] }, minItems: 1 },
              actions: { type: "array", items: { type: "array", minItems: 1 } },
            },
            required: ["actions"],
          },
        },
      },
      required: ["rules"],
    },
    check({ rules }, profile) {
      for (const rule of rules) {
        const wrong = checkCase(rule.case, profile) ?? checkActions(rule, byName, profile);
        if (wrong !== undefined) return wrong;
      }
      return undefined;
    },
    create: ({ rules }, owner, ports) => new Workflow(rules, owner, ports),
  };
}

function checkCase(source: ExpressionSource | undefined, profile: Profile): string | undefined {
  try {
    if (source)
      compileExpression(
        source,
        createPatternCompiler(profile, () => undefined),
      );
    return undefined;
  } catch (error) {
    return `failed to validate the 'case' expression: ${toFault(error).message}`;
  }
}

function checkActions({ actions }: RuleSettings, plugins: ReadonlyMap<string, Plugin>, profile: Profile): string | undefined {
  for (const [name, settings] of actions) {
    const plugin = plugins.get(name);
    if (name !== "return" && !plugin) return `unsupported action: ${name}`;
    const wrong =
      createSchemaCheck(plugin?.schema ?? RETURN_SCHEMA, { emptyIsEither: true })(settings) ?? plugin?.check?.(settings, profile);
    if (wrong !== undefined) return `failed to validate the '${name}' action: ${wrong}`;
    if (settings?.["group"] !== undefined) return `failed to validate the '${name}' action: group is not supported`;
  }
  return undefined;
}

class Workflow implements PluginInstance {
  readonly #rules: readonly Rule[];

  constructor(rules: readonly RuleSettings[], owner: PluginOwner, ports: PluginPorts) {
    this.#rules = rules.flatMap(({ case: source, actions }, index) => {
      const [action] = actions;
      if (!action) return [];
      const [name, settings = {}] = action;
      const isReturn = name === "return";
      return {
        case: source && compileExpression(source, (text, flags) => ports.pattern(text, flags)),
        plugin: isReturn ? undefined : name,
        // the number keeps the counters of two rules apart
        instance: isReturn ? returning(settings) : owner.plugin(name, { ...settings, workflow_rule: index + 1 }),
      };
    });
  }

  access(call: Call): ReturnType<NonNullable<PluginInstance["access"]>> {
    const rule = this.#rules.find((each) => each.case?.holds(call) ?? true);
    if (!rule) return undefined;
    call.setNote(this, rule);
    if (rule.plugin !== undefined) takeOver(call, rule.plugin);
    return rule.instance.access?.(call);
  }

  header(...[call, response]: Parameters<NonNullable<PluginInstance["header"]>>): void {
    call.note<Rule>(this)?.instance.header?.(call, response);
  }
}

function returning({ code }: ActionSettings): PluginInstance {
  const answer = jsonAnswer(Number(code), { error_msg: "rejected by workflow" });
  return { access: () => answer };
}
