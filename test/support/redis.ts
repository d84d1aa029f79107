import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { canConnect, freePort } from "./ports.ts";
import { until } from "./until.ts";

/** A Redis server for tests, which remembers nothing when it ends. */
export interface TestRedis {
  readonly url: string;
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>;
  /** Starts it again on the same port, empty. */
  start(): Promise<void>;
  /** Stands still, with its connections open, until `resume`. */
  pause(): void;
  resume(): void;
}

/** Starts the installed `redis-server` on a free port of this machine only. Whoever starts it kills it. */
export async function startRedis(): Promise<TestRedis> {
  const port = await freePort();
  let child: ChildProcess | undefined;
  const start = async (): Promise<void> => {
    const server = spawn("redis-server", ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", String(port)], {
      stdio: "ignore",
    });
    child = server;
    await until("Redis listens", async () => {
      if (server.exitCode !== null) throw new Error(`redis-server ended with code ${server.exitCode}`);
      return await canConnect(port);
    });
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    start,
    async kill() {
      const server = child;
      child = undefined;
      if (!server || server.exitCode !== null || server.signalCode !== null) return;
      const exited = once(server, "exit");
      server.kill("SIGKILL");
      await exited;
    },
    pause: () => void child?.kill("SIGSTOP"),
    resume: () => void child?.kill("SIGCONT"),
  };
}
