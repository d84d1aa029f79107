import { toFault } from "../../../kernel/index.ts";
import { unauthenticated } from "../../../tenancy/identity/index.ts";
import { createSchemaCheck } from "../../dialect/schema/schema-check.ts";
import {
  type Call,
  jsonAnswer,
  type Plugin,
  type PluginInstance,
  type PluginOwner,
  type Profile,
  type Verdict,
} from "../../proxy/plugin.ts";

interface Settings {
  readonly auth_plugins: readonly Readonly<Record<string, unknown>>[];
}

const UNAUTHENTICATED = 401;

/** Lets a caller through that one of several ways of authentication proves. `plugins` are the ways there are. */
export function multiAuth(plugins: readonly Plugin[]): Plugin<Settings> {
  const byName = new Map(plugins.map((plugin) => [plugin.name, plugin]));
  return {
    name: "multi-auth",
    priority: 2600,
    kind: "auth",
    schema: { type: "object", properties: { auth_plugins: { type: "array", minItems: 2 } }, required: ["auth_plugins"] },
    check({ auth_plugins: ways }, profile) {
      for (const way of ways) {
        for (const [name, settings] of Object.entries(way)) {
          const wrong = checkWay(byName.get(name), name, settings, profile);
          if (wrong !== undefined) return wrong;
        }
      }
      return undefined;
    },
    claims: ({ auth_plugins: ways }, head, profile) =>
      ways.flatMap((way) => Object.entries(way).flatMap(([name, settings]) => byName.get(name)?.claims?.(settings, head, profile) ?? [])),
    create: (settings, owner) => new MultiAuth(settings, owner),
  };
}

function checkWay(plugin: Plugin | undefined, name: string, settings: unknown, profile: Profile): string | undefined {
  if (!plugin) return `${name} plugin did not found`;
  if (plugin.kind !== "auth") return `${name} plugin is not supported`;
  const wrong = createSchemaCheck(plugin.schema, { emptyIsEither: true })(settings) ?? plugin.check?.(settings, profile);
  return wrong === undefined ? undefined : `plugin ${name} check schema failed: ${wrong}`;
}

class MultiAuth implements PluginInstance {
  readonly #ways: readonly PluginInstance[];
  readonly #profile: Profile;

  constructor({ auth_plugins: ways }: Settings, owner: PluginOwner) {
    this.#profile = owner.profile;
    this.#ways = ways.flatMap((way) => Object.entries(way).map(([name, settings]) => owner.plugin(name, settings)));
  }

  rewrite(call: Call): Verdict | Promise<Verdict> {
    return this.#try(call, 0, undefined);
  }

  /** The ways from `index` on; `challenge` is that of the last one that said no. */
  #try(call: Call, index: number, challenge: string | undefined): Verdict | Promise<Verdict> {
    let last = challenge;
    for (let i = index; i < this.#ways.length; i++) {
      const verdict = attempt(() => this.#ways[i]?.rewrite?.(call));
      if (verdict instanceof Promise) {
        const before = last;
        return attemptLater(verdict).then((settled) => this.#read(settled, before, (said) => this.#try(call, i + 1, said)));
      }
      const read = this.#read(verdict, last, (said) => said);
      if (typeof read !== "string") return read;
      last = read;
    }
    return this.#refuse(last);
  }

  /** Undefined when this way has proved the caller; an answer that is no refusal of a credential stands. */
  #read<T>(verdict: Verdict, before: string | undefined, refused: (challenge: string) => T): Verdict | T {
    if (verdict?.status !== UNAUTHENTICATED) return verdict;
    const said = verdict.headers["www-authenticate"];
    return refused(typeof said === "string" ? said : (before ?? ""));
  }

  #refuse(challenge: string | undefined): Verdict {
    if (this.#profile === "strict") throw unauthenticated("no way of authentication has proved the caller");
    return jsonAnswer(UNAUTHENTICATED, { message: "Authorization Failed" }, challenge ? { "www-authenticate": challenge } : {});
  }
}

/** A refusal of a credential is an answer here, in whichever way it is said; every other fault stays one. */
function attempt<T>(run: () => T): T | Verdict {
  try {
    return run();
  } catch (error) {
    return toRefusal(error);
  }
}

function attemptLater(pending: Promise<Verdict>): Promise<Verdict> {
  return pending.catch(toRefusal);
}

function toRefusal(error: unknown): Verdict {
  const fault = toFault(error);
  if (fault.code !== "unauthenticated") throw fault;
  return { status: UNAUTHENTICATED, headers: fault.public.headers ?? {}, body: undefined };
}
