import { type Json, type Keyring, type Random, Turns } from "../../kernel/index.ts";
import { sql, type SystemData } from "../../stores/data/index.ts";
import type { Confirmation } from "./gateway-processes.ts";
import { open, seal } from "./sealed-secret.ts";

/** An object of the gateway document as it was written, with the positions of its first and last writing among all writings. */
export interface GatewayObject {
  readonly kind: string;
  readonly id: string;
  /** Null where it is unreadable. */
  readonly value: Json;
  /** It was damaged, or sealed with another key. */
  readonly unreadable?: boolean;
  readonly createdIndex: number;
  readonly modifiedIndex: number;
}

/** What one write changes: all of it or nothing. */
export interface GatewayWrite {
  readonly put: readonly Pick<GatewayObject, "kind" | "id" | "value">[];
  /** `everything` for all that is not put. */
  readonly remove: readonly Pick<GatewayObject, "kind" | "id">[] | "everything";
  /** Counters begin anew in every process. */
  readonly fresh?: boolean;
}

/** Everything that is stored at one moment. */
export interface GatewayState {
  /** In the order in which they were first written. */
  readonly objects: readonly GatewayObject[];
  /** The number of the last writing. */
  readonly revision: number;
  /** How often counters were to begin anew. */
  readonly fresh: number;
}

/** Stored objects of the gateway, which belong to the platform. They are sealed at rest, as keys and passwords can stand anywhere in them. */
export interface GatewayObjects {
  read(): Promise<GatewayState>;
  /** Gives the number of the writing. */
  write(change: GatewayWrite): Promise<number>;
  /** From now on this process counts as a gateway, which serves everything up to this writing. */
  serves(revision: number): Promise<void>;
  /** Waits, for a bounded time, until every gateway on this database serves everything up to this writing. */
  confirmed(revision: number): Promise<Confirmation>;
  /** Called when any process has written, at the latest after one poll of the feed; after the process's own write before `write` resolves. */
  onChange(listener: () => void): void;
}

interface Row {
  readonly revision: string;
  readonly fresh: string;
  /** Null where nothing is stored. */
  readonly kind: string | null;
  readonly id: string;
  readonly sealed: Buffer;
  readonly created: string;
  readonly modified: string;
}

/** All that is stored. */
export async function readGatewayState(system: SystemData, keyring: Keyring): Promise<GatewayState> {
  const { rows } = await system.query<Row>(sql`
    select r.value::text as revision, r.fresh::text as fresh,
      o.kind, o.id, o.sealed, o.created_index::text as created, o.modified_index::text as modified
    from freehold.gateway_revision r left join freehold.gateway_objects o on true order by o.created_index`);
  const key = keyring.key("gateway-objects");
  const objects: GatewayObject[] = [];
  const turns = new Turns();
  for (const { kind, id, sealed, created, modified } of rows) {
    if (kind === null) continue;
    const value = valueOf(key, kind, id, sealed);
    objects.push({ kind, id, ...value, createdIndex: Number(created), modifiedIndex: Number(modified) });
    await turns.give();
  }
  return { objects, revision: Number(rows[0]?.revision ?? 0), fresh: Number(rows[0]?.fresh ?? 0) };
}

/** One that cannot be opened must not take the others with it. */
function valueOf(key: Buffer, kind: string, id: string, sealed: Buffer): Pick<GatewayObject, "value" | "unreadable"> {
  try {
    return { value: JSON.parse(open(key, [kind, id], sealed)) as Json }; // written below
  } catch {
    return { value: null, unreadable: true }; // whoever reads it says so, by name
  }
}

/** Writes and removes objects in one transaction, and gives its number. */
export async function writeGatewayObjects(
  { system, keyring, random }: { readonly system: SystemData; readonly keyring: Keyring; readonly random: Random },
  { put, remove, fresh = false }: GatewayWrite,
): Promise<number> {
  const key = keyring.key("gateway-objects");
  return await system.transaction(async (tx) => {
    const { rows } = await tx.query<{ value: string }>(sql`
      update freehold.gateway_revision set value = value + ${put.length + 1}, fresh = fresh + ${fresh ? 1 : 0}
      returning value::text as value`);
    // one number for each, so that a whole document keeps its order
    const revision = Number(rows[0]?.value);
    const first = revision - put.length;
    if (remove === "everything") {
      const kept = put.map(({ kind, id }) => JSON.stringify([kind, id]));
      await tx.query(sql`delete from freehold.gateway_objects where not json_build_array(kind, id)::jsonb = any (${kept}::jsonb[])`);
    } else {
      for (const { kind, id } of remove) await tx.query(sql`delete from freehold.gateway_objects where kind = ${kind} and id = ${id}`);
    }
    for (const [at, { kind, id, value }] of put.entries()) {
      const sealed = seal(key, random, [kind, id], JSON.stringify(value));
      await tx.query(sql`
        insert into freehold.gateway_objects (kind, id, sealed, created_index, modified_index)
        values (${kind}, ${id}, ${sealed}, ${first + at}, ${first + at})
        on conflict (kind, id) do update set sealed = excluded.sealed, modified_index = excluded.modified_index`);
    }
    return revision;
  });
}
