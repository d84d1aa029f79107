import { createHmac, timingSafeEqual } from "node:crypto";
import { mkdir, open, readFile } from "node:fs/promises";
import path from "node:path";
import { type Clock, Fault, isUuid, type Keyring, parseTenantId, SerialQueue, type StoreTenant, toFault } from "../../kernel/index.ts";
import type { RevocationNotes } from "../registry/index.ts";

/** What the journal says is so now, whatever a restored database says. */
export interface Revocations {
  readonly keys: readonly string[];
  readonly erased: readonly StoreTenant[];
  readonly suspended: readonly StoreTenant[];
}

/**
 * The journal of what a restored backup must not bring back: an append-only file outside the database, in one place or several. Each line
 * carries a MAC of the installation's key, so that nobody can have a tenant erased by writing a line.
 */
export interface RevocationJournal extends RevocationNotes {
  erased(tenant: StoreTenant): Promise<void>;
  /**
   * All that is in any of the places; each place is given what it misses. A line that was not finished when the process was killed, which
   * nobody was told is kept, is passed over; throws `invalid_settings` for a whole line that is not genuine.
   */
  read(): Promise<Revocations>;
}

/** What the journal is kept with. `files` are the places, the first of which is in the data folder. */
export interface RevocationJournalPorts {
  readonly files: readonly string[];
  readonly keyring: Keyring;
  readonly clock: Clock;
}

type Note =
  | { readonly kind: "key_revoked"; readonly key: string }
  | { readonly kind: "tenant_erased" | "tenant_suspended" | "tenant_resumed"; readonly id: string; readonly uuid: string };

type Line = Note & { readonly at: string };

/** A journal over these files, which are made with the first line. */
export function createRevocationJournal({ files, keyring, clock }: RevocationJournalPorts): RevocationJournal {
  const key = keyring.key("revocation-journal");
  const writing = new SerialQueue();
  const note = async (said: Note): Promise<void> => {
    const text = seal(key, { at: new Date(clock.now()).toISOString(), ...said });
    try {
      await writing.run(async () => {
        for (const file of files) await append(file, [text]);
      });
    } catch (error) {
      throw notKept(error);
    }
  };
  const ofTenant =
    (kind: "tenant_erased" | "tenant_suspended" | "tenant_resumed") =>
    async ({ id, uuid }: { readonly id: string; readonly uuid: string }): Promise<void> =>
      await note({ kind, id, uuid });
  return {
    keyRevoked: (id) => note({ kind: "key_revoked", key: id }),
    erased: ofTenant("tenant_erased"),
    suspended: ofTenant("tenant_suspended"),
    resumed: ofTenant("tenant_resumed"),
    read: async () => summarise((await readAll(files)).map(({ file, number, text }) => openLine(key, text, file, number))),
  };
}

interface FoundLine {
  readonly file: string;
  readonly number: number;
  readonly text: string;
}

/** The finished lines of all files, each once; a file that misses some of them gets them. */
async function readAll(files: readonly string[]): Promise<readonly FoundLine[]> {
  const all = new Map<string, FoundLine>();
  const perFile: ReadonlySet<string>[] = [];
  for (const file of files) {
    const lines = (await readText(file)).split("\n").map((text, at) => ({ file, number: at + 1, text }));
    const finished = lines.filter(({ text }) => text.startsWith("{") && text.endsWith("}"));
    for (const line of finished) if (!all.has(line.text)) all.set(line.text, line);
    perFile.push(new Set(finished.map(({ text }) => text)));
  }
  for (const [at, file] of files.entries()) {
    const missing = [...all.keys()].filter((text) => !perFile[at]?.has(text));
    if (missing.length > 0) await append(file, missing);
  }
  return [...all.values()];
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw notKept(error);
  }
}

/** Each line begins with a line break: whatever a killed process left unfinished before it stays apart. */
async function append(file: string, lines: readonly string[]): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const handle = await open(file, "a", 0o600);
  try {
    await handle.appendFile(lines.map((line) => `\n${line}`).join(""));
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

function seal(key: Buffer, line: Line): string {
  return JSON.stringify({ ...line, mac: macOf(key, line).toString("base64url") });
}

function macOf(key: Buffer, line: Line): Buffer {
  const said = line.kind === "key_revoked" ? [line.kind, line.at, line.key] : [line.kind, line.at, line.id, line.uuid];
  return createHmac("sha256", key).update(JSON.stringify(said)).digest();
}

function openLine(key: Buffer, text: string, file: string, number: number): Line {
  const line = parseLine(text);
  const mac = line && Buffer.from(line.mac, "base64url");
  if (line && mac && mac.length === 32 && timingSafeEqual(mac, macOf(key, line)) && seal(key, line) === text) return line;
  const detail = `Line ${number} of ${file} was not written by this installation. Put back the file from its other place, or take the line out.`;
  throw new Fault("invalid_settings", detail, { public: { detail } });
}

function parseLine(text: string): (Line & { readonly mac: string }) | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // not a line of ours, which is all that matters
  }
  const { at, kind, mac, key, id, uuid } = value as Record<string, unknown>; // begins with a brace
  if (typeof at !== "string" || typeof mac !== "string") return undefined;
  if (kind === "key_revoked") return typeof key === "string" ? { at, kind, key, mac } : undefined;
  if (kind !== "tenant_erased" && kind !== "tenant_suspended" && kind !== "tenant_resumed") return undefined;
  return typeof id === "string" && typeof uuid === "string" ? { at, kind, id, uuid, mac } : undefined;
}

function summarise(lines: readonly Line[]): Revocations {
  const keys = new Set<string>();
  const erased = new Map<string, StoreTenant>();
  const suspended = new Map<string, StoreTenant>();
  for (const line of lines.toSorted((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0))) {
    if (line.kind === "key_revoked") {
      keys.add(line.key);
      continue;
    }
    const id = parseTenantId(line.id);
    if (id === undefined || !isUuid(line.uuid)) continue; // sealed by us, so it is neither
    const tenant = { id, uuid: line.uuid };
    if (line.kind === "tenant_erased") erased.set(line.uuid, tenant);
    else if (line.kind === "tenant_suspended") suspended.set(line.uuid, tenant);
    else suspended.delete(line.uuid);
  }
  return { keys: [...keys], erased: [...erased.values()], suspended: [...suspended.values()].filter(({ uuid }) => !erased.has(uuid)) };
}

function notKept(cause: unknown): Fault {
  const { message } = toFault(cause);
  return new Fault("dependency_unavailable", `the journal of revocations: ${message}`, {
    cause,
    public: {
      detail: "It could not be noted in the journal of revocations, without which a restored backup would bring it back. Do it again.",
    },
  });
}
