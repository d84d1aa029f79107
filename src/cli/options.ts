import { existsSync } from "node:fs";
import { Fault } from "../kernel/index.ts";
import { parseSettings, type Settings } from "./settings.ts";
import { readYamlFile } from "./yaml-file.ts";

/** The flags that every command has which works on an installation. */
export interface CommonFlags {
  readonly config?: string;
  readonly data?: string;
  readonly databaseUrl?: string;
  readonly profile?: string;
  readonly json?: boolean;
}

/** The flags of `up`. */
export interface UpFlags extends CommonFlags {
  readonly host?: string;
  readonly port?: string;
  readonly adminPort?: string;
  readonly logLevel?: string;
  readonly demo?: boolean;
  /** The gateway document. */
  readonly gateway?: string;
  readonly processes?: string;
}

/** Read when no --config is given and the file is there. */
const CONFIG_FILE = "freehold.yaml";

/** The settings: the file, with what the environment and the flags say over it. */
export function readSettings(flags: UpFlags, environment: NodeJS.ProcessEnv): Settings {
  const file = flags.config ?? (existsSync(CONFIG_FILE) ? CONFIG_FILE : undefined);
  const base = file === undefined ? {} : toRecord(readYamlFile(file));
  const databaseUrl = flags.databaseUrl ?? environment["FREEHOLD_DATABASE_URL"];
  const over = {
    profile: flags.profile ?? environment["FREEHOLD_PROFILE"],
    host: flags.host,
    port: toPort(flags.port, "--port"),
    adminPort: toPort(flags.adminPort, "--admin-port"),
    data: flags.data,
    logLevel: flags.logLevel,
    demo: flags.demo,
  };
  const given = Object.fromEntries(Object.entries(over).filter(([, value]) => value !== undefined));
  const database = { ...toRecord(base["database"]), ...(databaseUrl !== undefined && { url: databaseUrl }) };
  const gateway = {
    ...toRecord(base["gateway"]),
    ...(flags.gateway !== undefined && { file: flags.gateway }),
    ...(flags.processes !== undefined && { processes: Number(flags.processes) }),
  };
  return parseSettings({ ...base, ...given, database, gateway }, file ?? "settings");
}

function toRecord(value: unknown): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  if (typeof value === "object" && !Array.isArray(value)) return { ...value };
  throw new Fault("invalid_settings", "settings are not a mapping", {
    public: { detail: "The settings must be a mapping of names to values." },
  });
}

function toPort(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= 65_535 && text.trim() !== "") return value;
  throw new Fault("invalid_settings", `${flag} ${text}`, { public: { detail: `${flag} must be a number from 0 to 65535, not ${text}.` } });
}
