import { createHash } from "node:crypto";
import { Fault } from "../../../kernel/index.ts";
import type { Answer } from "../../../wire/index.ts";
import type { Call, Plugin, PluginInstance, PluginOwner, PluginPorts, ResponseDraft, Verdict } from "../../proxy/plugin.ts";
import { compileTemplate } from "../../routing/template.ts";
import { WeightedCycle } from "../../upstreams/balancers/weighted-cycle.ts";
import { AiCall } from "./ai-call.ts";
import { endpointOf } from "./endpoint.ts";
import { createInstance, type Instance } from "./instance.ts";
import { type ClientRequest, readClientRequest, refused } from "./request.ts";
import { type Sender, senderFor } from "./sender.ts";
import { MULTI_SCHEMA, type MultiSettings, PROXY_SCHEMA, type ProxySettings, type SharedSettings } from "./settings.ts";
import { UsageWatch } from "./token-usage.ts";

const WATCH = {};
const SENDER = {};

/** Sends requests to one provider of models, with its key and options. */
export const aiProxy: Plugin<ProxySettings> = {
  name: "ai-proxy",
  priority: 1040,
  schema: PROXY_SCHEMA,
  check: (settings) => stringOf(endpointOf(settings)),
  create(settings, owner, ports) {
    const instance = { name: `ai-proxy-${settings.provider}`, weight: 1, priority: 0, ...settings };
    return new AiProxy({ ...settings, instances: [instance], balancer: { algorithm: "roundrobin" } }, owner, ports);
  },
};

/** Sends requests to one of several providers, and to the next when one fails or is over its limit. */
export const aiProxyMulti: Plugin<MultiSettings> = {
  name: "ai-proxy-multi",
  priority: 1041,
  schema: MULTI_SCHEMA,
  check({ instances, balancer }) {
    if (balancer.algorithm === "semantic") return "the algorithm semantic is not served";
    const names = new Set(instances.map(({ name }) => name));
    if (names.size !== instances.length) return "two instances have the same name";
    return instances.map((instance) => stringOf(endpointOf(instance))).find((problem) => problem !== undefined);
  },
  create: (settings, owner, ports) => new AiProxy(settings, owner, ports),
};

function stringOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** The settings of several instances, of which ai-proxy has one. */
type Settings = SharedSettings & Omit<MultiSettings, keyof SharedSettings>;

class AiProxy implements PluginInstance {
  readonly #settings: Settings;
  readonly #ports: PluginPorts;
  readonly #instances: readonly Instance[];
  readonly #cycle: WeightedCycle<Instance>;
  readonly #priorities: readonly number[];
  readonly #strategies: ReadonlySet<string>;
  readonly #key: ((call: Call) => string) | undefined;

  constructor(settings: Settings, owner: PluginOwner, ports: PluginPorts) {
    this.#settings = settings;
    this.#ports = ports;
    const fields = new Set(settings.instances.flatMap(({ auth }) => Object.keys(auth.header ?? {}).map((name) => name.toLowerCase())));
    this.#instances = settings.instances.map((instance) => createInstance(instance, settings, owner, fields));
    const weighed = this.#instances.filter(({ weight }) => weight > 0);
    this.#cycle = new WeightedCycle(weighed, ports.random);
    this.#priorities = [...new Set(weighed.map(({ priority }) => priority))].toSorted((a, b) => b - a);
    const { fallback_strategy: strategy = [] } = settings;
    this.#strategies = new Set(typeof strategy === "string" ? [strategy] : strategy);
    this.#key = settings.balancer.algorithm === "chash" ? hashKey(settings.balancer) : undefined;
  }

