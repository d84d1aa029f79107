import { SerialQueue, toFault } from "../../kernel/index.ts";
import { RetryBudget } from "../../tenancy/limits/index.ts";
import {
  type Answer,
  type Exchange,
  type ExchangeEnd,
  type Forward,
  NameResolver,
  type OriginTls,
  type RequestHead,
  type UpgradeExchange,
} from "../../wire/index.ts";
import type { GatewayDocument, SslSettings, UpstreamSettings } from "../dialect/objects.ts";
import { compileAddresses } from "../routing/addresses.ts";
import { BODY_ARGUMENTS_BYTES_MAX } from "../routing/body-arguments.ts";
import { normalisePath } from "../routing/normalise-path.ts";
import { createPatternCompiler } from "../routing/pattern.ts";
import { RequestView } from "../routing/request-view.ts";
import { HealthChecks } from "../upstreams/health-checks.ts";
import { type CallPorts, ProxyCall } from "./call.ts";
import { claimOf, claimWithTier, withoutTenantPath } from "./claims.ts";
import type { CompiledRoute } from "./compiled-route.ts";
import { faultAnswer } from "./error-answers.ts";
import { explain } from "./explain.ts";
import { beginForward, type Forwarding } from "./forwarding.ts";
import { runLogPhase, runPhases, withHeaderPhase } from "./phases.ts";
import type { Plugin, Verdict } from "./plugin.ts";
import { PluginInstances } from "./plugin-instances.ts";
import { createPluginPorts } from "./plugin-ports.ts";
import type { DataPlane, DataPlanePorts, Explanation, ExplainRequest, UpstreamHealth } from "./ports.ts";
import { Program, type ProgramPorts } from "./program.ts";
import { RenewedLimits } from "./renewed-limits.ts";
import { stripForged } from "./request-headers.ts";
import { UpgradeAsExchange } from "./upgrade-as-exchange.ts";
import { UpstreamBook } from "./upstream-book.ts";

/** A data plane that serves nothing until a document is applied. */
export function createDataPlane(ports: DataPlanePorts): DataPlane {
  return new RunningDataPlane(ports);
}

class RunningDataPlane implements DataPlane {
  readonly #ports: DataPlanePorts;
  readonly #programPorts: ProgramPorts;
  readonly #callPorts: CallPorts;
  readonly #upstreams: UpstreamBook;
  readonly #instances: PluginInstances;
  readonly #forwarding: Forwarding;
  readonly #health: HealthChecks;
  readonly #limits: RenewedLimits;
  #program: Program | undefined;
  /** What is served fresh has nothing of what was served before. */
  #generation = 0;
  #generationsMade = 0;
  /** Documents are taken in one after the other. */
  readonly #queue = new SerialQueue();

