import { existsSync, readFileSync } from "node:fs";
import { parseAllDocuments } from "yaml";
import { readGatewayText } from "../../gateway/index.ts";
import { Fault } from "../../kernel/index.ts";
import { ALL_RULES, lint, type LintInput, type Manifest, parseManifest, toFixes, toPlain, toSarif, toText } from "../../lint/index.ts";
import { type DatabaseAddress, SHARED_TABLES_SCHEMA } from "../../stores/data/index.ts";
import { loadTables } from "../open-data.ts";
import { type CommonFlags, readSettings } from "../options.ts";
import { PROGRAM_VERSION } from "../program-version.ts";
import { bold, print, printFailure } from "../terminal.ts";

/** The flags of `lint`. */
export interface LintFlags extends CommonFlags {
  readonly manifest?: string;
  readonly role?: readonly string[];
  readonly gatewayDocument?: readonly string[];
  readonly kubernetes?: readonly string[];
  /** False with --no-database. */
  readonly database: boolean;
  readonly format: "text" | "json" | "sarif";
  readonly fix?: boolean;
}

const MANIFEST_FILE = "freehold-lint.yaml";
const FOUND = 1;
const COULD_NOT_RUN = 2;

/** Looks for ways across a tenant's boundary. Ends with 0 when there is none, 1 when there are some, 2 when it could not look. */
export async function lintInstallation(flags: LintFlags): Promise<void> {
  try {
    const report = await lint(readInput(flags));
    print(flags.fix ? toFixes(report) : write(report, flags));
    if (report.findings.length > 0) process.exitCode = FOUND;
  } catch (error) {
    printFailure(error, flags.json);
    process.exitCode = COULD_NOT_RUN;
  }
}

function write(report: Parameters<typeof toPlain>[0], { json, format }: LintFlags): string {
  if (format === "sarif") return JSON.stringify(toSarif(report, ALL_RULES, PROGRAM_VERSION), null, 2);
  if (format === "json" || json) return JSON.stringify(toPlain(report), null, 2);
  return toText(report, bold);
}

function readInput(flags: LintFlags): LintInput {
  const manifest = readManifest(flags);
  const { database, data, gateway } = readSettings(flags, process.env);
  const address: DatabaseAddress =
    database.url === undefined ? { kind: "embedded", folder: data } : { kind: "postgres", url: database.url };
  // an installation that is looked at is looked at with the routes it serves
  const own = flags.database && gateway.file !== undefined ? [gateway.file] : [];
  const documents = new Set([...own, ...(flags.gatewayDocument ?? [])]);
  return {
    ...(flags.database && { database: address, sealed: sealedColumns(database.tables) }),
    ...(manifest && { manifest }),
    gateways: [...documents].map((file) => ({ file, value: toFields(readGatewayText(read(file), formatOf(file), keepVariable), file) })),
    kubernetes: (flags.kubernetes ?? []).map((file) => ({ file, value: readDocuments(file) })),
  };
}

/** The columns that the installation's own application marks as sealed. */
function sealedColumns(tables: string | undefined): readonly string[] {
  return [...loadTables(tables).sealed].flatMap(([table, { columns }]) =>
    columns.map((column) => `${SHARED_TABLES_SCHEMA}.${table}.${column}`),
  );
}

/** The manifest of the file, with the roles of the command line in it. */
function readManifest({ manifest: given, role = [] }: LintFlags): { readonly file: string; readonly value: Manifest } | undefined {
  const file = given ?? (existsSync(MANIFEST_FILE) ? MANIFEST_FILE : undefined);
  if (file === undefined && role.length === 0) return undefined;
  const value = file === undefined ? {} : toFields(readDocuments(file)[0], file);
  const manifest = parseManifest(value, file ?? "--role");
  const roles = { ...manifest.roles, application: [...manifest.roles.application, ...role] };
  return { file: file ?? "--role", value: { ...manifest, roles } };
}

/** What stands for a secret is not needed to judge the document. */
function keepVariable(name: string): string {
  return `$env://${name}`;
}

function readDocuments(file: string): readonly Readonly<Record<string, unknown>>[] {
  return parseAllDocuments(read(file), { uniqueKeys: true }).flatMap((document) => {
    const [error] = document.errors;
    if (error) throw refused(`${file}: ${error.message}`);
    const value: unknown = document.toJS({ maxAliasCount: 50 });
    return value === null || value === undefined ? [] : [toFields(value, file)];
  });
}

function toFields(value: unknown, file: string): Readonly<Record<string, unknown>> {
  if (value === undefined || value === null) return {};
  if (typeof value === "object" && !Array.isArray(value)) return { ...value };
  throw refused(`${file} must be a mapping of names to values.`);
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw refused(`${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

function formatOf(file: string): "json" | "yaml" {
  return file.endsWith(".json") ? "json" : "yaml";
}

function refused(detail: string, cause?: unknown): Fault {
  return new Fault("invalid_settings", detail, { public: { detail }, ...(cause !== undefined && { cause }) });
}
