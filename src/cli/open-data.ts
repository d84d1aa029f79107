import { z } from "zod";
import { Fault, type Keyring, systemRandom } from "../kernel/index.ts";
import { createDataStore, type DataStore, defineTables, NO_TABLES, type TableSet, type TableStep } from "../stores/data/index.ts";
import type { Settings } from "./settings.ts";
import { readYamlFile } from "./yaml-file.ts";

/** Opens the data store that the settings name, with the application's tables. */
export async function openData(
  { data, database }: Pick<Settings, "data" | "database">,
  keyring: Keyring,
  report: (fault: Fault) => void,
): Promise<DataStore> {
  const { url, connectionsMax } = database;
  const location = url === undefined ? { kind: "embedded" as const, folder: data } : { kind: "postgres" as const, url, connectionsMax };
  return await createDataStore(location, { keyring, random: systemRandom, tables: loadTables(database.tables), report });
}

/** In development the declared steps are applied at the start; elsewhere that is for `freehold migrate up`, before the program is started. */
export async function prepareTables(data: DataStore, profile: Settings["profile"], warn: (message: string) => void): Promise<void> {
  const { declared, shared, behind, contracts } = await data.fleet.status();
  if (declared - contracts.length <= shared && behind === 0) return;
  if (profile === "development") await data.fleet.up();
  else warn("The application's tables are behind what is declared: run `freehold migrate up`.");
}

const names = z.array(z.string());

/** The file's shape: that of `defineTables`, as YAML or JSON. */
const tablesSchema = z.strictObject({
  tables: z.array(
    z.strictObject({
      name: z.string(),
      create: z
        .record(
          z.string(),
          z.strictObject({
            columns: z.record(z.string(), z.string()),
            key: names,
            unique: z.array(names).optional(),
            references: z
              .array(
                z.strictObject({ columns: names, table: z.string(), onDelete: z.enum(["cascade", "restrict", "set null"]).optional() }),
              )
              .optional(),
            indexes: z.array(names).optional(),
            sealed: names.optional(),
            search: z.record(z.string(), z.strictObject({ column: z.string(), by: z.enum(["text", "json"]) })).optional(),
          }),
        )
        .optional(),
      seal: z.record(z.string(), names.min(1)).optional(),
      expand: z.string().optional(),
      contract: z.string().optional(),
    }),
  ),
});

const FIELD = "database.tables";

/** The tables that the file declares; none without a file. */
export function loadTables(file: string | undefined): TableSet {
  if (file === undefined) return NO_TABLES;
  const result = tablesSchema.safeParse(readYamlFile(file, FIELD));
  if (!result.success) {
    throw unreadable(`${file}: ${result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ")}`);
  }
  return defineTables(result.data.tables as readonly TableStep[]); // what is absent is never there as undefined in YAML or JSON
}

function unreadable(detail: string): Fault {
  return new Fault("invalid_settings", detail, { public: { detail, field: FIELD } });
}