  async access(call: Call): Promise<Verdict> {
    const request = await readClientRequest(call, this.#settings.max_req_body_size);
    if ("status" in request) return request;
    const model = request.values["model"];
    if (typeof model === "string") call.define("request_llm_model", model.slice(0, 200));
    const instances = this.#instances.filter((instance) => instance.speaks(request.protocol));
    if (instances.length === 0) return refused(call, `no provider of this route speaks ${request.protocol}`);
    const sender = await senderFor(call, request, instances, this.#ports.models);
    if ("status" in sender) return sender;
    const ai = new AiCall(call, {
      fallsBack: this.#strategies.has("instance_health_and_rate_limiting") || this.#strategies.has("rate_limiting"),
      choose: (excluded) => this.#choose(call, request, excluded),
      use: (instance) => this.#use(call, request, instance, sender),
    });
    call.setNote(SENDER, sender);
    call.upstream.began = () => {
      if (ai.instance) sender.began(ai.instance);
    };
    call.upstream.again = (status, mayPay) => {
      sender.answered(status);
      return this.#again(ai, status, mayPay);
    };
    call.upstream.others = instances.flatMap(({ target }) => target ?? []);
    const verdict = ai.next();
    return verdict === "none" ? noneLeft(call) : verdict;
  }

  header(call: Call, response: ResponseDraft): void {
    const ai = AiCall.of(call);
    const sender = call.note<Sender>(SENDER);
    if (!response.fromUpstream) sender?.failed();
    if (!ai || !response.fromUpstream) return;
    sender?.answer(response);
    const isStream = response.headers.get("content-type")?.toLowerCase().startsWith("text/event-stream") === true;
    call.define("request_type", isStream ? "ai_stream" : "ai_chat");
    const watch = new UsageWatch(isStream);
    let isFirst = true;
    call.setNote(WATCH, watch);
    response.watchBody((piece) => {
      if (isFirst) call.define("llm_time_to_first_token", Math.round(this.#ports.clock.monotonic() - call.startedMs));
      isFirst = false;
      watch.see(piece);
      if (piece === undefined) finish(call, ai, watch);
    });
  }

  log(call: Call): void {
    const [ai, watch] = [AiCall.of(call), call.note<UsageWatch>(WATCH)];
    // the caller may have left before the end
    if (ai && watch) finish(call, ai, watch);
  }

  /** By priority, then by weight; those that checks have found something against only when nothing else is left. */
  #choose(call: Call, { protocol }: ClientRequest, excluded: ReadonlySet<Instance>): Instance | undefined {
    const hash = this.#key?.(call);
    for (const isUsable of [(instance: Instance) => instance.usable, () => true]) {
      for (const priority of this.#priorities) {
        const allows = (instance: Instance): boolean =>
          instance.priority === priority && !excluded.has(instance) && instance.speaks(protocol) && isUsable(instance);
        const chosen = hash === undefined ? this.#cycle.next({ allows }) : nearest(this.#instances.filter(allows), hash);
        if (chosen) return chosen;
      }
    }
    return undefined;
  }

  #use(call: Call, request: ClientRequest, instance: Instance, sender: Sender): Verdict {
    sender.apply(instance);
    const model = instance.model ?? request.values["model"];
    if (typeof model === "string") call.define("llm_model", model.slice(0, 200));
    return undefined;
  }

  /** Whether a failed try is followed by one at another instance. */
  #again(ai: AiCall, status: number, mayPay: () => boolean): boolean {
    const {
      max_retries: retriesMax = this.#instances.length - 1,
      retry_on_failure_within_ms: withinMs,
      fallback_http_statuses: statuses,
    } = this.#settings;
    const wanted =
      (status === 429 && this.#strategies.has("http_429")) ||
      ((status >= 500 || status === 0) && this.#strategies.has("http_5xx")) ||
      statuses?.includes(status) === true;
    if (!wanted || ai.tried >= retriesMax) return false;
    if (withinMs !== undefined && this.#ports.clock.monotonic() - ai.call.startedMs > withinMs) return false;
    return mayPay() && ai.next() === undefined;
  }
}

function finish(call: Call, ai: AiCall, watch: UsageWatch): void {
  const { counts } = watch;
  call.define("llm_prompt_tokens", counts.get("prompt_tokens") ?? 0);
  call.define("llm_completion_tokens", counts.get("completion_tokens") ?? 0);
  ai.finish(counts);
}

/** What a call is told that no instance is left for. */
export function noneLeft(call: Call): Answer {
  if (call.profile === "strict") throw new Fault("dependency_unavailable", "no instance of ai-proxy-multi is left");
  return { status: 503, headers: { "content-type": "text/plain; charset=utf-8" }, body: "all servers tried" };
}

function hashKey({ hash_on: on = "vars", key = "remote_addr" }: MultiSettings["balancer"]): (call: Call) => string {
  const template = compileTemplate(key);
  const names: Readonly<Record<string, string>> = { header: "http_", cookie: "cookie_" };
  if (on === "vars_combinations") return (call) => template.render(call);
  const name = on === "consumer" ? "consumer_name" : `${names[on] ?? ""}${on === "header" ? key.toLowerCase().replaceAll("-", "_") : key}`;
  return (call) => String(call.variable(name) ?? "");
}

/** The one with the highest hash: a value stays with its instance when others come or go (rendezvous hashing). */
function nearest(instances: readonly Instance[], value: string): Instance | undefined {
  const score = ({ name, weight }: Instance): number => {
    const drawn =
      (createHash("sha256")
        .update(JSON.stringify([name, value]))
        .digest()
        .readUInt32BE() +
        1) /
      (2 ** 32 + 1);
    return weight / -Math.log(drawn);
  };
  return instances.filter(({ weight }) => weight > 0).toSorted((a, b) => score(b) - score(a))[0];
}
