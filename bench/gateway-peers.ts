import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { canConnect, freePort } from "../test/support/ports.ts";
import { until } from "../test/support/until.ts";
import { CORES, endProcess, nextMessage, onCore } from "./child.ts";

const PEERS = fileURLToPath(new URL("./peers/", import.meta.url));
const READY_TIMEOUT_MS = 15_000;
/** That a proxy in Node opens to its upstream. */
const CONNECTIONS = 64;
/** With its head about 280 bytes, as a short chat answer. */
const ANSWER = '{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello."}}]}';

/** A gateway beside ours, or ours: where it listens and which processes do its work. */
export interface Side {
  readonly name: string;
  readonly port: number;
  readonly pids: readonly number[];
}

/** What all of them send their requests to: nginx that answers by itself, on the core of the others. */
export async function startUpstream(ends: AsyncDisposableStack, folder: string): Promise<number> {
  const port = await freePort();
  const server = `listen 127.0.0.1:${port}; location / { default_type application/json; return 200 '${ANSWER}'; }`;
  await startNginx(ends, { folder, name: "upstream", core: CORES.others, http: `server { ${server} }`, port });
  return port;
}

/** nginx as a proxy with kept-alive upstream connections and without a log. */
export async function startNginxProxy(ends: AsyncDisposableStack, folder: string, upstream: number): Promise<Side> {
  const port = await freePort();
  const http = `upstream u { server 127.0.0.1:${upstream}; keepalive 128; keepalive_requests 1000000; }
    server { listen 127.0.0.1:${port}; location / { proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; } }`;
  const pid = await startNginx(ends, { folder, name: "nginx", core: CORES.measured, http, port });
  return { name: "nginx", port, pids: [pid] };
}

/** HAProxy with one thread. */
export async function startHaproxy(ends: AsyncDisposableStack, folder: string, upstream: number): Promise<Side> {
  const port = await freePort();
  const file = path.join(folder, "haproxy.cfg");
  const config = `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend f
  bind 127.0.0.1:${port}
  default_backend b
backend b
  server s 127.0.0.1:${upstream}
`;
  writeFileSync(file, config);
  const child = start(ends, ["haproxy", "-db", "-f", file]);
  await listening(port);
  return { name: "haproxy", port, pids: [pidOf(child)] };
}

/** The Node gateways beside ours; installed into `bench/peers` when they are missing. */
export async function startNodePeers(ends: AsyncDisposableStack, upstream: number): Promise<readonly Side[]> {
  return [
    await startBareUndici(ends, upstream),
    await startNodePeer(ends, "fastify-http-proxy", "fastify.mjs", upstream),
    await startPortkey(ends),
  ];
}

/** The shortest proxy that node:http and undici make. */
export async function startBareUndici(ends: AsyncDisposableStack, upstream: number, connections = CONNECTIONS): Promise<Side> {
  return await startNodePeer(ends, "node-http-undici", "node-undici.mjs", upstream, connections);
}

/** Portkey's gateway, which is told with each request where to send it. */
export async function startPortkey(ends: AsyncDisposableStack): Promise<Side> {
  installPeers();
  const port = await freePort();
  const program = path.join(PEERS, "node_modules/@portkey-ai/gateway/build/start-server.js");
  const portkey = start(ends, [process.execPath, program, `--port=${port}`, "--headless"]);
  await listening(port);
  return { name: "portkey", port, pids: [pidOf(portkey)] };
}

async function startNodePeer(
  ends: AsyncDisposableStack,
  name: string,
  file: string,
  upstream: number,
  connections = CONNECTIONS,
): Promise<Side> {
  installPeers();
  const child = start(ends, [process.execPath, path.join(PEERS, file), String(upstream), String(connections)], true);
  return { name, port: await nextMessage<number>(child), pids: [pidOf(child)] };
}

function installPeers(): void {
  if (!existsSync(path.join(PEERS, "node_modules"))) execFileSync("npm", ["ci", "--ignore-scripts"], { cwd: PEERS, stdio: "ignore" });
}

interface NginxOptions {
  readonly folder: string;
  readonly name: string;
  readonly core: number;
  readonly http: string;
  readonly port: number;
}

/** One process and no master, so that its process id is the one that works. */
async function startNginx(ends: AsyncDisposableStack, { folder, name, core, http, port }: NginxOptions): Promise<number> {
  const file = path.join(folder, `${name}.conf`);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((kind) => `${kind}_temp_path ${folder}/${name}-${kind};`)
    .join(" ");
  const config = `daemon off; master_process off; pid ${folder}/${name}.pid; error_log stderr crit;
  events { worker_connections 8192; }
  http { access_log off; keepalive_requests 1000000; ${temporary} ${http} }`;
  writeFileSync(file, config);
  const child = start(ends, ["nginx", "-e", "stderr", "-c", file], false, core);
  await listening(port);
  return pidOf(child);
}

function start(ends: AsyncDisposableStack, command: readonly string[], ipc = false, core: number = CORES.measured): ChildProcess {
  const [file = "", ...rest] = onCore(core, command);
  const child = spawn(file, rest, { stdio: ["ignore", "ignore", "inherit", ...(ipc ? (["ipc"] as const) : [])] });
  child.on("error", (error) => {
    throw new Error(`${command[0] ?? ""} cannot be started (Debian: apt-get install nginx-light haproxy wrk): ${error.message}`);
  });
  ends.defer(() => endProcess(child));
  return child;
}

/** taskset replaces itself by what it starts, so the child's own id is right with it and without. */
function pidOf({ pid, spawnfile }: ChildProcess): number {
  if (pid === undefined) throw new Error(`${spawnfile} did not start`);
  return pid;
}

async function listening(port: number): Promise<void> {
  await until(`somebody on port ${port}`, () => canConnect(port), READY_TIMEOUT_MS);
}
