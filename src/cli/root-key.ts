import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Fault, type Random, ROOT_KEY_BYTES } from "../kernel/index.ts";
import { readRootKey } from "../stores/data/index.ts";

/** The environment variable that carries the root key as 64 hexadecimal digits. */
export const ROOT_KEY_VARIABLE = "FREEHOLD_ROOT_KEY";

/** Where the data is whose root key is wanted, and whether a key may be kept for it in PostgreSQL. */
export interface RootKeyPlace {
  readonly profile: "development" | "production";
  /** The folder of the embedded database. */
  readonly data: string;
  readonly database: { readonly url?: string | undefined };
}

/**
 * The installation's root key: what is given under `name`; else, for the embedded database, from `root.key` in the data folder (made at the
 * first start); else, in the development profile only, from the PostgreSQL server, where only its administrator can read it. In
 * production with PostgreSQL it must be given: a key that lies beside what it protects protects nothing.
 */
export async function loadRootKey(
  place: RootKeyPlace,
  given: string | undefined,
  random: Random,
  name: string = ROOT_KEY_VARIABLE,
): Promise<Buffer> {
  if (given !== undefined) return parseKey(given, name);
  const { url } = place.database;
  if (url === undefined) return keyOfFolder(place.data, random);
  if (place.profile === "development") return await readRootKey(url, random);
  throw new Fault("invalid_settings", "no root key", {
    public: {
      detail: `Set ${name} to 64 hexadecimal digits, the same for every process (for example from: openssl rand -hex 32).`,
    },
  });
}

function keyOfFolder(folder: string, random: Random): Buffer {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, "root.key");
  try {
    // fails when it exists, so that two starts at once never use two keys
    writeFileSync(file, `${random.bytes(ROOT_KEY_BYTES).toString("hex")}\n`, { flag: "wx", mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  chmodSync(file, 0o600);
  return parseKey(readFileSync(file, "utf8").trim(), file);
}

function parseKey(text: string, origin: string): Buffer {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, "hex");
  throw new Fault("invalid_settings", `${origin} is not a root key`, { public: { detail: `${origin} must be 64 hexadecimal digits.` } });
}
