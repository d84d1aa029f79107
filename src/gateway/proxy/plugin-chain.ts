import { Fault } from "../../kernel/index.ts";
import type { ExpressionSource, PluginSettings } from "../dialect/objects.ts";
import { compileExpression, type Expression } from "../routing/expression.ts";
import type { PatternCompiler } from "../routing/pattern.ts";
import { isBodyVariable } from "../routing/variables.ts";
import type { Plugin, PluginInstance } from "./plugin.ts";

/** The plugins of one place: `route:1`, `tenant:acme` ... */
export interface PluginLayer {
  readonly owner: string;
  readonly settings: PluginSettings;
}

/** One plugin's settings with the place they come from. */
export interface Placement {
  readonly plugin: Plugin;
  readonly owner: string;
  readonly settings: unknown;
  /** Places whose settings were replaced, the nearest first. */
  readonly overrides: readonly string[];
}

/** One plugin in a chain. */
export interface Step extends Placement {
  readonly instance: PluginInstance;
  readonly priority: number;
  readonly filter: Expression | undefined;
  /** Replaces the body of an answer of 400 and above. */
  readonly errorResponse: string | undefined;
}

interface Meta {
  readonly disable?: boolean;
  readonly priority?: number;
  readonly filter?: ExpressionSource;
  readonly error_response?: unknown;
}

/** What chains are made with. */
export interface ChainMaker {
  readonly pluginOf: (name: string) => Plugin | undefined;
  instanceOf(placement: Placement): PluginInstance;
  readonly pattern: PatternCompiler;
  readonly warn: (message: string) => void;
}

/** Effective plugins in their order, split by what they do, so that a request only visits those that do something. */
export class PluginChain {
  readonly steps: readonly Step[];
  readonly rewrite: readonly Step[];
  readonly access: readonly Step[];
  readonly header: readonly Step[];
  readonly log: readonly Step[];
  /** Something in it looks into the body by a variable. */
  readonly needsBody: boolean;
  readonly #byName = new Map<string, Step>();

  constructor(steps: readonly Step[]) {
    this.steps = steps;
    this.rewrite = steps.filter(({ instance }) => instance.rewrite !== undefined);
    this.access = steps.filter(({ instance }) => instance.access !== undefined);
    this.header = steps.filter(({ instance }) => instance.header !== undefined);
    this.log = steps.filter(({ instance }) => instance.log !== undefined);
    // settings of any plugin may name such a variable; that it is looked for in their text errs on the safe side
    this.needsBody = steps.some(({ settings, filter }) => namesBody(settings) || (filter?.variables.some(isBodyVariable) ?? false));
    for (const step of steps) this.#byName.set(step.plugin.name, step);
  }

  step(name: string): Step | undefined {
    return this.#byName.get(name);
  }
}

/** A chain of nothing. */
export const EMPTY_CHAIN = new PluginChain([]);

function namesBody(settings: unknown): boolean {
  return /post_arg|graphql_/.test(JSON.stringify(settings ?? null));
}

/** Lays sets of plugins over each other, the first lowest. A plugin's settings are replaced as a whole, never mixed. */
export function mergeLayers(layers: readonly (PluginLayer | undefined)[], maker: ChainMaker): ReadonlyMap<string, Placement> {
  const merged = new Map<string, Placement>();
  for (const layer of layers) {
    if (!layer) continue;
    for (const [name, settings] of Object.entries(layer.settings)) {
      const plugin = maker.pluginOf(name);
      if (!plugin) throw new Fault("invalid_settings", `unknown plugin ${name} on ${layer.owner}`);
      const below = merged.get(plugin.name);
      const overrides = below ? [below.owner, ...below.overrides] : [];
      merged.set(plugin.name, { plugin, owner: layer.owner, settings, overrides });
    }
  }
  return merged;
}

/** The chain of these placements, without those that are disabled: by falling priority. */
export function createChain(placements: Iterable<Placement>, maker: ChainMaker): PluginChain {
  const steps = [...placements]
    .filter(({ settings }) => metaOf(settings).disable !== true)
    .map((placement) => createStep(placement, maker));
  return steps.length === 0 ? EMPTY_CHAIN : new PluginChain(steps.toSorted((a, b) => b.priority - a.priority));
}

function createStep(placement: Placement, maker: ChainMaker): Step {
  const meta = metaOf(placement.settings);
  return {
    ...placement,
    instance: maker.instanceOf(placement),
    priority: meta.priority ?? placement.plugin.priority,
    filter: meta.filter && compileExpression(meta.filter, maker.pattern),
    errorResponse: errorText(meta.error_response),
  };
}

function metaOf(settings: unknown): Meta {
  const meta = typeof settings === "object" && settings !== null && "_meta" in settings ? settings["_meta"] : undefined;
  return typeof meta === "object" && meta !== null ? meta : {};
}

function errorText(response: unknown): string | undefined {
  if (response === undefined) return undefined;
  return typeof response === "string" ? response : `${JSON.stringify(response)}\n`;
}
