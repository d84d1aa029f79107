import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createKeyring, Fault, FAULTS, type Json, systemClock, systemRandom } from "../kernel/index.ts";
import { createTokenIssuer, ownSigningKey } from "../tenancy/identity/index.ts";
import { callApi, downloadFromApi } from "../wire/index.ts";
import { createApp } from "./app.ts";
import { loadRootKey, ROOT_KEY_VARIABLE } from "./root-key.ts";
import { type CommonFlags, readSettings } from "./options.ts";
import { readVariable, type Settings } from "./settings.ts";

const RUN_FILE = "run.json";
const TOKEN_LIFETIME_MS = 5 * 60_000;

/** Where a running process can be reached: for commands on the same machine. */
interface RunFile {
  readonly pid: number;
  readonly url: string;
  readonly adminUrl: string;
}

/** Calls to the management API of an installation. */
export interface Management {
  /** The JSON of the answer. A refusal is thrown as the Fault that it names. */
  call(
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    route: string,
    body?: Json,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Json>;
  /** A call of somebody else, with this token, to where tenants call. A refusal is thrown as above. */
  as(token: string, method: "GET" | "POST", route: string, body?: Json): Promise<Json>;
  /** Sends bytes as they are. */
  put(route: string, bytes: Uint8Array): Promise<Json>;
  /** The bytes of a large answer as they come. */
  download(route: string): Promise<AsyncIterable<Uint8Array>>;
}

/** Writes where this process listens into the data folder; the result takes it away again. */
export function announce(settings: Settings, urls: { readonly url: string; readonly adminUrl: string }): () => void {
  const file = path.join(settings.data, RUN_FILE);
  const run: RunFile = { pid: process.pid, url: urls.url, adminUrl: urls.adminUrl };
  mkdirSync(settings.data, { recursive: true, mode: 0o700 }); // with PostgreSQL nothing else has made it
  writeFileSync(file, JSON.stringify(run), { mode: 0o600 });
  return () => rmSync(file, { force: true });
}

/**
 * Runs `work` against the installation that the flags name: through the process that serves it where one runs, and otherwise by opening
 * it for the time of the command. Either way the calls are the same and pass the same checks.
 */
export async function withManagement<T>(flags: CommonFlags, work: (management: Management) => Promise<T>): Promise<T> {
  const settings = readSettings({ ...flags, port: "0", adminPort: "0", logLevel: "error", demo: false }, process.env);
  const rootKey = await loadRootKey(settings, process.env[ROOT_KEY_VARIABLE], systemRandom);
  const running = await findRunning(settings);
  if (running) return await work(managementOf(running, rootKey));
  const app = await createApp({ settings, rootKey, readVariable });
  try {
    return await work(managementOf(app, rootKey));
  } finally {
    await app.close();
  }
}

/** The management API at these addresses, called as an operator that the root key vouches for. */
export function managementOf({ url, adminUrl }: Pick<RunFile, "url" | "adminUrl">, rootKey: Buffer): Management {
  const tokens = createTokenIssuer(ownSigningKey(createKeyring(rootKey)), systemClock);
  // for each call a new one: what is followed to its end can take longer than any
  const token = (): string => tokens.issuePlatform({ sub: "command-line", roles: ["admin"], lifetimeMs: TOKEN_LIFETIME_MS });
  const taken = ({ status, body }: { readonly status: number; readonly body: Json }): Json => {
    if (status < 400) return body;
    throw toFault(body);
  };
  return {
    call: async (method, route, body, headers = {}) =>
      taken(await callApi({ url: adminUrl + route, method, token: token(), headers, ...(body !== undefined && { body }) })),
    as: async (own, method, route, body) =>
      taken(await callApi({ url: url + route, method, token: own, ...(body !== undefined && { body }) })),
    put: async (route, bytes) => taken(await callApi({ url: adminUrl + route, method: "PUT", token: token(), bytes })),
    async download(route) {
      const answer = await downloadFromApi({ url: adminUrl + route, method: "GET", token: token() });
      if ("bytes" in answer) return answer.bytes;
      throw toFault(answer.problem);
    },
  };
}

/** The process that serves this data folder, if it answers. A file that a killed process left behind names none. */
export async function findRunning(settings: Settings): Promise<RunFile | undefined> {
  try {
    const run = JSON.parse(readFileSync(path.join(settings.data, RUN_FILE), "utf8")) as RunFile; // written by `announce`
    const health = await callApi({ url: `${run.adminUrl}/health`, method: "GET" });
    return health.status === 200 ? run : undefined;
  } catch {
    return undefined;
  }
}

/** What a refusal says, in whichever shape. */
interface Said {
  readonly code?: keyof typeof FAULTS;
  readonly title?: string;
  readonly detail?: string;
  readonly error_msg?: string;
  readonly message?: string;
}

function toFault(problem: Json): Fault {
  // our own API; where it speaks as APISIX's admin API or as OpenAI's does, the detail has that one's name
  const body = (problem ?? {}) as Said & { error?: Said };
  const { code, title, ...said } = body.error ?? body;
  const detail = said.detail ?? said.error_msg ?? said.message;
  const known = code !== undefined && code in FAULTS ? code : "internal";
  return new Fault(known, title ?? known, { public: { detail: detail ?? title ?? known } });
}
