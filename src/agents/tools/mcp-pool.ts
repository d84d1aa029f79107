import { createHash } from "node:crypto";
import { BoundedMap, type Clock, type McpServer, toFault } from "../../kernel/index.ts";
import { type Breaker, type CallOutcome, outcomeOf } from "../breaker.ts";
import { greetServer, type McpConnection, type McpLink, type McpTool } from "./mcp-server.ts";

/** For whom a server is wanted, and how it is spoken to. */
export interface McpOrder {
  readonly tenantUuid: string;
  readonly userId: string;
  readonly server: McpServer;
  /** The fields that prove to the server who calls. */
  readonly credentials: Readonly<Record<string, string>>;
  /** A connection of this answer's own, with bounds that begin anew. */
  readonly connect: () => McpConnection;
}

/** A server for one answer. */
export interface LentServer {
  readonly tools: readonly McpTool[];
  /** To be called once, when the answer is over, however it ended. */
  giveBack(): void;
}

/** Servers of tenants that were greeted, one at most kept for each tenant and server. */
export interface McpPool {
  /**
   * Lends a server to one answer at a time: the kept one, or one that is greeted anew. A server with sessions goes on with a session for the same
   * user only. Throws `circuit_open` where the server has failed too often, and what greeting throws.
   */
  lend(order: McpOrder): Promise<LentServer>;
  /** Says goodbye to all that are kept. */
  close(): Promise<void>;
}

/** How long a server is kept that nobody asks. */
export const MCP_KEPT_MS = 60_000;
/** Servers that are kept, of all tenants: the one not used for longest goes first. */
const KEPT_MAX = 1_000;
const LOOK_MS = 10_000;

interface Kept {
  readonly link: McpLink;
  readonly userId: string;
  /** A digest of the server's settings and credentials: with others it is another server. */
  readonly identity: string;
  readonly sinceMs: number;
}

/** A pool that keeps nothing yet. Circuits are the tenant's own, one for each address. */
export function createMcpPool({ clock, breaker }: { readonly clock: Clock; readonly breaker: Breaker }): McpPool {
  return new Pool(clock, breaker);
}

class Pool implements McpPool {
  readonly #clock: Clock;
  readonly #breaker: Breaker;
  readonly #kept = new BoundedMap<string, Kept>(KEPT_MAX, (_key, { link }) => void link.close());
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(clock: Clock, breaker: Breaker) {
    this.#clock = clock;
    this.#breaker = breaker;
  }

  async lend(order: McpOrder): Promise<LentServer> {
    this.#endIdle();
    const pass = this.#breaker.enter(order.tenantUuid, order.server.url);
    let outcome: CallOutcome = "succeeded";
    const watched = async <T>(work: () => Promise<T>): Promise<T> => {
      try {
        return await work();
      } catch (error) {
        if (outcome !== "failed") outcome = outcomeOf(error);
        throw error;
      }
    };
    try {
      const { link, tools, connection } = await watched(() => this.#open(order));
      return {
        tools: tools.map((tool) => ({ ...tool, run: (input) => watched(() => tool.run(input)) })),
        giveBack: () => {
          pass.end(outcome);
          if (outcome === "succeeded" && !connection.signal.aborted) this.#keep(order, link);
          else void link.close();
        },
      };
    } catch (error) {
      pass.end(outcome);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    const links = [...this.#kept.entries()].map(([, { link }]) => link);
    this.#kept.clear();
    await Promise.all(links.map((link) => link.close()));
  }

  async #open(order: McpOrder): Promise<{ link: McpLink; tools: readonly McpTool[]; connection: McpConnection }> {
    const kept = this.#take(order);
    const connection = order.connect();
    if (kept) {
      try {
        return { link: kept, tools: await kept.tools(connection), connection };
      } catch (error) {
        void kept.close();
        // a session can have ended meanwhile; whoever does not answer at all is not asked again
        if (connection.signal.aborted || toFault(error).code !== "upstream_invalid") throw error;
      }
    }
    return await this.#greet(order.connect());
  }

  async #greet(connection: McpConnection): Promise<{ link: McpLink; tools: readonly McpTool[]; connection: McpConnection }> {
    const link = await greetServer(connection);
    try {
      return { link, tools: await link.tools(connection), connection };
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  /** The kept one, which is then nobody else's, if it is one for this answer. */
  #take(order: McpOrder): McpLink | undefined {
    const key = keyOf(order);
    const kept = this.#kept.peek(key);
    if (!kept) return undefined;
    this.#kept.delete(key);
    if (kept.identity === identityOf(order) && (!kept.link.hasSession || kept.userId === order.userId)) return kept.link;
    void kept.link.close();
    return undefined;
  }

  #keep(order: McpOrder, link: McpLink): void {
    const key = keyOf(order);
    if (this.#closed || this.#kept.peek(key)) {
      void link.close(); // another answer's was given back first
      return;
    }
    this.#kept.set(key, { link, userId: order.userId, identity: identityOf(order), sinceMs: this.#clock.monotonic() });
    this.#timer ??= setInterval(() => this.#endIdle(), LOOK_MS).unref();
  }

  #endIdle(): void {
    const bound = this.#clock.monotonic() - MCP_KEPT_MS;
    for (const [key, { link, sinceMs }] of this.#kept.entries()) {
      if (sinceMs > bound) return; // the others are younger
      this.#kept.delete(key);
      void link.close();
    }
    if (this.#kept.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function keyOf({ tenantUuid, server: { name } }: McpOrder): string {
  return JSON.stringify([tenantUuid, name]);
}

function identityOf({ server, credentials }: McpOrder): string {
  return createHash("sha256")
    .update(JSON.stringify([server, credentials]))
    .digest("base64url");
}
