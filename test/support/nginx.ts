import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { canConnect, freePort } from "./ports.ts";
import { until } from "./until.ts";

/** An nginx for tests. */
export interface TestNginx {
  readonly port: number;
  /** Requests that it has taken, this question left out. */
  requests(): Promise<number>;
  stop(): Promise<void>;
}

/** Starts the installed `nginx` in one process on a free port of this machine only; `locations` is the inside of its server. */
export async function startNginx(locations: string): Promise<TestNginx> {
  const port = await freePort();
  const folder = mkdtempSync(path.join(tmpdir(), "freehold-nginx-"));
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ");
  const config = `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log warn;
    events { worker_connections 512; }
    http { access_log off; ${temporary} server { listen 127.0.0.1:${port}; location = /-status { stub_status; } ${locations} } }`;
  const file = path.join(folder, "nginx.conf");
  writeFileSync(file, config);
  const child = spawn("nginx", ["-e", path.join(folder, "error.log"), "-c", file], { stdio: ["ignore", "ignore", "inherit"] });
  const exited = once(child, "exit");
  await until("nginx listens", async () => {
    if (child.exitCode !== null) throw new Error(`nginx ended with code ${child.exitCode}`);
    return await canConnect(port);
  });
  let asked = 0;
  return {
    port,
    async requests() {
      asked++;
      const text = await (await fetch(`http://127.0.0.1:${port}/-status`, { headers: { connection: "close" } })).text();
      // the third number of the line under the titles
      return Number(/^ \d+ \d+ (\d+)/m.exec(text)?.[1]) - asked;
    },
    async stop() {
      child.kill("SIGKILL");
      await exited;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
