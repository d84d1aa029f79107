import { type Json, type McpServer, type Secret, type Tenant, toFault } from "../../kernel/index.ts";
import type { Egress } from "../../wire/index.ts";
import { contextFields } from "../protocols/agent-request.ts";
import type { Invocation } from "../protocols/protocol.ts";
import { type SearchPassages, toCitation } from "../protocols/passages.ts";
import { createMcpFetch } from "./mcp-fetch.ts";
import type { LentServer, McpPool } from "./mcp-pool.ts";
import { aboutCall, type McpConnection } from "./mcp-server.ts";
import type { NoteToolCall, Tool } from "./tool.ts";

/** What tools are found with. */
export interface ToolPorts {
  readonly egress: Egress;
  readonly searchPassages: SearchPassages;
  /** The header field's value that one of the tenant's MCP servers is called with; undefined where it has none. */
  readonly mcpSecret: (tenant: Tenant, server: string) => Promise<Secret | undefined>;
  readonly noteToolCall: NoteToolCall;
  readonly mcpPool: McpPool;
}

/** The tools of one answer. */
export interface Toolbox {
  readonly tools: ReadonlyMap<string, Tool>;
  /** Servers that have given none. */
  readonly missing: readonly string[];
  /** Gives the servers back. */
  close(): void;
}

const CONNECT_MS_MAX = 10_000;
const CALL_MS_MAX = 60_000;
const PASSAGES_MAX = 8;
const NAME_MAX = 64;
/** Of an answer's tools. */
const TOOLS_MAX = 64;

/** The tenant's documents, and the tools of its servers; a server that cannot be used takes nothing away but its own. */
export async function openToolbox(ports: ToolPorts, invocation: Invocation, signal: AbortSignal): Promise<Toolbox> {
  const { context } = invocation;
  const { mcpServers } = context.tenant.agentConfig;
  const opened = await Promise.all(mcpServers.map((server) => openServer(ports, invocation, server, signal)));
  const connected = opened.flatMap((each, at) => (each ? [{ ...each, server: mcpServers[at]?.name ?? "" }] : []));
  const tools = new Map<string, Tool>();
  const add = (tool: Tool): void => void (tools.size < TOOLS_MAX && tools.set(tool.offer.name, tool));
  add(searchTool(ports, invocation));
  for (const { server, tools: own } of connected) {
    for (const { description, parameters, ...tool } of own) {
      const name = freeName(`${server}__${tool.tool}`, tools);
      add({ ...tool, server, offer: { name, description, parameters } });
    }
  }
  return {
    tools,
    missing: mcpServers.flatMap(({ name }, at) => (opened[at] ? [] : [name])),
    close() {
      for (const server of connected) server.giveBack();
    },
  };
}

async function openServer(
  { egress, mcpSecret, mcpPool, noteToolCall }: ToolPorts,
  { context, message }: Invocation,
  server: McpServer,
  signal: AbortSignal,
): Promise<LentServer | undefined> {
  const { tenant } = context;
  const { timeout } = tenant.agentConfig;
  try {
    const url = egress.check(server.url);
    // one that has a secret is never called without it
    const secret = tenant.agentSecrets.mcp.includes(server.name) ? await mcpSecret(tenant, server.name) : undefined;
    const own = { ...(secret && { [server.secretHeader]: secret.reveal() }) };
    const headers = { ...contextFields(context), ...own };
    const connect = (): McpConnection => {
      const broken = new AbortController();
      const onBroken = (reason: unknown): void => broken.abort(reason);
      return {
        server,
        fetch: createMcpFetch({ egress, tenant, url, headers, timeoutMs: timeout, onBroken }),
        about: aboutCall(context, message.userId),
        // parts of the answer's own time, so that something is left to answer in
        connectMs: Math.min(CONNECT_MS_MAX, timeout / 4),
        callMs: Math.min(CALL_MS_MAX, timeout / 2),
        signal: AbortSignal.any([signal, broken.signal]),
      };
    };
    return await mcpPool.lend({ tenantUuid: tenant.uuid, userId: message.userId, server, credentials: own, connect });
  } catch (error) {
    signal.throwIfAborted();
    noteToolCall({ context, server: server.name, tool: "", outcome: toFault(error).code, bytes: 0 });
    return undefined;
  }
}

/** The tenant's own documents, as the search gives them for this very context. */
function searchTool({ searchPassages }: ToolPorts, { context }: Invocation): Tool {
  const parameters: Json = {
    type: "object",
    properties: { query: { type: "string", description: "What to look for, in a few words." } },
    required: ["query"],
    additionalProperties: false,
  };
  return {
    server: "freehold",
    tool: "search_documents",
    offer: { name: "search_documents", description: "Searches the organisation's documents. The best passages come first.", parameters },
    async run({ query }) {
      if (typeof query !== "string" || query === "") return { failed: true, text: "Give the query, as text.", citations: [] };
      const found = await searchPassages(context, query, PASSAGES_MAX);
      const citations = found.slice(0, PASSAGES_MAX).map(toCitation);
      return { failed: false, text: JSON.stringify(citations.map(({ title, text }) => ({ title, text }))), citations };
    },
  };
}

/** A name that models take and that no other tool of the answer has. */
function freeName(wanted: string, taken: ReadonlyMap<string, unknown>): string {
  const name = wanted.replaceAll(/[^A-Za-z0-9_-]/g, "_").slice(0, NAME_MAX);
  if (!taken.has(name)) return name;
  for (let n = 2; ; n++) {
    const other = `${name.slice(0, NAME_MAX - 4)}_${n}`;
    if (!taken.has(other)) return other;
  }
}
