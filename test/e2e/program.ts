import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { after } from "node:test";
import { until } from "../support/until.ts";

const PROGRAM = path.join(import.meta.dirname, "../../bin/freehold.js");
const READY_DEADLINE_MS = 60_000;
const END_DEADLINE_MS = 30_000;
const children: ChildProcess[] = [];

// for the test file as a whole: a hook that a test registers ends with that test
after(() => {
  for (const child of children) child.kill("SIGKILL");
});

/** Where and with what environment the program is started. */
export interface Surroundings {
  /** A folder of the test's own: the program reads `freehold.yaml` where it is started. */
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** How a run of the program ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The line that `up --json` prints when it is ready. */
export interface ReadyLine {
  readonly url: string;
  readonly adminUrl: string;
  readonly tenants: readonly { readonly id: string; readonly token: string }[];
  readonly platformToken: string;
}

/** A serving process of Freehold. */
export interface Running extends ReadyLine, Serving {}

/** A serving process. */
export interface Serving {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Sends the signal and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<Ended>;
}

/** Runs the program to its end, as typed on a command line. */
export async function freehold(args: readonly string[], surroundings: Surroundings): Promise<Ended> {
  const started = start(PROGRAM, args, surroundings);
  return await started.ended;
}

/** Starts `freehold up --json` on free ports and waits for its line. It is killed with the test file, if the test does not stop it. */
export async function up(args: readonly string[], surroundings: Surroundings): Promise<Running> {
  const { line, ...serving } = await startServing(PROGRAM, ["up", "--port", "0", "--admin-port", "0", "--json", ...args], surroundings);
  return { ...(JSON.parse(line) as ReadyLine), ...serving }; // the shape is what the tests are about
}

/** Starts any program of ours that prints a line when it is ready, and waits for that line. It is killed with the test file too. */
export async function startServing(
  file: string,
  args: readonly string[],
  surroundings: Surroundings,
): Promise<Serving & { readonly line: string }> {
  const { child, output, ended } = start(file, args, surroundings);
  let over: Ended | undefined;
  const watching = ended.then((end) => (over = end));
  const line = await until(
    "the line of a ready process",
    () => {
      if (over) throw new Error(`${file} ended with ${JSON.stringify(over)}`);
      return /^.*\n/.exec(output.stdout)?.[0];
    },
    READY_DEADLINE_MS,
  );
  return {
    line,
    pid: child.pid ?? 0,
    stdout: () => output.stdout,
    stderr: () => output.stderr,
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      return await within(watching, "the end of the process");
    },
  };
}

function start(
  file: string,
  args: readonly string[],
  { cwd, env = {} }: Surroundings,
): { child: ChildProcess; output: { stdout: string; stderr: string }; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [file, ...args], {
    cwd,
    env: { ...cleanEnvironment(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  const ended = once(child, "close").then(([code]: unknown[]) => ({ code: code as number | null, ...output })); // the event's arguments
  children.push(child);
  return { child, output, ended };
}

/** What a shell would have, without anything that speaks to Freehold or to the test runner. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(?:FREEHOLD_|NODE_|AGENT_INVOKE_URL|FORCE_COLOR|NO_COLOR)/.test(name));
  return Object.fromEntries(kept);
}

async function within<T>(work: Promise<T>, what: string): Promise<T> {
  let result: { readonly value: T } | undefined;
  const watching = work.then((value) => (result = { value }));
  await until(what, () => result !== undefined, END_DEADLINE_MS);
  await watching;
  return await work;
}
