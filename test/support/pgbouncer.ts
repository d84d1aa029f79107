import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import path from "node:path";
import { canConnect, freePort } from "./ports.ts";
import { until } from "./until.ts";

/** A PgBouncer for tests, in front of a server. */
export interface TestPooler {
  /** The server's URL, through the pooler. */
  readonly url: string;
  stop(): Promise<void>;
}

/** How it hands out the server's connections. */
export interface PoolerMode {
  readonly mode: "session" | "transaction";
  /** The most connections for one login and database. */
  readonly connectionsMax: number;
  /** Whether it takes the one that was unused for longest, and not the one that came back last. */
  readonly inTurn?: boolean;
  /** Whether it finds the passwords of roles that are not in its own file. */
  readonly looksUpPasswords?: boolean;
}

/** Starts the installed `pgbouncer` on a free port of this machine only, in front of the server of this administrator. */
export async function startPooler(
  server: string,
  { mode, connectionsMax, inTurn = false, looksUpPasswords = true }: PoolerMode,
): Promise<TestPooler> {
  const port = await freePort();
  const url = new URL(server);
  const folder = mkdtempSync(path.join(tmpdir(), "freehold-pgbouncer-"));
  const file = path.join(folder, "pgbouncer.ini");
  const users = path.join(folder, "users.txt");
  const root = userInfo().uid === 0;
  writeFileSync(users, `"${url.username}" "${url.password}"\n`);
  writeFileSync(
    file,
    [
      "[databases]",
      `* = host=${url.hostname} port=${url.port}`,
      "[pgbouncer]",
      `listen_addr = 127.0.0.1`,
      `listen_port = ${port}`,
      "unix_socket_dir =",
      "auth_type = scram-sha-256",
      `auth_file = ${users}`,
      ...(looksUpPasswords ? [`auth_user = ${url.username}`] : []),
      `pool_mode = ${mode}`,
      `default_pool_size = ${connectionsMax}`,
      `server_round_robin = ${inTurn ? 1 : 0}`,
      ...(root ? ["user = nobody"] : []), // it does not run as root
    ].join("\n"),
  );
  chmodSync(folder, 0o755);
  const child = spawn("pgbouncer", ["-q", file], { stdio: "ignore" });
  const exited = once(child, "exit");
  await until("PgBouncer listens", async () => {
    if (child.exitCode !== null) throw new Error(`pgbouncer ended with code ${child.exitCode}`);
    return await canConnect(port);
  });
  url.port = String(port);
  return {
    url: url.href,
    async stop() {
      child.kill("SIGKILL");
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
