import type { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Fault, type Json, type McpServer, type TenantContext } from "../../kernel/index.ts";
import { upstreamInvalid } from "../upstream-invalid.ts";
import { cutText, toOneLine } from "../protocols/sentences.ts";
import type { McpFetch } from "./mcp-fetch.ts";
import type { Tool, ToolResult } from "./tool.ts";

/** A server that is connected to for one answer. */
export interface ConnectedServer {
  /** Those of the allowed tools that it has and that can be offered. */
  readonly tools: readonly Omit<McpTool, "server">[];
  /** Says goodbye. What the server says to that changes nothing. */
  close(): Promise<void>;
}

/** A tool as its server describes it, without its place among the others. */
export interface McpTool extends Pick<Tool, "tool" | "server" | "run"> {
  readonly description: string;
  readonly parameters: Json;
}

/** How a server is spoken to. */
export interface McpConnection {
  readonly server: McpServer;
  readonly fetch: McpFetch;
  /** What a call carries besides: for whom it is. */
  readonly about: Readonly<Record<string, string>>;
  /** To say what it has, and for one call of a tool. */
  readonly connectMs: number;
  readonly callMs: number;
  /** Aborts with the answer, and when the server can be of no more use. */
  readonly signal: AbortSignal;
}

/** The library's own code. */
const TIMED_OUT = "REQUEST_TIMEOUT";
const PAGES_MAX = 8;
const DESCRIPTION_MAX = 1_024;
/** Characters of a tool's schema. */
const PARAMETERS_MAX = 16_384;

/** Connects to a server and asks for its tools. Throws what the guarded client throws, and `upstream_invalid` for whatever is not the protocol. */
export async function connectToServer(connection: McpConnection): Promise<ConnectedServer> {
  const { server, fetch, connectMs, signal } = connection;
  // read when a tenant first has tools, since it takes its time
  const library = await import("@modelcontextprotocol/client");
  const transport = new library.StreamableHTTPClientTransport(new URL(server.url), {
    fetch,
    requestInit: { redirect: "manual" },
    // a stream that breaks off has failed
    reconnectionOptions: { maxRetries: 0, initialReconnectionDelay: 1, maxReconnectionDelay: 1, reconnectionDelayGrowFactor: 1 },
  });
  const client = new library.Client(
    { name: "freehold", version: "1" },
    {
      // it can do nothing for a server, so a server can ask for nothing
      capabilities: {},
      versionNegotiation: { mode: "auto" },
      inputRequired: { autoFulfill: false },
      listMaxPages: PAGES_MAX,
      // patterns of a stranger's schema are not run over a stranger's text: what is structured is not used
      jsonSchemaValidator: { getValidator: () => (data) => ({ valid: true, data: data as never, errorMessage: undefined }) },
    },
  );
  const options = { signal, timeout: connectMs, maxTotalTimeout: connectMs };
  try {
    await usable(signal, () => client.connect(transport, options));
    const { tools } = await usable(signal, () => client.listTools(undefined, options));
    const allowed = tools.filter(({ name }) => server.tools.includes(name));
    const once = [...new Map(allowed.map((tool) => [tool.name, tool])).values()];
    return {
      tools: once.flatMap(({ name, description = "", inputSchema }) => {
        const parameters = parametersOf(inputSchema);
        if (parameters === undefined) return [];
        const run: Tool["run"] = (input) => callTool(client, connection, name, input);
        return [{ tool: name, description: cutText(toOneLine(description), DESCRIPTION_MAX), parameters, run }];
      }),
      close: () => close(client, transport),
    };
  } catch (error) {
    await close(client, transport);
    throw error;
  }
}

/** For whom a call is: the tenant's own server can then keep its users apart. */
export function aboutCall({ tenant, requestId }: TenantContext, userId: string): Readonly<Record<string, string>> {
  return { "freehold/tenant": tenant.id, "freehold/user": userId, "freehold/request": requestId };
}

async function callTool(
  client: Client,
  { about, callMs, signal }: McpConnection,
  name: string,
  input: { readonly [name: string]: Json },
): Promise<ToolResult> {
  const result = await usable(signal, () =>
    client.callTool({ name, arguments: { ...input }, _meta: about }, { signal, timeout: callMs, maxTotalTimeout: callMs }),
  );
  const texts = result.content.map((part) => (part.type === "text" ? part.text : `[${part.type}, which cannot be shown]`));
  return { failed: result.isError === true, text: texts.join("\n"), citations: [] };
}

/** The schema, where it is one of an object and not too large. */
function parametersOf(schema: unknown): Json | undefined {
  const text = JSON.stringify(schema);
  return text.length <= PARAMETERS_MAX ? (JSON.parse(text) as Json) : undefined;
}

async function close(client: Client, transport: StreamableHTTPClientTransport): Promise<void> {
  try {
    await transport.terminateSession();
    await client.close();
  } catch {
    // it is of no use any more either way
  }
}

/** The library's errors repeat the server's own words, which are for nobody. */
async function usable<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error && error.cause instanceof Fault ? error.cause : error;
    if (cause instanceof Fault) throw cause;
    if (error instanceof Error && "code" in error && error.code === TIMED_OUT)
      throw new Fault("upstream_timeout", "an MCP server did not answer in time");
    throw upstreamInvalid("The MCP server did not answer as the protocol demands.");
  }
}
