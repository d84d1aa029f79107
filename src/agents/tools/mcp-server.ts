import type { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Fault, type Json, type McpServer, type TenantContext } from "../../kernel/index.ts";
import { upstreamInvalid } from "../upstream-invalid.ts";
import { cutText, toOneLine } from "../protocols/sentences.ts";
import type { McpFetch } from "./mcp-fetch.ts";
import type { Tool, ToolResult } from "./tool.ts";

/** A server that was greeted and can be asked, for one answer after the other. */
export interface McpLink {
  /** Whether the server keeps a session, in which it can remember who has asked what. */
  readonly hasSession: boolean;
  /** Asks anew which of the allowed tools it has that can be offered. They are called over this answer's connection, as is whatever follows. */
  tools(connection: McpConnection): Promise<readonly McpTool[]>;
  /** Says goodbye over the last answer's connection. What the server says to that changes nothing. */
  close(): Promise<void>;
}

/** A tool as its server describes it, without its place among the others. */
export interface McpTool extends Pick<Tool, "tool" | "run"> {
  readonly description: string;
  readonly parameters: Json;
}

/** How a server is spoken to. */
export interface McpConnection {
  readonly server: McpServer;
  readonly fetch: McpFetch;
  /** What a call carries besides: for whom it is. */
  readonly about: Readonly<Record<string, string>>;
  /** To be greeted or to say what it has, and for one call of a tool. */
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

/** Greets a server. Throws what the guarded client throws, and `upstream_invalid` for whatever is not the protocol. */
export async function greetServer(first: McpConnection): Promise<McpLink> {
  // read when a tenant first has tools, since it takes its time
  const library = await import("@modelcontextprotocol/client");
  let { fetch } = first;
  const transport = new library.StreamableHTTPClientTransport(new URL(first.server.url), {
    fetch: (url, init) => fetch(url, init),
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
  const isRefusal = (error: unknown): boolean => error instanceof library.ProtocolError;
  const link: McpLink = {
    get hasSession() {
      return transport.sessionId !== undefined;
    },
    async tools(connection) {
      ({ fetch } = connection);
      const { server, signal } = connection;
      const { tools } = await usable(signal, () => client.listTools(undefined, { ...timesOf(connection), cacheMode: "refresh" }));
      const allowed = tools.filter(({ name }) => server.tools.includes(name));
      const once = [...new Map(allowed.map((tool) => [tool.name, tool])).values()];
      return once.flatMap(({ name, description = "", inputSchema }) => {
        const parameters = parametersOf(inputSchema);
        if (parameters === undefined) return [];
        const run: Tool["run"] = (input) => callTool(client, connection, { name, arguments: { ...input } }, isRefusal);
        return [{ tool: name, description: cutText(toOneLine(description), DESCRIPTION_MAX), parameters, run }];
      });
    },
    close: () => close(client, transport),
  };
  try {
    await usable(first.signal, () => client.connect(transport, timesOf(first)));
    return link;
  } catch (error) {
    await link.close();
    throw error;
  }
}

function timesOf({ signal, connectMs }: McpConnection): { signal: AbortSignal; timeout: number; maxTotalTimeout: number } {
  return { signal, timeout: connectMs, maxTotalTimeout: connectMs };
}

/** For whom a call is: the tenant's own server can then keep its users apart. */
export function aboutCall({ tenant, requestId }: TenantContext, userId: string): Readonly<Record<string, string>> {
  return { "freehold/tenant": tenant.id, "freehold/user": userId, "freehold/request": requestId };
}

async function callTool(
  client: Client,
  { about, callMs, signal }: McpConnection,
  call: { readonly name: string; readonly arguments: { [name: string]: Json } },
  isRefusal: (error: unknown) => boolean,
): Promise<ToolResult> {
  const options = { signal, timeout: callMs, maxTotalTimeout: callMs };
  const result = await usable(signal, async () => {
    try {
      return await client.callTool({ ...call, _meta: about }, options);
    } catch (error) {
      if (isRefusal(error)) return undefined;
      throw error;
    }
  });
  // it does not take the arguments, for example: that is an answer, and no failure of the server
  if (!result) return { failed: true, text: "The server refuses this call.", citations: [] };
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
