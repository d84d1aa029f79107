import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Json } from "../src/kernel/index.ts";
import { callApi } from "../src/wire/index.ts";
import { endProcess, onCore } from "./child.ts";

/** How to start. */
export interface FreeholdOptions {
  /** The data folder. */
  readonly folder: string;
  /** PostgreSQL instead of the embedded database. */
  readonly databaseUrl?: string;
  /** Where it is to stay. */
  readonly core?: number;
  /** Whether it makes the demo tenants, as it does where nothing else is said. */
  readonly demo: boolean;
  /** A settings file. */
  readonly config?: string;
  /** The lines of the log go nowhere; `silent` unless set. */
  readonly logLevel?: string;
}

/** A Freehold in a process of its own, started as a user does. It ends with the stack. */
export interface FreeholdProcess {
  readonly pid: number;
  readonly url: string;
  readonly adminUrl: string;
  /** From the start of the process until it says that it is ready. */
  readonly readyAfterMs: number;
  readonly tenants: readonly { readonly id: string; readonly token: string }[];
  /** An operator's call; throws unless it is answered with success. */
  manage(method: "POST" | "PUT" | "PATCH", route: string, body: Json): Promise<JsonObject>;
  /** A tenant's call. */
  call(token: string, route: string, body: Json): Promise<JsonObject>;
  close(): Promise<void>;
}

/** What a call here is answered with. */
export type JsonObject = Readonly<Record<string, Json>>;

/** The text under this name of an answer. */
export function textOf(answer: JsonObject, name: string): string {
  const value = answer[name];
  if (typeof value !== "string") throw new Error(`an answer has no text under ${name}`);
  return value;
}

/** The line that `up --json` prints when it is ready. */
interface ReadyLine {
  readonly url: string;
  readonly adminUrl: string;
  readonly tenants: readonly { readonly id: string; readonly token: string }[];
  readonly platformToken: string;
}

const PROGRAM = fileURLToPath(new URL("../bin/freehold.js", import.meta.url));

/** Starts `freehold up` on free ports and waits until it is ready. */
export async function startFreehold(ends: AsyncDisposableStack, options: FreeholdOptions): Promise<FreeholdProcess> {
  const { folder, databaseUrl, core, demo, config, logLevel = "silent" } = options;
  const flags = ["--json", "--log-level", logLevel, "--port", "0", "--admin-port", "0", "--data", folder, demo ? "--demo" : "--no-demo"];
  if (config !== undefined) flags.push("--config", config);
  const database = databaseUrl === undefined ? [] : ["--database-url", databaseUrl];
  const [command = "", ...rest] = onCore(core, [process.execPath, PROGRAM, "up", ...flags, ...database]);
  const startedMs = performance.now();
  const child = spawn(command, rest, {
    cwd: folder,
    env: ownEnvironment(),
    stdio: ["ignore", "pipe", logLevel === "silent" ? "inherit" : "ignore"],
  });
  ends.defer(() => endProcess(child));
  const lines = createInterface({ input: child.stdout });
  let ready: ReadyLine | undefined;
  for await (const line of lines) {
    ready = JSON.parse(line) as ReadyLine; // printed by our own program
    break;
  }
  if (!ready || child.pid === undefined) throw new Error("freehold ended before it was ready");
  const { url, adminUrl, tenants, platformToken } = ready;
  return {
    pid: child.pid,
    url,
    adminUrl,
    tenants,
    readyAfterMs: performance.now() - startedMs,
    manage: async (method, route, body) => await succeed(method, adminUrl + route, platformToken, body),
    call: async (token, route, body) => await succeed("POST", url + route, token, body),
    close: async () => await endProcess(child),
  };
}

async function succeed(method: "POST" | "PUT" | "PATCH", url: string, token: string, body: Json): Promise<JsonObject> {
  const answer = await callApi({ url, method, token, body });
  if (answer.status >= 300) throw new Error(`${method} ${url} answered ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body as JsonObject; // what is called here answers with an object
}

/** The environment without what would change how Freehold starts. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith("FREEHOLD_") && name !== "AGENT_INVOKE_URL");
  return Object.fromEntries(entries);
}
