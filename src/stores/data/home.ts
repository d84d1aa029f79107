import { createHash, createHmac } from "node:crypto";
import type { DataModel, Keyring } from "../../kernel/index.ts";

/** What a home is made of: a data model, or shared rows but for what is searched, which is in a table of the tenant's own (`row_search`). */
export type HomeModel = DataModel | "row_search";

/** The data model of a home, whatever is searched is in. */
export function dataModelOf(model: HomeModel): DataModel {
  return model === "row_search" ? "row" : model;
}

/** Where the rows of one tenant are at the moment. */
export interface Home {
  readonly tenant: string;
  readonly model: HomeModel;
  /** Of two homes of one tenant the one with the higher epoch holds. A tenant that was never placed is in rows, at epoch 0. */
  readonly epoch: number;
  /** Set while the home is being left: it takes no more work, and the next one is not open yet. */
  readonly closing: boolean;
}

/** The database objects of a tenant that has its own: plain identifiers that need no quoting and tell nothing of the tenant. */
export interface HomeNames {
  readonly schema: string;
  /** Owns the schema and everything in it, and cannot log in. */
  readonly owner: string;
  readonly login: string;
  readonly database: string;
  /** The schema of what is searched, where that alone is the tenant's own. */
  readonly search: string;
}

const PREFIX_LENGTH_MAX = 26;
const DIGEST_LENGTH = 20;

/** The names of the tenant's own objects. Roles and databases belong to the whole server, so these begin with the installation's database. */
export function homeNames(database: string, tenant: string): HomeNames {
  const plain = /^[a-z][a-z0-9_]*$/.test(database) && database.length <= PREFIX_LENGTH_MAX;
  const prefix = plain ? database : `fh_${hash(database).slice(0, 8)}`;
  const digest = hash(`${database} ${tenant}`).slice(0, DIGEST_LENGTH);
  return {
    schema: `t_${digest}`,
    search: `s_${digest}`,
    owner: `${prefix}_o${digest}`,
    login: `${prefix}_t${digest}`,
    database: `${prefix}_d${digest}`,
  };
}

/** The password of one of a tenant's own logins: it is derived, so it is stored nowhere. */
export function homePassword(keyring: Keyring, tenant: string, use: "login" | "app" | "system"): string {
  return createHmac("sha256", keyring.key("database-password-tenant")).update(`${use} ${tenant}`).digest("base64url");
}

/** The home of a tenant that is in rows. */
export function rowHome(tenant: string, epoch = 0): Home {
  return { tenant, model: "row", epoch, closing: false };
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