  constructor(ports: DataPlanePorts) {
    this.#ports = ports;
    this.#limits = new RenewedLimits(ports.limits);
    const pluginOf = pluginsByName(ports.plugins);
    const pattern = createPatternCompiler(ports.profile, (message) => ports.warn(message));
    const health = new HealthChecks({ probe: (request) => ports.probe(request), warn: (message) => ports.warn(message) });
    this.#health = health;
    this.#upstreams = new UpstreamBook(
      {
        random: ports.random,
        fairQueue: (settings) => ports.fairQueue(settings),
        tlsOf: (settings, certificate) => this.#tlsOf(settings, certificate),
        loneNodeServes: ports.profile === "apisix",
      },
      (upstream) => health.end(upstream),
    );
    this.#instances = new PluginInstances({
      profile: ports.profile,
      ports: createPluginPorts({ ...ports, limits: this.#limits }, pattern, () => this.#program),
      pluginOf,
      openUpstream: (id, settings, scope) => this.#upstreams.take(id, settings, scope.certificateOf(settings), scope.generation),
      closeUpstream: (upstream) => this.#upstreams.release(upstream),
      report: (fault) => ports.warn("a plugin failed to close", { error: fault.message }),
    });
    this.#programPorts = {
      profile: ports.profile,
      resolverRequired: ports.resolverRequired,
      pattern,
      instances: this.#instances,
      upstreams: this.#upstreams,
      pluginOf,
      warn: (message) => ports.warn(message),
    };
    this.#callPorts = {
      outer: ports,
      profile: ports.profile,
      trusted: ports.trustedAddresses.length === 0 ? undefined : compileAddresses(ports.trustedAddresses),
      claimOf: (head) => claimOf(head, ports, (of) => this.#program?.claimedConsumer(of)),
      stop: (call, fault) => {
        call.fault = fault;
        call.exchange.stop(() => this.#fail(call, fault));
      },
    };
    this.#forwarding = {
      budget: new RetryBudget(),
      names: new NameResolver(ports.clock),
      succeeded: (upstream, node, status, tenant) => health.answered(upstream, node, status, tenant),
      failed: (upstream, node, kind, tenant) => health.failed(upstream, node, kind, tenant),
      used: (upstream) => health.begin(upstream),
    };
  }

  apply(document: GatewayDocument, { fresh = false }: { readonly fresh?: boolean } = {}): Promise<void> {
    return this.#queue.run(async () => {
      const before = this.#program;
      const generation = fresh ? ++this.#generationsMade : this.#generation;
      try {
        this.#program = await Program.compile(document, generation, this.#programPorts);
      } catch (error) {
        throw toFault(error);
      }
      this.#generation = generation;
      if (fresh) this.#limits.renew();
      await before?.retire();
    });
  }

  matches(head: RequestHead): boolean {
    const program = this.#program;
    return program !== undefined && this.#match(program, new RequestView(head, this.#callPorts)) !== undefined;
  }

  handle(exchange: Exchange): Answer | undefined | Promise<Answer | undefined> {
    return this.#begin(exchange, false);
  }

  async upgrade(upgrade: UpgradeExchange): Promise<void> {
    const answer = await this.#begin(new UpgradeAsExchange(upgrade), true);
    if (answer) upgrade.refuse(answer);
  }

  explain(tenantId: Parameters<DataPlane["explain"]>[0], request: ExplainRequest): Promise<Explanation> {
    return explain(tenantId, request, this.#program, this.#callPorts);
  }

  health(): readonly UpstreamHealth[] {
    return this.#upstreams
      .all()
      .filter(({ settings }) => settings.checks)
      .map(({ id, nodes }) => ({ upstream: id, nodes: nodes.map(({ address, health }) => ({ address, health })) }));
  }

  async close(): Promise<void> {
    await this.#queue.run(async () => {
      const program = this.#program;
      this.#program = undefined;
      await program?.retire();
    });
    this.#health.close();
  }

  #begin(exchange: Exchange, isUpgrade: boolean): Answer | undefined | Promise<Answer | undefined> {
    const program = this.#program;
    if (!program) return { status: 503, headers: {}, body: undefined };
    const call = new ProxyCall(exchange, program, this.#callPorts, isUpgrade);
    program.active++;
    exchange.onEnd((end) => this.#end(call, end));
    const ready = this.#beforeMatch(call);
    if (ready) return ready.then((fault) => (fault ? withHeaderPhase(call, fault) : this.#route(call)));
    return this.#route(call);
  }

  /** What some routes are chosen by and has to be fetched first. */
  #beforeMatch(call: ProxyCall): Promise<Answer | undefined> | undefined {
    const { program } = call;
    const needsBody = program.matchesBody && call.exchange.hasBody;
    if (!needsBody && !program.matchesTier) return undefined;
    return this.#fetchForMatch(call, needsBody);
  }

  async #fetchForMatch(call: ProxyCall, needsBody: boolean): Promise<Answer | undefined> {
    try {
      if (needsBody) await call.body(BODY_ARGUMENTS_BYTES_MAX);
      if (call.program.matchesTier) call.claimed = await claimWithTier(call.peekClaim(), (id) => this.#ports.findTenant(id));
      return undefined;
    } catch (error) {
      return faultAnswer(toFault(error), call);
    }
  }

  #route(call: ProxyCall): Answer | undefined | Promise<Answer | undefined> {
    try {
      const route = this.#match(call.program, call);
      if (route) {
        call.compiled = route;
        call.route = route.facts;
        call.chain = route.chain;
      }
      stripForged(call);
    } catch (error) {
      return withHeaderPhase(call, faultAnswer(toFault(error), call));
    }
    const verdict = runPhases(call);
    return verdict instanceof Promise ? verdict.then((settled) => this.#settle(call, settled)) : this.#settle(call, verdict);
  }

  /** The route by the whole path, or by what follows `/tenants/{id}`, which may stand in front of any path. */
  #match(program: Program, view: RequestView): CompiledRoute | undefined {
    const found = program.match(view);
    if (found || this.#ports.profile !== "strict") return found;
    const rest = withoutTenantPath(view.head.target.path);
    const path = rest === undefined ? undefined : normalisePath(rest);
    if (rest === undefined || path === undefined) return undefined;
    const whole = view.path;
    view.path = path;
    const route = program.match(view);
    if (!route) view.path = whole;
    else if (view instanceof ProxyCall) view.forwardPath = rest;
    return route;
  }

  #settle(call: ProxyCall, verdict: Verdict): Answer | undefined | Promise<Answer | undefined> {
    if (verdict) return withHeaderPhase(call, verdict);
    if (call.ended) return undefined; // the caller has gone while something waited
    try {
      const begun = beginForward(call, this.#forwarding);
      if (!(begun instanceof Promise)) return this.#send(call, begun);
      return begun.then((ready) => this.#send(call, ready)).catch((error: unknown) => this.#fail(call, error));
    } catch (error) {
      return this.#fail(call, error);
    }
  }

  #send(call: ProxyCall, begun: Forward | Answer): Answer | undefined {
    if (!("onResponse" in begun)) return begun;
    call.exchange.forward(begun);
    return undefined;
  }

  #fail(call: ProxyCall, error: unknown): Answer {
    return withHeaderPhase(call, faultAnswer(toFault(error), call));
  }

  #end(call: ProxyCall, end: ExchangeEnd): void {
    call.end(end);
    if (call.node) call.node.busy--;
    call.ticket?.leave();
    runLogPhase(call);
    this.#ports.observe({
      call,
      tenantId: call.context?.tenant.id,
      routeId: call.route?.id,
      consumer: call.consumer?.username,
      status: end.status,
      upstreamStatuses: call.upstreamStatuses,
      upstreamAddress: call.upstreamAddress,
      durationMs: this.#ports.clock.monotonic() - call.startedMs,
      bytesIn: end.bytesIn,
      bytesOut: end.bytesOut,
      aborted: end.aborted,
      fault: call.fault,
    });
    call.program.leave()?.catch((error: unknown) => this.#ports.warn("closing failed", { error: toFault(error).message }));
  }

  /** In the strict profile an upstream must show a certificate for its name unless the settings say otherwise; in the other it must not. */
  #tlsOf({ tls, pass_host: passHost, upstream_host: upstreamHost }: UpstreamSettings, pair: SslSettings | undefined): OriginTls {
    return {
      serverName: passHost === "rewrite" ? upstreamHost : undefined,
      verify: tls?.verify ?? this.#ports.profile === "strict",
      ca: undefined,
      cert: pair?.cert ?? tls?.client_cert,
      key: pair?.key ?? tls?.client_key,
    };
  }
}

function pluginsByName(plugins: readonly Plugin[]): (name: string) => Plugin | undefined {
  const byName = new Map<string, Plugin>();
  for (const plugin of plugins) for (const name of [plugin.name, ...(plugin.aliases ?? [])]) byName.set(name, plugin);
  return (name) => byName.get(name);
}
