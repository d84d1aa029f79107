import { Fault, parseTenantId, toFault } from "../../kernel/index.ts";
import { unauthenticated } from "../../tenancy/identity/index.ts";
import type { Answer, HeaderEdit } from "../../wire/index.ts";
import { BODY_ARGUMENTS_BYTES_MAX } from "../routing/body-arguments.ts";
import type { ProxyCall } from "./call.ts";
import { faultAnswer, pageAnswer, routeNotFound } from "./error-answers.ts";
import type { Verdict } from "./plugin.ts";
import { EMPTY_CHAIN, type Step } from "./plugin-chain.ts";
import { AnswerDraft, toEdit } from "./response-draft.ts";
import { TENANT_VARY } from "./tenant-vary.ts";

const NOT_KEPT = "private, no-store";
const HOUSE_FIELDS: ReadonlySet<string> = new Set(["x-request-id", "cache-control", "vary"]);

const GLOBAL_REWRITE = 0;
const ROUTE_REWRITE = 1;
const ADDED_REWRITE = 2;
const GLOBAL_ACCESS = 3;
const ROUTE_ACCESS = 4;
const DONE = 5;

/**
 * Runs a call through its phases: rewrite of the global rules and of the route, rewrite of what consumer and tenant brought, then access of
 * all. Undefined when the call goes on to the upstream. What does not wait runs without a promise. It never throws.
 */
export function runPhases(call: ProxyCall): Verdict | Promise<Verdict> {
  try {
    return proceed(call);
  } catch (error) {
    return faultAnswer(toFault(error), call);
  }
}

function proceed(call: ProxyCall): Verdict | Promise<Verdict> {
  while (call.stage < DONE) {
    if (call.step === 0) {
      const verdict = enterStage(call);
      if (verdict) return verdict;
    }
    const steps = stepsOf(call);
    while (call.step < steps.length) {
      const step = steps[call.step++];
      if (!step || !call.takesPart(step)) continue;
      const verdict = call.stage < GLOBAL_ACCESS ? step.instance.rewrite?.(call) : step.instance.access?.(call);
      if (verdict === undefined) continue;
      return verdict instanceof Promise ? wait(verdict, step, call) : ownAnswer(verdict, step, call);
    }
    call.stage++;
    call.step = 0;
  }
  return undefined;
}

/** What is decided between the phases. */
function enterStage(call: ProxyCall): Promise<Verdict> | Answer | undefined {
  switch (call.stage) {
    case ROUTE_REWRITE:
      if (call.chain.needsBody && call.exchange.hasBody && !call.bodyInMemory) return readBody(call);
      return undefined;
    case ADDED_REWRITE:
      layOver(call);
      return undefined;
    case GLOBAL_ACCESS:
      assertProved(call);
      return undefined;
    case ROUTE_ACCESS:
      return call.compiled ? danglingAnswer(call) : routeNotFound(call);
    default:
      return undefined;
  }
}

/** Variables of the body are asked for by plugins that do not wait, so it is there before them. */
async function readBody(call: ProxyCall): Promise<Verdict> {
  try {
    await call.body(BODY_ARGUMENTS_BYTES_MAX);
    return await proceed(call);
  } catch (error) {
    return faultAnswer(toFault(error), call);
  }
}

async function wait(pending: Promise<Verdict>, step: Step, call: ProxyCall): Promise<Verdict> {
  try {
    const verdict = await pending;
    return verdict ? ownAnswer(verdict, step, call) : await proceed(call);
  } catch (error) {
    return faultAnswer(toFault(error), call);
  }
}

function stepsOf(call: ProxyCall): readonly Step[] {
  switch (call.stage) {
    case GLOBAL_REWRITE:
      return call.program.global.rewrite;
    case ROUTE_REWRITE:
      return call.chain.rewrite;
    case ADDED_REWRITE:
      return call.overlay?.added.rewrite ?? EMPTY_CHAIN.rewrite;
    case GLOBAL_ACCESS:
      return call.program.global.access;
    default:
      return call.chain.access;
  }
}

/** From here on the chain is what route, plan, tenant and consumer say together. */
function layOver(call: ProxyCall): void {
  const { compiled, program, context, consumer } = call;
  if (!compiled || (!context && !consumer)) return;
  const { groupId } = consumer ?? {};
  if (groupId !== undefined && !program.consumers.hasGroup(groupId)) {
    throw new Fault("dependency_unavailable", `the consumer ${consumer?.username} is in a group ${groupId} that there is not`);
  }
  const layers = program.layersOf(consumer?.username, groupId, context?.tenant);
  if (layers.length === 0) return;
  call.overlay = program.overlay(compiled, layers);
  if (call.overlay) call.chain = call.overlay.chain;
}

