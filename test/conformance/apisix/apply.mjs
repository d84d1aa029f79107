// Program behind apply.sh: gives a running Freehold a gateway document through its management port, and starts it when there is none.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../../bin/freehold.js", import.meta.url));
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
const POLL_MS = 50;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const folderOf = (port) => path.join(tmpdir(), `freehold-conformance-${port}`);

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The gateway document that it serves. */
const documentOf = (port) => path.join(folderOf(port), "gateway.json");

/** What the running process said when it was ready, if it still runs. */
function runningAt(port) {
  const file = path.join(folderOf(port), "process.json");
  if (!existsSync(file)) return undefined;
  const { pid } = JSON.parse(readFileSync(file, "utf8"));
  if (!isAlive(pid)) return undefined;
  const [line] = readFileSync(path.join(folderOf(port), "ready.json"), "utf8").split("\n", 1);
  return line ? { pid, ...JSON.parse(line) } : { pid };
}

async function start(port) {
  const folder = folderOf(port);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // the cases know routes without any tenant
  writeFileSync(documentOf(port), "{}");
  const gateway = { file: documentOf(port), profile: "apisix", tenantRequired: false, platformFirst: false };
  const settings = { gateway, logLevel: "warn" };
  writeFileSync(path.join(folder, "freehold.yaml"), JSON.stringify(settings));
  const flags = ["--json", "--no-demo", "--port", port, "--admin-port", "0", "--data", path.join(folder, "data")];
  const ready = openSync(path.join(folder, "ready.json"), "w", 0o600);
  const log = openSync(path.join(folder, "log"), "w", 0o600);
  const child = spawn(process.execPath, [PROGRAM, "up", "--config", path.join(folder, "freehold.yaml"), ...flags], {
    detached: true,
    stdio: ["ignore", ready, log],
  });
  child.unref();
  writeFileSync(path.join(folder, "process.json"), JSON.stringify({ pid: child.pid }));
  for (const endMs = Date.now() + START_TIMEOUT_MS; Date.now() < endMs; await pause(POLL_MS)) {
    const running = runningAt(port);
    if (!running) break;
    if (running.adminUrl) return running;
  }
  throw new Error(`Freehold did not start: ${readFileSync(path.join(folder, "log"), "utf8")}`);
}

async function stop(port) {
  const running = runningAt(port);
  if (!running) return;
  process.kill(running.pid, "SIGTERM");
  for (const endMs = Date.now() + STOP_TIMEOUT_MS; isAlive(running.pid) && Date.now() < endMs;) await pause(POLL_MS);
  rmSync(folderOf(port), { recursive: true, force: true });
}

async function apply(file, mode, port) {
  const { adminUrl, platformToken } = runningAt(port) ?? (await start(port));
  writeFileSync(documentOf(port), readFileSync(file, "utf8"));
  const answer = await fetch(`${adminUrl}/apisix/admin/configs/reload${mode === "fresh" ? "?fresh=true" : ""}`, {
    method: "POST",
    headers: { authorization: `Bearer ${platformToken}` },
  });
  if (answer.status >= 300) throw new Error(`the document was answered with ${answer.status}: ${await answer.text()}`);
}

const [file, mode, port = "2984"] = process.argv.slice(2);
if (file === "stop") await stop(mode ?? "2984");
else if (file === undefined || (mode !== "fresh" && mode !== "hot")) {
  process.stderr.write("apply.sh <config.json> <fresh|hot> [port], or: apply.sh stop [port]\n");
  process.exitCode = 2;
} else await apply(file, mode, port);
