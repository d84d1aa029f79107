import { Fault, type StorePlace, type StoreUse } from "../../kernel/index.ts";
import { type Queryable, sql, type SystemData, type TenantData } from "../data/index.ts";
import { foldFileName } from "./file-name.ts";
import type { FileInfo } from "./port.ts";

/** An object, and the place where it is. */
export interface PlacedObject {
  readonly object: string;
  readonly place: StorePlace;
}

/** A file and the object that holds it. */
export interface FileRow extends FileInfo, PlacedObject {}

interface Row {
  readonly name: string;
  readonly object: string;
  readonly place: StorePlace;
  readonly bytes: string;
  readonly sha256: Buffer;
  readonly contentType: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What becomes a file when its object is written. */
export interface NewFile extends Pick<FileInfo, "name" | "bytes" | "sha256" | "contentType"> {
  readonly object: string;
  /** The most that the tenant may have with it. */
  readonly bytesMax: number;
}

/** How long an upload may stand still before it is given up. */
const UPLOAD_MINUTES = 10;

/** The rows of one tenant's files. Every statement names the tenant; with the tenant's own handle the engine admits no other. */
export class FileTable {
  readonly #rows: Pick<TenantData, "query" | "transaction"> | SystemData;
  readonly #tenant: string;

  constructor(rows: Pick<TenantData, "query" | "transaction"> | SystemData, tenant: string) {
    this.#rows = rows;
    this.#tenant = tenant;
  }

