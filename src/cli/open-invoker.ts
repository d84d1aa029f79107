import { Counter } from "prom-client";
import { createInvoker, type Invoker, type InvokerOptions, type NoteToolCall, type SearchPassages } from "../agents/index.ts";
import { systemClock, systemRandom, uuidV7 } from "../kernel/index.ts";
import type { ModelGateway } from "../models/index.ts";
import type { Stores } from "../stores/index.ts";
import type { Audit } from "../tenancy/audit/index.ts";
import { MCP_SECRET, type Registry } from "../tenancy/registry/index.ts";
import type { Telemetry } from "./telemetry.ts";

/** What agents are asked over. */
export interface InvokerRooms extends Pick<InvokerOptions, "egress" | "limits"> {
  readonly registry: Registry;
  readonly stores: Stores;
  readonly modelGateway: ModelGateway;
  readonly audit: Audit;
  readonly telemetry: Telemetry;
}

/** The agents of all tenants, over their documents, their models and their own servers. */
export function openInvoker({ egress, limits, registry, stores, modelGateway, audit, telemetry }: InvokerRooms): Invoker {
  return createInvoker({
    egress,
    limits,
    clock: systemClock,
    agentSecret: (tenant, name) => registry.secret(tenant, name),
    searchPassages: passagesOf(stores),
    mcpSecret: (tenant, server) => registry.secret(tenant, `${MCP_SECRET}${server}`),
    noteToolCall: noteToolCalls(audit, telemetry),
    askModel: (context, body, bounds) =>
      modelGateway.ask("chat-completions", {
        context,
        body: Buffer.from(JSON.stringify(body), "utf8"),
        // each is a request of its own in the ledger
        requestId: uuidV7(systemClock, systemRandom),
        cache: stores.scope(context).cache,
        ...bounds,
      }),
  });
}

/** Passages for the built-in agent: the best points of the tenant's documents. */
function passagesOf(stores: Stores): SearchPassages {
  return async (context, query, limit) => {
    const hits = await stores.scope(context).search.query({ query, limit, filter: { kind: "document" } });
    return hits.map(({ ref, title, text, score }) => ({ documentId: ref, title, text, score }));
  };
}

/** Each call is an entry of the tenant's trail, which says whose message it was for. */
function noteToolCalls(audit: Pick<Audit, "record">, { registry }: Telemetry): NoteToolCall {
  const calls = new Counter({
    name: "freehold_agent_tool_calls_total",
    help: "Calls of tools by the built-in agent, by how they ended.",
    labelNames: ["outcome"],
    registers: [registry],
  });
  return ({ context: { tenant, principal, requestId }, server, tool, outcome, bytes }) => {
    calls.inc({ outcome });
    audit.record({
      action: tool === "" ? "agent_tools_unavailable" : "agent_tool_called",
      reason: outcome,
      actor: principal.id,
      actorTenant: { id: tenant.id, uuid: tenant.uuid },
      targetTenant: null,
      requestId,
      source: "agent",
      detail: { server, tool, bytes },
    });
  };
}
