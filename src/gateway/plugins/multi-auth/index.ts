import { type Fault, toFault } from "../../../kernel/index.ts";
import { isTooMany, unauthenticated } from "../../../tenancy/identity/index.ts";
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
import type { Answer } from "../../../wire/index.ts";

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

  /** The ways from `index` on; `before` is what the last one that said no has said. */
  #try(call: Call, index: number, before: Refusal | undefined): Verdict | Promise<Verdict> {
    let last = before;
    for (let i = index; i < this.#ways.length; i++) {
      const outcome = attempt(() => this.#ways[i]?.rewrite?.(call));
      if (outcome instanceof Promise) {
        const said = last;
        return outcome.catch(toRefusal).then((settled) => {
          const read = toOutcome(settled, said);
          return read instanceof Refusal ? this.#try(call, i + 1, read) : read;
        });
      }
      const read = toOutcome(outcome, last);
      if (!(read instanceof Refusal)) return read;
      last = read;
    }
    return this.#refuse(last);
  }

  #refuse(last: Refusal | undefined): Verdict {
    if (last?.tooMany) throw last.tooMany;
    if (this.#profile === "strict") throw unauthenticated("no way of authentication has proved the caller");
    const challenge = last?.challenge ?? "";
    return jsonAnswer(UNAUTHENTICATED, { message: "Authorization Failed" }, challenge === "" ? {} : { "www-authenticate": challenge });
  }
}

/** What the ways so far have said, where each has said no. */
class Refusal {
  readonly challenge: string;
  /** One of them would not even say no any more. */
  readonly tooMany: Fault | undefined;

  constructor(challenge: string, tooMany: Fault | undefined) {
    this.challenge = challenge;
    this.tooMany = tooMany;
  }
}

/** Undefined when this way has proved the caller; an answer that is no refusal of a credential stands. */
function toOutcome(outcome: Verdict | Refusal, before: Refusal | undefined): Verdict | Refusal {
  if (outcome instanceof Refusal) return new Refusal(outcome.challenge || (before?.challenge ?? ""), outcome.tooMany ?? before?.tooMany);
  if (outcome?.status !== UNAUTHENTICATED) return outcome;
  return new Refusal(challengeOf(outcome.headers) || (before?.challenge ?? ""), before?.tooMany);
}

/** A refusal of a credential is an outcome here, in whichever way it is said; every other fault stays one. */
function attempt<T>(run: () => T): T | Refusal {
  try {
    return run();
  } catch (error) {
    return toRefusal(error);
  }
}

function toRefusal(error: unknown): Refusal {
  const fault = toFault(error);
  if (isTooMany(fault)) return new Refusal("", fault);
  if (fault.code !== "unauthenticated") throw fault;
  return new Refusal(challengeOf(fault.public.headers ?? {}), undefined);
}

function challengeOf(headers: Answer["headers"]): string {
  const said = headers["www-authenticate"];
  return typeof said === "string" ? said : "";
}
