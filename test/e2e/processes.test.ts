import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { Agent, createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { freshDatabase } from "../support/databases.ts";
import { temporaryFolder } from "../support/engines.ts";
import { until } from "../support/until.ts";
import { freehold, type Running, up } from "./program.ts";

const PROCESSES = 2;
const CALLERS = 8;
const LIMIT = 40;
const FAILURES_MAX = 20;

/** One answer, or what went wrong. */
interface Outcome {
  readonly status: number;
  readonly error?: string;
}

describe("several processes on one port", () => {
  const folder = temporaryFolder();
  let running: Running;
  let upstream: Server;
  let reached = 0;

  before(async () => {
    upstream = createServer((_request, response) => {
      reached++;
      response.end("here");
    }).listen(0, "127.0.0.1");
    await once(upstream, "listening");
    const { port } = upstream.address() as AddressInfo; // it listens on TCP
    const nodes = { [`127.0.0.1:${port}`]: 1 };
    const open = { "tenant-resolver": { required: false } };
    const limited = { "limit-count": { count: LIMIT, time_window: 3_600, key: "tenant_id", rejected_code: 429 } };
    const routes = [
      { id: "open", uri: "/open", plugins: open, upstream: { type: "roundrobin", nodes } },
      { id: "limited", uri: "/limited", plugins: limited, upstream: { type: "roundrobin", nodes } },
    ];
    writeFileSync(path.join(folder, "gateway.yaml"), JSON.stringify({ routes }));
    const identity = { failedCredentials: { max: FAILURES_MAX, windowSeconds: 3_600 } };
    const settings = { identity, gateway: { file: path.join(folder, "gateway.yaml"), processes: PROCESSES }, logLevel: "error" };
    writeFileSync(path.join(folder, "freehold.yaml"), JSON.stringify(settings));
    running = await up(["--database-url", await freshDatabase(), "--data", path.join(folder, "data")], { cwd: folder });
    await until("all processes", () => childrenOf(running.pid).length === PROCESSES);
  });
  after(async () => {
    await running.stop();
    upstream.close();
  });

  test("are replaced one after the other without a request that is lost", async () => {
    const former = childrenOf(running.pid);
    const load = startLoad(`${running.url}/open`);
    await until("requests before", () => load.outcomes.length > 200);
    process.kill(running.pid, "SIGHUP");
    await until("all of them are others", () => running.stderr().includes("All processes were replaced"));
    const during = load.outcomes.length;
    await until("requests after", () => load.outcomes.length > during + 200);
    await load.end();
    assert.deepEqual(
      load.outcomes.filter(({ status }) => status !== 200),
      [],
    );
    const now = childrenOf(running.pid);
    assert.equal(now.length, PROCESSES);
    assert.deepEqual(
      now.filter((pid) => former.includes(pid)),
      [],
    );
  });

  test("share the limits: what one has let through, the other counts", async () => {
    const token = running.tenants.find(({ id }) => id === "acme")?.token ?? "";
    reached = 0;
    const outcomes: Outcome[] = [];
    // a connection for each, so that they come to all processes
    for (let at = 0; at < LIMIT * 3; at++)
      outcomes.push(await get(`${running.url}/limited`, undefined, { authorization: `Bearer ${token}` }));
    assert.equal(outcomes.filter(({ status }) => status === 200).length, reached);
    assert.equal(reached, LIMIT);
    assert.ok(
      outcomes.every(({ status }) => status === 200 || status === 429),
      JSON.stringify(outcomes),
    );
  });

  test("share the count of failed credentials", async () => {
    const outcomes: Outcome[] = [];
    for (let at = 0; at < FAILURES_MAX * 4; at++)
      outcomes.push(await get(`${running.url}/limited`, undefined, { authorization: `Bearer guess-${at}` }));
    const refused = outcomes.filter(({ status }) => status === 401).length;
    assert.equal(outcomes.filter(({ status }) => status === 429).length, outcomes.length - refused);
    // each for itself would have let as many more through
    assert.ok(refused >= FAILURES_MAX / PROCESSES && refused <= FAILURES_MAX, `${refused} were refused as failed`);
  });

  test("are one to whoever reads the metrics", async () => {
    const answer = await fetch(`${running.adminUrl}/metrics`);
    const text = await answer.text();
    const counted = [...text.matchAll(/^freehold_proxied_requests_total\{route="limited",status="\d+"\} (\d+)$/gm)];
    assert.equal(
      counted.reduce((sum, [, count]) => sum + Number(count), 0),
      LIMIT * 3 + FAILURES_MAX * 4,
    );
  });

  test("are as many as before after one was killed, and the port is open all the time", async () => {
    const [first = 0] = childrenOf(running.pid);
    process.kill(first, "SIGKILL");
    await until("another one", () => {
      const now = childrenOf(running.pid);
      return now.length === PROCESSES && !now.includes(first);
    });
    await until("its answer", async () => (await get(`${running.url}/open`)).status === 200);
  });
});

test("several processes on the embedded database are refused, with what to do", async () => {
  const folder = temporaryFolder();
  writeFileSync(path.join(folder, "freehold.yaml"), "gateway: {processes: 2}\n");
  const { code, stderr } = await freehold(["up", "--json", "--port", "0", "--admin-port", "0"], { cwd: folder });
  assert.equal(code, 1);
  assert.match(stderr, /gateway\.processes: the embedded database serves one process: set database\.url/);
});

/** Linux only, like the program's own tests of processes. */
function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}

function startLoad(url: string): { readonly outcomes: Outcome[]; end(): Promise<void> } {
  const outcomes: Outcome[] = [];
  const agent = new Agent({ keepAlive: true, maxSockets: CALLERS });
  const ending = new AbortController();
  const loop = async (): Promise<void> => {
    while (!ending.signal.aborted) outcomes.push(await get(url, agent));
  };
  const loops = Array.from({ length: CALLERS }, loop);
  return {
    outcomes,
    async end() {
      ending.abort();
      await Promise.all(loops);
      agent.destroy();
    },
  };
}

function get(url: string, agent?: Agent, headers: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    const asked = request(url, { ...(agent ? { agent } : { agent: false }), headers }, (response) => {
      response.resume();
      response.on("end", () => resolve({ status: response.statusCode ?? 0 }));
      response.on("error", (error) => resolve({ status: 0, error: error.message }));
    });
    asked.on("error", (error) => resolve({ status: 0, error: error.message }));
    asked.end();
  });
}
