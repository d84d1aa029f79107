import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { systemRandom, toFault } from "../../kernel/index.ts";
import { createApp } from "../app.ts";
import { findRunning } from "../installation.ts";
import { type CommonFlags, readSettings } from "../options.ts";
import { loadRootKey, ROOT_KEY_VARIABLE } from "../root-key.ts";
import type { Settings } from "../settings.ts";
import { printRows } from "../terminal.ts";

/** One thing that was looked at. */
interface Finding {
  readonly check: string;
  readonly result: "ok" | "warning" | "failed";
  readonly detail: string;
}

const NODE_MAJOR_MIN = 24;

/** Looks at everything that has to be right for serving, prints it, and ends with 1 if something has failed. */
export async function doctor(flags: CommonFlags): Promise<void> {
  const findings: Finding[] = [nodeVersion()];
  const settings = await attempt(findings, "settings", () =>
    readSettings({ ...flags, port: "0", adminPort: "0", logLevel: "silent", demo: false }, process.env),
  );
  if (settings) {
    findings.push(...profile(settings), ...rootKeyFile(settings));
    await installation(findings, settings);
  }
  printRows(
    findings.map((finding) => ({ ...finding })),
    ["check", "result", "detail"],
    flags.json,
  );
  if (findings.some(({ result }) => result === "failed")) process.exitCode = 1;
}

function nodeVersion(): Finding {
  const major = Number(process.versions.node.split(".")[0]);
  return major >= NODE_MAJOR_MIN
    ? { check: "node", result: "ok", detail: process.versions.node }
    : { check: "node", result: "failed", detail: `${process.versions.node}: start through npm, or use Node ${NODE_MAJOR_MIN}` };
}

function profile(settings: Settings): Finding[] {
  if (settings.profile === "production") return [{ check: "profile", result: "ok", detail: "production" }];
  return [
    { check: "profile", result: "warning", detail: "development: tokens such as acme:user-1 are believed; only this machine can connect" },
  ];
}

function rootKeyFile(settings: Settings): Finding[] {
  if (process.env[ROOT_KEY_VARIABLE] !== undefined) return [{ check: "root key", result: "ok", detail: `from ${ROOT_KEY_VARIABLE}` }];
  const file = path.join(settings.data, "root.key");
  if (!existsSync(file)) return [];
  const open = (statSync(file).mode & 0o077) !== 0;
  return [
    {
      check: "root key",
      result: open ? "failed" : "ok",
      detail: open ? `${file} can be read by others: chmod 600` : `${file}; back it up with the data`,
    },
  ];
}

/** Through the running process where there is one, otherwise by opening the installation, which proves its isolation. */
async function installation(findings: Finding[], settings: Settings): Promise<void> {
  const running = await findRunning(settings);
  if (running) {
    findings.push({ check: "process", result: "ok", detail: `serving at ${running.url} (process ${running.pid})` });
    return;
  }
  const rootKey = await attempt(findings, "root key", () => loadRootKey(settings, process.env[ROOT_KEY_VARIABLE], systemRandom));
  if (!rootKey) return;
  const app = await attempt(findings, "installation", () => createApp({ settings, rootKey, readVariable: (name) => process.env[name] }));
  if (!app) return;
  const { engine, vector } = app.stores.capabilities;
  findings.push({ check: "database", result: "ok", detail: engine === "pglite" ? `embedded in ${settings.data}` : "PostgreSQL" });
  findings.push({ check: "isolation", result: "ok", detail: "two tenants wrote and could not see each other" });
  findings.push(
    vector
      ? { check: "vectors", result: "ok", detail: "pgvector" }
      : { check: "vectors", result: "warning", detail: "pgvector is not installed: search is exact over arrays, slower for large tenants" },
  );
  await app.close();
}

async function attempt<T>(findings: Finding[], check: string, work: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    const fault = toFault(error);
    findings.push({ check, result: "failed", detail: fault.public.detail ?? fault.message });
    return undefined;
  }
}