  async find(name: string): Promise<FileRow | undefined> {
    const { rows } = await this.#rows.query<Row>(sql`
      select name, object, place, bytes::text as bytes, sha256, content_type as "contentType", created_at as "createdAt", updated_at as "updatedAt"
      from freehold.files where tenant_id = ${this.#tenant} and name = ${name}`);
    return rows[0] && toFileRow(rows[0]);
  }

  async page(prefix: string, after: string, limit: number): Promise<readonly FileRow[]> {
    const { rows } = await this.#rows.query<Row>(sql`
      select name, object, place, bytes::text as bytes, sha256, content_type as "contentType", created_at as "createdAt", updated_at as "updatedAt"
      from freehold.files
      where tenant_id = ${this.#tenant} and name > ${after}::text collate "C" and name >= ${prefix}::text collate "C"
        and starts_with(name, ${prefix}::text) order by name limit ${limit}`);
    return rows.map(toFileRow);
  }

  async use(): Promise<StoreUse> {
    const { rows } = await this.#rows.query<{ items: string; bytes: string }>(sql`
      select files::text as items, bytes::text as bytes from freehold.file_use where tenant_id = ${this.#tenant}`);
    return { items: Number(rows[0]?.items ?? 0), bytes: Number(rows[0]?.bytes ?? 0) };
  }

  /**
   * An object is about to be written, in the place that is given back. Until it is a file it counts for nothing, and is removed when nothing
   * more is heard of it.
   */
  async begin(object: string): Promise<StorePlace> {
    return await this.#rows.transaction(async (tx) => {
      await lockUse(tx, this.#tenant); // whoever moves the tenant's files switches while holding it
      const { rows } = await tx.query<{ place: StorePlace }>(sql`
        insert into freehold.file_leftovers (tenant_id, object, until, place)
        values (${this.#tenant}, ${object}, now() + make_interval(mins => ${UPLOAD_MINUTES}::integer),
          coalesce((select p.place from freehold.file_places p where p.tenant_id = ${this.#tenant}), 'shared'))
        returning place`);
      return rows[0]?.place ?? "shared";
    });
  }

  /** It is still being written. Throws `conflict` when it was given up. */
  async goOn(object: string): Promise<void> {
    const { count } = await this.#rows.query(sql`
      update freehold.file_leftovers set until = now() + make_interval(mins => ${UPLOAD_MINUTES}::integer)
      where tenant_id = ${this.#tenant} and object = ${object} and until is not null`);
    if (count === 0) throw givenUp();
  }

  /** Makes the object a file, and what the file was before a leftover: its object is given back. */
  async commit(file: NewFile): Promise<{ readonly stored: FileRow; readonly replaced: PlacedObject | undefined }> {
    return await this.#rows.transaction(async (tx) => {
      const used = await lockUse(tx, this.#tenant);
      const { rows: begun } = await tx.query<{ place: StorePlace }>(sql`
        delete from freehold.file_leftovers where tenant_id = ${this.#tenant} and object = ${file.object} and until is not null returning place`);
      const [upload] = begun;
      if (!upload) throw givenUp();
      const old = await this.#sameName(tx, file.name);
      const bytes = used - (old?.bytes ?? 0) + file.bytes;
      if (bytes > file.bytesMax) throw storageFull(file.bytesMax);
      const { rows } = await tx.query<Row>(sql`
        insert into freehold.files (tenant_id, name, folded, object, place, bytes, sha256, content_type)
        values (${this.#tenant}, ${file.name}, ${foldFileName(file.name)}, ${file.object}, ${upload.place}, ${file.bytes},
          ${Buffer.from(file.sha256, "hex")}, ${file.contentType})
        on conflict (tenant_id, name) do update set object = excluded.object, place = excluded.place, bytes = excluded.bytes, sha256 = excluded.sha256,
          content_type = excluded.content_type, updated_at = now()
        returning name, object, place, bytes::text as bytes, sha256, content_type as "contentType", created_at as "createdAt", updated_at as "updatedAt"`);
      await tx.query(sql`
        update freehold.file_use set bytes = ${bytes}, files = files + ${old ? 0 : 1} where tenant_id = ${this.#tenant}`);
      if (old) await this.#leave(tx, old);
      if (!rows[0]) throw new Fault("internal", "a file was not there after it was stored");
      return { stored: toFileRow(rows[0]), replaced: old };
    });
  }

  /** Takes the file away; its object is a leftover then. Undefined when there is none. */
  async remove(name: string): Promise<PlacedObject | undefined> {
    return await this.#rows.transaction(async (tx) => {
      await lockUse(tx, this.#tenant);
      const { rows } = await tx.query<PlacedObject & { bytes: string }>(sql`
        delete from freehold.files where tenant_id = ${this.#tenant} and name = ${name} returning object, place, bytes::text as bytes`);
      const [gone] = rows;
      if (!gone) return undefined;
      await tx.query(sql`
        update freehold.file_use set bytes = bytes - ${gone.bytes}::bigint, files = files - 1 where tenant_id = ${this.#tenant}`);
      await this.#leave(tx, gone);
      return gone;
    });
  }

  /** From now on the object can become no file; its row stays until it is removed. False when it is one already, or was removed. */
  async giveUp(object: string): Promise<boolean> {
    const { count } = await this.#rows.query(sql`
      update freehold.file_leftovers set until = null where tenant_id = ${this.#tenant} and object = ${object}`);
    return count === 1;
  }

  /** The object has been removed. */
  async forget({ object, place }: PlacedObject): Promise<void> {
    await this.#rows.query(sql`
      delete from freehold.file_leftovers
      where tenant_id = ${this.#tenant} and object = ${object} and place = ${place} and until is null`);
  }

  /** Removes every row of the tenant. */
  async erase(): Promise<void> {
    await this.#rows.transaction(async (tx) => {
      await tx.query(sql`delete from freehold.files where tenant_id = ${this.#tenant}`);
      await tx.query(sql`delete from freehold.file_leftovers where tenant_id = ${this.#tenant}`);
      await tx.query(sql`delete from freehold.file_use where tenant_id = ${this.#tenant}`);
      await tx.query(sql`delete from freehold.file_copies where tenant_id = ${this.#tenant}`);
      await tx.query(sql`delete from freehold.file_places where tenant_id = ${this.#tenant}`);
    });
  }

  /** How many rows each table has of the tenant. */
  async counts(): Promise<readonly { readonly place: string; readonly items: number }[]> {
    const { rows } = await this.#rows.query<{ place: string; items: number }>(sql`
      select 'freehold.files' as place, count(*)::integer as items from freehold.files where tenant_id = ${this.#tenant}
      union all select 'freehold.file_leftovers', count(*)::integer from freehold.file_leftovers where tenant_id = ${this.#tenant}
      union all select 'freehold.file_use', count(*)::integer from freehold.file_use where tenant_id = ${this.#tenant}
      union all select 'freehold.file_copies', count(*)::integer from freehold.file_copies where tenant_id = ${this.#tenant}
      union all select 'freehold.file_places', count(*)::integer from freehold.file_places where tenant_id = ${this.#tenant}`);
    return rows;
  }

  async #sameName(tx: Queryable, name: string): Promise<(PlacedObject & { readonly bytes: number }) | undefined> {
    const { rows } = await tx.query<PlacedObject & { name: string; bytes: string }>(sql`
      select name, object, place, bytes::text as bytes from freehold.files where tenant_id = ${this.#tenant} and folded = ${foldFileName(name)}`);
    const [same] = rows;
    if (!same) return undefined;
    if (same.name === name) return { ...same, bytes: Number(same.bytes) };
    const detail = "There is a file whose name differs in case or form only.";
    throw new Fault("conflict", detail, { public: { detail, field: "name" } });
  }

  async #leave(tx: Queryable, { object, place }: PlacedObject): Promise<void> {
    await tx.query(sql`insert into freehold.file_leftovers (tenant_id, object, place) values (${this.#tenant}, ${object}, ${place})`);
  }
}

/** The bytes in use. Whoever changes the tenant's files, or moves them, waits here for whoever is changing them. */
export async function lockUse(tx: Queryable, tenant: string): Promise<number> {
  await tx.query(sql`insert into freehold.file_use (tenant_id) values (${tenant}) on conflict do nothing`);
  const { rows } = await tx.query<{ bytes: string }>(sql`
    select bytes::text as bytes from freehold.file_use where tenant_id = ${tenant} for update`);
  return Number(rows[0]?.bytes ?? 0);
}

/** Objects of all tenants that are to be removed, after those whose upload stood still were given up. */
export async function leftovers(system: SystemData, limit: number): Promise<readonly (PlacedObject & { readonly tenant: string })[]> {
  await system.query(sql`update freehold.file_leftovers set until = null where until < now()`);
  const { rows } = await system.query<PlacedObject & { tenant: string }>(sql`
    select tenant_id as tenant, object, place from freehold.file_leftovers where until is null order by tenant_id, object limit ${limit}`);
  return rows;
}

/** The fault of a tenant that would have more than it may. */
export function storageFull(bytesMax: number): Fault {
  const detail = `Files may take ${bytesMax} bytes in all. Delete some, or ask for more storage.`;
  return new Fault("storage_full", "the tenant's storage is full", { public: { detail, policy: "storageLimit" } });
}

function givenUp(): Fault {
  const detail = `The upload stood still for ${UPLOAD_MINUTES} minutes and was given up. Send it again.`;
  return new Fault("conflict", detail, { public: { detail } });
}

function toFileRow({ bytes, sha256, createdAt, updatedAt, ...row }: Row): FileRow {
  return {
    ...row,
    bytes: Number(bytes),
    sha256: Buffer.from(sha256).toString("hex"),
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  };
}
