import { randomUUID } from "node:crypto";
import { Fault, type StoreMove, type StorePlace } from "../../kernel/index.ts";
import { type Queryable, sql, type Statement, type SystemData } from "../data/index.ts";
import { lockUse } from "./file-table.ts";
import type { MovedFile } from "./move-files.ts";

/** Where a tenant's files are, held by this process until its lease ends. */
export interface HeldPlaces {
  readonly lease: string;
  readonly place: StorePlace;
  readonly target: StorePlace | null;
  readonly kept: StorePlace | null;
  /** Throws `in_progress` when another process could have taken over. */
  assertHeld(): void;
}

/** How long a process that says nothing more holds a tenant's files. */
const LEASE_S = 30;
/** It believes so itself for less long, so that two never work at the same time. */
const BELIEVED_MS = 20_000;

/** The rows that a move of one tenant's files is noted in, as the platform sees them. */
export class MoveTable {
  readonly tenant: string;
  readonly notes: CopyNotes;
  readonly #system: SystemData;
  #heldMs = 0;

  constructor(system: SystemData, tenant: string) {
    this.#system = system;
    this.tenant = tenant;
    this.notes = new CopyNotes(system, tenant);
  }

  async place(): Promise<StorePlace> {
    const { rows } = await this.#system.query<{ place: StorePlace }>(sql`
      select place from freehold.file_places where tenant_id = ${this.tenant}`);
    return rows[0]?.place ?? "shared";
  }

  /** Throws `in_progress` while another process holds them. */
  async hold(): Promise<HeldPlaces> {
    const lease = randomUUID();
    const startedMs = performance.now();
    await this.#system.query(sql`insert into freehold.file_places (tenant_id) values (${this.tenant}) on conflict do nothing`);
    const { count } = await this.#system.query(sql`
      update freehold.file_places set lease = ${lease}, lease_until = now() + make_interval(secs => ${LEASE_S}::integer)
      where tenant_id = ${this.tenant} and lease_until < now()`);
    if (count === 0) throw elsewhere();
    this.#heldMs = startedMs;
    const held = await this.look({ lease });
    if (!held) throw elsewhere();
    return held;
  }

  /** As it is now; nothing when this process does not hold it any more. */
  async look({ lease }: Pick<HeldPlaces, "lease">): Promise<HeldPlaces | undefined> {
    const { rows } = await this.#system.query<Pick<HeldPlaces, "place" | "target" | "kept">>(sql`
      select place, target, kept from freehold.file_places where tenant_id = ${this.tenant} and lease = ${lease}`);
    const assertHeld = (): void => {
      if (performance.now() - this.#heldMs > BELIEVED_MS) throw elsewhere();
    };
    return rows[0] && { ...rows[0], lease, assertHeld };
  }

  async renew({ lease }: HeldPlaces): Promise<void> {
    const startedMs = performance.now();
    const { count } = await this.#system.query(sql`
      update freehold.file_places set lease_until = now() + make_interval(secs => ${LEASE_S}::integer)
      where tenant_id = ${this.tenant} and lease = ${lease}`);
    if (count === 1) this.#heldMs = startedMs;
  }

  async release({ lease }: HeldPlaces): Promise<void> {
    await this.#system.query(sql`
      update freehold.file_places set lease = null, lease_until = '-infinity' where tenant_id = ${this.tenant} and lease = ${lease}`);
  }

  /** From now on the target has copies in it. Those that are there already of a move that was killed are kept. */
  async aim(held: HeldPlaces, target: StorePlace): Promise<void> {
    await this.#change(sql`
      update freehold.file_places set target = ${target} where tenant_id = ${this.tenant} and lease = ${held.lease}`);
  }

  async forgetTarget({ lease }: HeldPlaces): Promise<void> {
    await this.#system.query(sql`delete from freehold.file_copies where tenant_id = ${this.tenant}`);
    await this.#system.query(sql`
      update freehold.file_places set target = null where tenant_id = ${this.tenant} and lease = ${lease}`);
  }

  /** Runs `work` while no upload of the tenant begins or ends and none of its files is deleted. */
  async fenced<T>(work: (fence: CopyNotes) => Promise<T>): Promise<T> {
    return await this.#system.transaction(async (tx) => {
      await lockUse(tx, this.tenant);
      return await work(new CopyNotes(tx, this.tenant));
    });
  }

  /** Files whose objects are in this place. */
  async filesIn(place: StorePlace): Promise<readonly MovedFile[]> {
    const { rows } = await this.#system.query<{ object: string; bytes: string }>(sql`
      select object, bytes::text as bytes from freehold.files where tenant_id = ${this.tenant} and place = ${place}`);
    return rows.map(({ object, bytes }) => ({ object, bytes: Number(bytes) }));
  }

  /** Makes the copy of this object the file's. False when there is no such file any more. */
  async replace({ object, from, to }: { readonly object: string; readonly from: StorePlace; readonly to: StorePlace }): Promise<boolean> {
    return await this.#system.transaction(async (tx) => {
      await lockUse(tx, this.tenant);
      const { count } = await tx.query(sql`
        update freehold.files set place = ${to} where tenant_id = ${this.tenant} and object = ${object} and place = ${from}`);
      return count === 1;
    });
  }

  /** Whether nothing refers to this place any more, and nothing will. Uploads that stood still for too long are given up. */
  async isLeft({ lease }: HeldPlaces, kept: StorePlace): Promise<boolean> {
    return await this.#system.transaction(async (tx) => {
      await lockUse(tx, this.tenant);
      await tx.query(sql`
        update freehold.file_leftovers set until = null where tenant_id = ${this.tenant} and place = ${kept} and until < now()`);
      const { count } = await tx.query(sql`
        select from freehold.file_places p where p.tenant_id = ${this.tenant} and p.lease = ${lease}
          and not exists (select from freehold.files f where f.tenant_id = p.tenant_id and f.place = ${kept})
          and not exists (select from freehold.file_leftovers l where l.tenant_id = p.tenant_id and l.place = ${kept} and l.until is not null)`);
      return count === 1;
    });
  }

  async forgetKept(held: HeldPlaces, kept: StorePlace): Promise<void> {
    await this.#system.query(sql`delete from freehold.file_leftovers where tenant_id = ${this.tenant} and place = ${kept}`);
    await this.#change(sql`
      update freehold.file_places set kept = null where tenant_id = ${this.tenant} and lease = ${held.lease}`);
  }

  async #change(statement: Statement): Promise<void> {
    if ((await this.#system.query(statement)).count === 0) throw elsewhere();
  }
}

/** Which objects are copied, on a connection or inside a transaction. */
export class CopyNotes {
  readonly #rows: Queryable;
  readonly #tenant: string;

  constructor(rows: Queryable, tenant: string) {
    this.#rows = rows;
    this.#tenant = tenant;
  }

  async uncopied(place: StorePlace, limit: number): Promise<readonly MovedFile[]> {
    const { rows } = await this.#rows.query<{ object: string; bytes: string }>(sql`
      select f.object, f.bytes::text as bytes from freehold.files f
      where f.tenant_id = ${this.#tenant} and f.place = ${place} and not exists (
        select from freehold.file_copies c where c.tenant_id = f.tenant_id and c.object = f.object and c.sum is not null)
      order by f.object limit ${limit}`);
    return rows.map(({ object, bytes }) => ({ object, bytes: Number(bytes) }));
  }

  async beginCopy(object: string): Promise<void> {
    await this.#rows.query(sql`
      insert into freehold.file_copies (tenant_id, object) values (${this.#tenant}, ${object}) on conflict do nothing`);
  }

  async endCopy(object: string, sum: Buffer): Promise<void> {
    await this.#rows.query(sql`
      update freehold.file_copies set sum = ${sum} where tenant_id = ${this.#tenant} and object = ${object}`);
  }

  async isFile(object: string): Promise<boolean> {
    const { count } = await this.#rows.query(sql`
      select from freehold.files where tenant_id = ${this.#tenant} and object = ${object}`);
    return count > 0;
  }

  /** Makes the copies the tenant's files, all at once. Copies of files that are gone are left for the sweep. */
  async switchTo({ lease, place }: HeldPlaces, target: StorePlace): Promise<StoreMove["parts"]> {
    const tenant = this.#tenant;
    const { rows } = await this.#rows.query<{ items: number; sum: string }>(sql`
      select count(*)::integer as items, encode(sha256(coalesce(string_agg(uuid_send(f.object) || c.sum, '' order by f.object), '')), 'hex') as sum
      from freehold.files f join freehold.file_copies c on c.tenant_id = f.tenant_id and c.object = f.object and c.sum is not null
      where f.tenant_id = ${tenant} and f.place = ${place}`);
    await this.#rows.query(sql`
      insert into freehold.file_leftovers (tenant_id, object, place)
      select c.tenant_id, c.object, ${target}::text from freehold.file_copies c where c.tenant_id = ${tenant} and not exists (
        select from freehold.files f where f.tenant_id = c.tenant_id and f.object = c.object) on conflict do nothing`);
    const { count } = await this.#rows.query(sql`
      update freehold.files set place = ${target} where tenant_id = ${tenant} and place = ${place}`);
    if (count !== rows[0]?.items) throw new Fault("internal", "files were to be switched that are not in the new place");
    const switched = await this.#rows.query(sql`
      update freehold.file_places set place = ${target}, kept = ${place}, target = null where tenant_id = ${tenant} and lease = ${lease}`);
    if (switched.count === 0) throw elsewhere();
    await this.#rows.query(sql`delete from freehold.file_copies where tenant_id = ${tenant}`);
    return [{ name: "files", items: count, sum: rows[0].sum }];
  }
}

function elsewhere(): Fault {
  const detail = "The tenant's files are being moved by another process, or by one that was killed just now. Try again in half a minute.";
  return new Fault("in_progress", detail, { public: { detail, retryAfterMs: 30_000 } });
}
