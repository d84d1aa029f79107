import { createTenantContext, type Tenant, type TenantContext, type TenantId } from "../../kernel/index.ts";
import type { AuditEvent } from "../../tenancy/audit/index.ts";
import { settleFailure } from "../../tenancy/identity/index.ts";
import type { PatternCompiler } from "../routing/pattern.ts";
import type { Call, PluginPorts } from "./plugin.ts";
import type { DataPlanePorts } from "./ports.ts";
import type { Program } from "./program.ts";

/** What plugins work with. Consumers are those of the document that is served now. */
export function createPluginPorts(ports: DataPlanePorts, pattern: PatternCompiler, current: () => Program | undefined): PluginPorts {
  const record = (action: AuditEvent["action"], reason: string, call: Call, claimed?: TenantId): void => {
    const { context } = call;
    ports.audit.record({
      action,
      reason,
      actor: context?.principal.id ?? call.consumer?.username ?? null,
      actorTenant: context ? { id: context.tenant.id, uuid: context.tenant.uuid } : null,
      targetTenant: claimed ?? null,
      requestId: call.requestId,
      source: call.head.remoteAddress,
      detail: { method: call.head.method, route: call.route?.id ?? "" },
    });
  };
  return {
    clock: ports.clock,
    random: ports.random,
    limits: ports.limits,
    identify: (head, requestId) => ports.identify(head, requestId),
    findTenant: (id) => ports.findTenant(id),
    claimedTenant: (head) => ports.claimedTenant(head),
    contextOf: rememberPrincipals(ports),
    signContext: (context, audience) => ports.signContext(context, audience),
    findConsumer: (plugin, value) => current()?.consumers.find(plugin, value),
    consumer: (name) => current()?.consumers.consumer(name),
    fetch: (request) => ports.fetch(request),
    delay,
    warn: (message, facts) => ports.warn(message, facts),
    audit: record,
    authFailed: (reason, call, claimed) =>
      settleFailure(ports.noteFailure(call.head.remoteAddress), (tooMany) => record("auth_failed", tooMany ?? reason, call, claimed)),
    pattern,
    models: ports.models,
    metrics: ports.metrics,
  };
}

/** Principals of consumers that are kept per tenant. */
const PRINCIPALS_MAX = 1_000;

/** One principal object for all requests of a consumer: the signer knows it again by its identity, and a signature costs more than a whole call. */
function rememberPrincipals(ports: DataPlanePorts): PluginPorts["contextOf"] {
  const known = new WeakMap<Tenant, Map<string, TenantContext>>();
  return (tenant, consumer, requestId) => {
    const ofTenant = known.get(tenant) ?? new Map<string, TenantContext>();
    const first = ofTenant.get(consumer);
    if (first) {
      const { principal, provedBy } = first;
      const trace = { traceId: requestId.replaceAll("-", ""), spanId: first.trace.spanId, sampled: false };
      return createTenantContext({ tenant, principal, provedBy, requestId, trace });
    }
    const made = ports.contextOf(tenant, consumer, requestId);
    if (ofTenant.size >= PRINCIPALS_MAX) ofTenant.clear();
    known.set(tenant, ofTenant.set(consumer, made));
    return made;
  };
}

/** The timer ends with the call, so that nobody waits for a caller who is gone. */
function delay(ms: number, call: Call): Promise<void> {
  if (ms <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    call.onEnd(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
