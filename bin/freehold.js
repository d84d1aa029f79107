#!/usr/bin/env node
// Freehold runs its TypeScript sources as they are, which needs Node 24; the published package has them as JavaScript. Started under an older one, this hands over to the Node that
// the project pins as a dependency.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import * as nodeModule from "node:module";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

// what was compiled once is not compiled again: a command takes half the time. Where the folder cannot be written, nothing is kept
nodeModule.enableCompileCache?.(fileURLToPath(new URL("../node_modules/.cache/freehold", import.meta.url)));

const NODE_MAJOR_MIN = 24;
const built = new URL("../src/cli/main.js", import.meta.url);
const main = existsSync(built) ? built : new URL("../src/cli/main.ts", import.meta.url);

// room for new objects, in MiB: with four times what Node takes by itself, the garbage collector stops a busy gateway four times less often
const ROOM = "--max-semi-space-size";
const ROOM_MIB = 64;

if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR_MIN) {
  const said = [...process.execArgv, process.env.NODE_OPTIONS ?? ""].some((option) => option.includes(ROOM));
  // the same process begins once more, as the room can be set at a start only; not where another process holds a channel to this one
  if (process.argv[2] === "up" && !said && process.platform !== "win32" && !process.connected) {
    const options = [...process.execArgv, `${ROOM}=${ROOM_MIB}`, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
    process.execve(process.execPath, [process.execPath, ...options], process.env);
  }
  await import(main.href);
} else {
  handOver(fileURLToPath(new URL("../node_modules/.bin/node", import.meta.url)));
}

function handOver(node) {
  if (!existsSync(node)) {
    process.stderr.write(`error: Freehold needs Node ${NODE_MAJOR_MIN}; this is ${process.versions.node}. Run npm ci first.\n`);
    process.exit(1);
  }
  const child = spawn(node, [fileURLToPath(main), ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}
