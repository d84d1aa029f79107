import { Fault, type Json, type StoreRecord, type StoreTenant, type TenantContext } from "../../kernel/index.ts";
import { createRowLifecycle, type DataStore, type RowLifecycle, sql, type TenantData } from "../data/index.ts";
import type { Embedder } from "./embedder.ts";
import { type NewPoint, putPoints } from "./points.ts";
import type { SearchKind } from "./port.ts";
import { checkKey, checkText, toPayload } from "./search-item.ts";
import { embedAll, pointId } from "./search-store.ts";
import { textSearchLanguage } from "./text-search-language.ts";

/** What the life of a tenant in the search store is built on. */
export interface SearchLifecyclePorts {
  readonly data: DataStore;
  readonly embedder: Embedder;
  /** The tenant as it is now, acting as itself. */
  contextOf(tenant: StoreTenant): Promise<TenantContext>;
}

/** One passage as it is exported: what it was made from. Its vector is made anew where it is put, by the embedder that is there. */
interface PassageRecord {
  readonly kind: SearchKind;
  readonly ref: string;
  readonly part: number;
  readonly title: string;
  readonly body: string;
  readonly payload: Readonly<Record<string, Json>>;
}

/** The shared table, or the one of a tenant whose search alone is its own. */
const PLACE = /^(?:freehold|s_[0-9a-f]{20})\.points$/;
const KIND = "passage";
const PAGE = 200;
/** Before every id. */
const FIRST_ID = "00000000-0000-0000-0000-000000000000";

/**
 * The life of a tenant in the table of points. Passages are exported without their vectors, which only the embedder that made them can
 * compare: an import embeds them again.
 */
export function createSearchLifecycle(ports: SearchLifecyclePorts): RowLifecycle {
  const { rows } = ports.data;
  const own = createRowLifecycle(rows, { name: "search", owns: (place) => PLACE.test(place) });
  return {
    ...own,
    async *export(tenant) {
      // by the tenant's own handle, which finds them in every data model
      for await (const { kind, ref, part, title, body, payload } of passagesOf(ports.data.forTenant(await ports.contextOf(tenant)))) {
        const { tenantId: _own, ...shown } = payload;
        yield { kind: KIND, value: { kind, ref, part, title, body, payload: shown } };
      }
    },
    async import(tenant, records) {
      const context = await ports.contextOf(tenant);
      for await (const record of records) await putPassage(ports, context, passageOf(record));
    },
  };
}

async function* passagesOf(data: TenantData): AsyncGenerator<PassageRecord> {
  let after = FIRST_ID;
  for (;;) {
    const { rows } = await data.query<PassageRecord & { readonly id: string }>(sql`
      select id, kind, ref, part, title, body, payload from points where id > ${after} order by id limit ${PAGE}`);
    yield* rows;
    const last = rows.at(-1);
    if (!last || rows.length < PAGE) return;
    after = last.id;
  }
}

async function putPassage({ data, embedder }: SearchLifecyclePorts, context: TenantContext, passage: PassageRecord): Promise<void> {
  const { tenant } = context;
  const { kind, ref, part, title, body } = passage;
  const [vector = new Int16Array(embedder.dimensions)] = await embedAll(embedder, [`${title}\n${body}`]);
  const item = {
    kind,
    ref,
    title,
    payload: toPayload(passage.payload, tenant.id),
    embedder: embedder.name,
    language: textSearchLanguage(tenant.locale),
  };
  const point: NewPoint = { id: pointId(tenant.uuid, kind, ref, part), part, body, vector };
  // what comes after this part is not removed: parts come in any order
  await data.forTenant(context).transaction(async (tx) => await putPoints(tx, tenant.uuid, item, [point]));
}

function passageOf({ kind: what, value }: StoreRecord): PassageRecord {
  const { kind, ref, part, title, body, payload, ...others } = value;
  const whole =
    what === KIND &&
    Object.keys(others).length === 0 &&
    (kind === "document" || kind === "user") &&
    typeof ref === "string" &&
    typeof title === "string" &&
    typeof body === "string" &&
    Number.isSafeInteger(part) &&
    typeof payload === "object" &&
    payload !== null &&
    !Array.isArray(payload) &&
    !Object.hasOwn(payload, "tenantId");
  if (!whole) throw unfit();
  checkKey(kind, ref);
  checkText("title", title);
  checkText("text", body);
  return { kind, ref, title, body, part: Number(part), payload: payload as PassageRecord["payload"] }; // records are JSON
}

function unfit(): Fault {
  return new Fault("invalid_settings", "a record that is no passage", {
    public: { detail: "A record of the search store is not a passage." },
  });
}