/** Nothing is decided for somebody who is not proved, and nothing that was decided on a claim stands against the proof. */
function assertProved(call: ProxyCall): void {
  const { context, compiled } = call;
  const claim = call.claimUsed ? call.peekClaim() : undefined;
  call.claimOver = true;
  if (!compiled) return;
  if (!context) {
    if (compiled.needsTenant || claim?.tenantId !== undefined) throw unauthenticated("no tenant was proved");
    return;
  }
  if (!claim) return;
  const sameTenant = claim.tenantId === context.tenant.id;
  if (sameTenant && (!call.principalUsed || claim.principal === undefined || claim.principal === context.principal.id)) return;
  call.outer.audit.record({
    action: "cross_tenant_attempt",
    reason: "route_mismatch",
    actor: context.principal.id,
    actorTenant: { id: context.tenant.id, uuid: context.tenant.uuid },
    targetTenant: parseTenantId(claim.tenantId) ?? null,
    requestId: call.requestId,
    source: call.remoteAddress,
    detail: { method: call.head.method, route: compiled.settings.id },
  });
  throw new Fault("tenant_mismatch", `a route was chosen for ${claim.tenantId ?? "nobody"}, and ${context.tenant.id} was proved`);
}

/** A route that names what there is not, as the dialect's own gateway answers it. */
function danglingAnswer({ compiled }: ProxyCall): Answer | undefined {
  switch (compiled?.dangling) {
    case "service":
      return pageAnswer(404);
    case "plugin_config":
      return pageAnswer(503);
    default:
      return undefined;
  }
}

/** A plugin's answer: with the body that its `_meta` says, or the page where it has none. */
function ownAnswer(answer: Answer, step: Step, call: ProxyCall): Answer {
  if (answer.status >= 400 && step.errorResponse !== undefined) {
    const isJson = step.errorResponse.startsWith("{") || step.errorResponse.startsWith("[");
    const type = isJson ? "application/json" : "text/plain; charset=utf-8";
    return { ...answer, headers: { ...answer.headers, "content-type": type }, body: step.errorResponse };
  }
  if (answer.body !== undefined || answer.status < 300 || call.profile === "strict") return answer;
  const page = pageAnswer(answer.status);
  return { ...page, headers: { ...page.headers, ...answer.headers } };
}

/** Lets the response phase of every plugin see an answer that no upstream made. */
export function withHeaderPhase(call: ProxyCall, answer: Answer): Answer {
  const { global } = call.program;
  call.status = answer.status;
  if (global.header.length === 0 && call.chain.header.length === 0) return withHouseFields(call, answer);
  const draft = new AnswerDraft(answer.status, toEdit(answer.headers), false);
  runHeaderPhase(call, draft);
  call.status = draft.status;
  return withHouseFields(call, draft.apply(answer));
}

/** In the strict profile: what every answer of the platform has, where nobody has said otherwise. */
function withHouseFields(call: ProxyCall, answer: Answer): Answer {
  if (call.profile !== "strict") return answer;
  const { vary = [] } = answer.headers;
  return {
    ...answer,
    headers: {
      "x-content-type-options": "nosniff",
      "x-request-id": call.requestId,
      "cache-control": NOT_KEPT,
      ...answer.headers,
      vary: [...(typeof vary === "string" ? [vary] : vary), TENANT_VARY],
    },
  };
}

/**
 * In the strict profile: the request's id, and, for a proved tenant, that no cache between may give the answer to somebody else unless the
 * upstream itself allows it (RFC 9111, 3.5).
 */
export function addHouseFields(call: ProxyCall, headers: HeaderEdit): void {
  if (call.profile !== "strict") return;
  let lines = headers.get("x-request-id") === undefined ? `X-Request-ID: ${call.requestId}\r\n` : "";
  if (call.context) {
    if (headers.get("cache-control") === undefined) lines += `Cache-Control: ${NOT_KEPT}\r\n`;
    lines += `Vary: ${TENANT_VARY}\r\n`;
  }
  if (lines !== "") headers.append(lines, HOUSE_FIELDS);
}

/** The response phase: global rules, then the rest. A plugin that fails there is left out, and said. */
export function runHeaderPhase(call: ProxyCall, draft: AnswerDraft): void {
  visit(call.program.global.header, call, draft);
  visit(call.chain.header, call, draft);
}

function visit(steps: readonly Step[], call: ProxyCall, draft: AnswerDraft): void {
  for (const step of steps) {
    if (!call.takesPart(step)) continue;
    try {
      step.instance.header?.(call, draft);
    } catch (error) {
      call.outer.warn(`the plugin ${step.plugin.name} failed at the answer`, { error: toFault(error).message, owner: step.owner });
    }
  }
}

/** The log phase, once for each call. */
export function runLogPhase(call: ProxyCall): void {
  const { ended } = call;
  if (!ended) return;
  for (const steps of [call.program.global.log, call.chain.log]) {
    for (const step of steps) {
      if (!call.takesPart(step)) continue;
      try {
        step.instance.log?.(call, ended);
      } catch (error) {
        call.outer.warn(`the plugin ${step.plugin.name} failed at the end of a call`, { error: toFault(error).message, owner: step.owner });
      }
    }
  }
}
