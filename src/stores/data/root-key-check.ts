import { createHmac, timingSafeEqual } from "node:crypto";
import type pg from "pg";
import { Fault, type Keyring, type Random } from "../../kernel/index.ts";
import type { Roles } from "./roles.ts";

const SALT_BYTES = 16;

/** Where the check value stands: in the owner's own schema, which no role of Freehold can read. */
export const ROOT_KEY_CHECK_TABLE = `
create table if not exists freehold_private.root_key_check (id integer primary key check (id = 1), salt bytea not null, value bytea not null);`;

/**
 * Throws `invalid_settings` when the database was set up with another root key. It must come before anything of the database is changed: the
 * passwords and the context key that are made of the wrong key would lock out the processes that have the right one.
 */
export async function assertRootKey(client: pg.ClientBase, roles: Roles, keyring: Keyring): Promise<void> {
  await client.query(`set role ${roles.owner}`);
  const { rows } = await client.query<{ there: boolean }>("select to_regclass('freehold_private.root_key_check') is not null as there");
  if (rows[0]?.there) await compare(client, keyring);
  await client.query("reset role");
}

/** Notes the root key of a database that knows none yet. */
export async function noteRootKey(client: pg.ClientBase, keyring: Keyring, random: Random): Promise<void> {
  const salt = random.bytes(SALT_BYTES);
  await client.query("insert into freehold_private.root_key_check values (1, $1, $2) on conflict do nothing", [
    salt,
    checkValue(keyring, salt),
  ]);
  await compare(client, keyring);
}

async function compare(client: pg.ClientBase, keyring: Keyring): Promise<void> {
  const { rows } = await client.query<{ salt: Buffer; value: Buffer }>("select salt, value from freehold_private.root_key_check");
  const [row] = rows;
  if (!row) return;
  const value = checkValue(keyring, row.salt);
  if (value.length === row.value.length && timingSafeEqual(value, row.value)) return;
  throw new Fault("invalid_settings", "the root key is not the one of this database", {
    public: {
      detail:
        "This database was set up with another root key, and nothing was changed. Start with the FREEHOLD_ROOT_KEY, or the root.key in the data folder, of that installation; without it what is sealed in the database cannot be opened.",
    },
  });
}

/** Of a key that has no other use, so that it tells nothing about any other; guessing 32 random bytes is no easier for it. */
function checkValue(keyring: Keyring, salt: Uint8Array): Buffer {
  return createHmac("sha256", keyring.key("root-key-check")).update(salt).digest();
}
