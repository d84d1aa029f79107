import { readFileSync, writeFileSync } from "node:fs";
import { createKeyring, Fault, type Json, systemClock, systemRandom } from "../../kernel/index.ts";
import { PROOF_TYPE, type ProofReport, proveIsolationOf, toProofText } from "../../prove/index.ts";
import { openStatement, ownSigningKey, signStatement } from "../../tenancy/identity/index.ts";
import { callApi } from "../../wire/index.ts";
import { findRunning, managementOf } from "../installation.ts";
import { type CommonFlags, readSettings } from "../options.ts";
import { PROGRAM_VERSION } from "../program-version.ts";
import { loadRootKey, ROOT_KEY_VARIABLE } from "../root-key.ts";
import { bold, print, printFailure, progress } from "../terminal.ts";

/** The flags of `prove`. */
export interface ProveFlags extends CommonFlags {
  readonly url?: string;
  readonly adminUrl?: string;
  readonly out: string;
  readonly verify?: string;
  /** Where the public keys are, for --verify. */
  readonly jwks?: string;
}

const KEYS = "/.well-known/freehold/jwks.json";
const FAILED = 1;
const COULD_NOT_RUN = 2;

/** Attacks a running installation and prints what came of it, signed; or checks such a report. Ends with 0 when isolation held. */
export async function prove(flags: ProveFlags): Promise<void> {
  try {
    const { report, signedBy } = flags.verify === undefined ? await makeProof(flags) : await openProof(flags.verify, flags);
    print(flags.json ? JSON.stringify(report, null, 2) : `${toProofText(report, signedBy, bold)}\n`);
    if (report.totals.failed > 0) process.exitCode = FAILED;
  } catch (error) {
    printFailure(error, flags.json);
    process.exitCode = COULD_NOT_RUN;
  }
}

interface Shown {
  readonly report: ProofReport;
  readonly signedBy: string;
}

async function makeProof(flags: ProveFlags): Promise<Shown> {
  const settings = readSettings({ ...flags, port: "0", adminPort: "0" }, process.env);
  const running = flags.url === undefined ? await findRunning(settings) : undefined;
  const url = flags.url ?? running?.url;
  if (url === undefined) throw refused("Nothing is running here. Start it with freehold up, or name its address with --url.");
  const rootKey = await loadRootKey(settings, process.env[ROOT_KEY_VARIABLE], systemRandom);
  const key = ownSigningKey(createKeyring(rootKey));
  await assertOwnKey(url, key.kid);
  const operator = managementOf({ url, adminUrl: flags.adminUrl ?? running?.adminUrl ?? url }, rootKey);
  const say = flags.json ? () => {} : progress;
  const report = await proveIsolationOf(url, {
    operator,
    random: systemRandom,
    clock: systemClock,
    version: PROGRAM_VERSION,
    progress: say,
  });
  writeFileSync(flags.out, `${signStatement(key, PROOF_TYPE, report)}\n`);
  say(`The signed report is in ${flags.out}; anybody can check it with: freehold prove --verify ${flags.out} --url ${url}`);
  return { report, signedBy: `${key.kid} (Ed25519), in ${flags.out}` };
}

/** A report that its reader could not check would be worth nothing. */
async function assertOwnKey(url: string, kid: string): Promise<void> {
  const keys = (await readKeys(url + KEYS)) as { readonly keys?: readonly { readonly kid?: string }[] } | null; // its own shape, or none
  if (keys?.keys?.some((each) => each.kid === kid)) return;
  throw refused(
    `The root key here is not that of ${url}: its published keys do not have ${kid}. Set ${ROOT_KEY_VARIABLE} or --data to its own.`,
  );
}

async function openProof(file: string, flags: ProveFlags): Promise<Shown> {
  const text = read(file);
  const place = flags.jwks ?? (await keysAddress(flags));
  const opened = await openStatement(text, PROOF_TYPE, await readKeys(place));
  if (!opened) throw refused(`${file} is not what a key of ${place} has signed: it was changed, or is of another installation.`);
  // signed by the installation's own key, so it has the shape that this program gives it
  return { report: opened.payload as unknown as ProofReport, signedBy: `${opened.kid} (Ed25519), checked against ${place}` };
}

async function keysAddress(flags: ProveFlags): Promise<string> {
  const url = flags.url ?? (await findRunning(readSettings({ ...flags, port: "0", adminPort: "0" }, process.env)))?.url;
  if (url === undefined) throw refused("Name the installation with --url, or its published keys with --jwks.");
  return url + KEYS;
}

async function readKeys(place: string): Promise<Json> {
  if (!/^https?:/.test(place)) return parse(read(place), place);
  const { status, body } = await callApi({ url: place, method: "GET" });
  if (status !== 200) throw refused(`${place} was answered ${status}.`);
  return body;
}

function parse(text: string, file: string): Json {
  try {
    return JSON.parse(text) as Json; // JSON.parse gives nothing but Json
  } catch (cause) {
    throw refused(`${file} is not JSON.`, cause);
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw refused(`${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

function refused(detail: string, cause?: unknown): Fault {
  return new Fault("invalid_settings", detail, { public: { detail }, ...(cause !== undefined && { cause }) });
}
