import { BoundedMap, Fault, type TenantContext, uuidV5 } from "../../kernel/index.ts";
import type { DataStore, Queryable } from "../data/index.ts";
import { chunk } from "./chunk.ts";
import type { Embedder } from "./embedder.ts";
import { fuse, type Ranked } from "./fuse.ts";
import { type GridVector, toGrid } from "./grid.ts";
import {
  countPoints,
  type FoundPoint,
  matching,
  nearestByArray,
  nearestByVector,
  type NewPoint,
  type PointItem,
  putPoints,
  removePoints,
  staleItems,
} from "./points.ts";
import type { PreparedItem, SearchHit, SearchItem, SearchItemName, SearchKind, SearchQuery, TenantSearch } from "./port.ts";
import { parseFilter } from "./search-filter.ts";
import { checkItem, checkKey, checkText, refused, toPayload } from "./search-item.ts";
import { textSearchLanguage } from "./text-search-language.ts";

/** What the search store is made of. */
export interface SearchStoreOptions {
  readonly data: DataStore;
  readonly embedder: Embedder;
  /** Called for each tenant that asks, at most once in ten minutes, to look for items which another embedder has seen. */
  readonly lookForStale?: (context: TenantContext) => void;
}

/** Gives each tenant its search. */
export interface SearchStore {
  /** The search of the context's tenant. Cheap: may be called once per request. */
  forTenant(context: TenantContext): TenantSearch;
}

/** The namespace of point ids. It never changes: the ids of all stored points come from it. */
const POINTS_NAMESPACE = "3fee2058-c312-46a0-8ae3-c60fb5985fd1";

const QUERY_LENGTH_MAX = 2_000;
const LIMIT_MAX = 50;
/** Places of each list that take part in the fusion. */
const CANDIDATES = 100;
/** Passages that are embedded and put together where an item comes in parts. */
const PART_PASSAGES = 100;
const STALE_MAX = 500;
/** Tenants of whom it is remembered that they were looked at, and for how long: a process with the old embedder may still be at work. */
const LOOKED_MAX = 100_000;
const LOOKED_MS = 600_000;

/** What is inside a prepared item. It is kept apart, so that nothing outside can change it or make one. */
interface Prepared {
  readonly tenant: string;
  readonly item: PointItem;
  readonly points: readonly NewPoint[];
  /** What is there from this part on goes. */
  readonly removeFrom: number | undefined;
}

/**
 * Search in the table of points: by vector and by full text, over the tenant's rows alone. Every statement names the tenant, the engine
 * admits no other rows, and a row that still said it is another's would end the request with `isolation_violation`.
 */
export function createSearchStore(options: SearchStoreOptions): SearchStore {
  const prepared = new WeakMap<PreparedItem, Prepared>();
  const looked = new BoundedMap<string, number>(LOOKED_MAX);
  const keep = (contents: Prepared): PreparedItem => {
    const { item, points } = contents;
    const handle = Object.freeze({ kind: item.kind, ref: item.ref, passages: points.length });
    prepared.set(handle, contents);
    return handle;
  };
  return {
    forTenant: (context) => ({
      prepare: async (item, signal) => {
        const bodies = bodiesOf(item);
        return keep(await prepare(context, options.embedder, item, { bodies, from: 0, to: bodies.length }, signal));
      },
      async *prepareParts(item, from, signal) {
        const bodies = bodiesOf(item);
        // a part that is there already is made again where it is the last: with it goes what comes behind
        for (let at = Math.min(from, bodies.length - 1); at < bodies.length; at += PART_PASSAGES) {
          const to = Math.min(at + PART_PASSAGES, bodies.length);
          yield keep(await prepare(context, options.embedder, item, { bodies, from: at, to }, signal));
        }
      },
      countCurrent: async ({ kind, ref }) => {
        const { rows } = await options.data
          .forTenant(context)
          .query<{ count: number }>(countPoints(context.tenant.uuid, kind, ref, options.embedder.name));
        return rows[0]?.count ?? 0;
      },
      stale: async (after) => {
        const rows = options.data.forTenant(context);
        const statement = staleItems(context.tenant.uuid, options.embedder.name, after ?? FIRST_ITEM, STALE_MAX);
        return (await rows.query<SearchItemName>(statement)).rows;
      },
      put: async (tx, item) => {
        const contents = prepared.get(item);
        if (!contents) throw new Fault("internal", "an item that this store has not prepared");
        if (contents.tenant !== context.tenant.uuid) throw new Fault("isolation_violation", "an item prepared for another tenant");
        await putPoints(tx, contents.tenant, contents.item, contents.points, contents.removeFrom);
      },
      remove: async (tx: Queryable, kind: SearchKind, ref: string) => {
        checkKey(kind, ref);
        await removePoints(tx, context.tenant.uuid, kind, ref);
      },
      query: async (query, signal) => {
        const { uuid } = context.tenant;
        const hits = await search(context, options, query, signal);
        const now = performance.now();
        if (options.lookForStale && now >= (looked.get(uuid) ?? 0)) {
          looked.set(uuid, now + LOOKED_MS);
          options.lookForStale(context);
        }
        return hits;
      },
    }),
  };
}

const FIRST_ITEM = { kind: "", ref: "" };

/** The passages of an item: at least one, as the title alone can be found too. */
function bodiesOf(item: SearchItem): readonly string[] {
  checkItem(item);
  return passagesOf(item.text);
}

/** What a text is divided into. At least one, which is empty where the text is. Throws `body_too_large`. */
export function passagesOf(text: string): readonly string[] {
  const passages = chunk(text).map((passage) => passage.text);
  return passages.length > 0 ? passages : [""];
}

/** Some passages of an item. */
interface Part {
  readonly bodies: readonly string[];
  readonly from: number;
  readonly to: number;
}

async function prepare(
  { tenant }: TenantContext,
  embedder: Embedder,
  item: SearchItem,
  { bodies, from, to }: Part,
  signal?: AbortSignal,
): Promise<Prepared> {
  const { kind, ref, title } = item;
  const payload = toPayload(item.payload, tenant.id);
  const own = bodies.slice(from, to);
  const vectors = await embedAll(
    embedder,
    own.map((body) => `${title}\n${body}`),
    signal,
  );
  const points = own.map((body, at) => ({
    id: pointId(tenant.uuid, kind, ref, from + at),
    part: from + at,
    body,
    vector: vectors[at] ?? new Int16Array(embedder.dimensions),
  }));
  const language = textSearchLanguage(tenant.locale);
  const removeFrom = to === bodies.length ? to : undefined;
  return { tenant: tenant.uuid, item: { kind, ref, title, payload, embedder: embedder.name, language }, points, removeFrom };
}

/** The id of a passage: no two tenants ever have the same one. */
export function pointId(tenantUuid: string, kind: SearchKind, ref: string, part: number): string {
  return uuidV5(POINTS_NAMESPACE, [tenantUuid, kind, ref, String(part)]);
}

/** The vectors of the texts as they are stored. Throws `upstream_invalid` for any that cannot be. */
export async function embedAll(embedder: Embedder, texts: readonly string[], signal?: AbortSignal): Promise<GridVector[]> {
  const vectors = await embedder.embed(texts, signal);
  if (vectors.length !== texts.length) throw new Fault("upstream_invalid", `${vectors.length} vectors for ${texts.length} texts`);
  return vectors.map((vector) => toGrid(vector, embedder.dimensions));
}

async function search(context: TenantContext, options: SearchStoreOptions, query: SearchQuery, signal?: AbortSignal): Promise<SearchHit[]> {
  const { tenant } = context;
  const { question, limit } = checkQuery(query);
  const filter = parseFilter(query.filter, tenant.id);
  const { data, embedder } = options;
  const [vector] = await embedAll(embedder, [question], signal);
  const rows = data.forTenant(context);
  const nearest = data.capabilities.vector ? nearestByVector : nearestByArray;
  const likest =
    vector?.some((value) => value !== 0) === true
      ? rows.query<FoundPoint>(nearest(tenant.uuid, vector, embedder.name, filter, CANDIDATES))
      : { rows: [] }; // nothing to compare: every likeness would be 0
  const matches = rows.query<FoundPoint>(matching(tenant.uuid, question, textSearchLanguage(tenant.locale), filter, CANDIDATES));
  const [byVector, byText] = await Promise.all([likest, matches]);
  for (const row of [...byVector.rows, ...byText.rows]) assertOwn(row, context);
  return fuse([byVector.rows.map(toRanked), byText.rows.map(toRanked)])
    .slice(0, limit)
    .map(({ value, score }) => toHit(value, score));
}

function checkQuery({ query, limit }: SearchQuery): { question: string; limit: number } {
  const question = query.trim();
  if (question === "") throw refused("query", "The query is empty.");
  if (query.length > QUERY_LENGTH_MAX) throw refused("query", `A query may have ${QUERY_LENGTH_MAX} characters.`);
  checkText("query", question);
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > LIMIT_MAX)
    throw refused("limit", `The limit is a whole number from 1 to ${LIMIT_MAX}.`);
  return { question, limit };
}

/** Whoever assembles a prompt or an answer from hits relies on this. */
function assertOwn(row: FoundPoint, { tenant }: TenantContext): void {
  if (row.payload["tenantId"] !== tenant.id)
    throw new Fault("isolation_violation", "a search hit does not say that it belongs to the tenant");
}

function toRanked(row: FoundPoint): Ranked<FoundPoint> {
  return { key: `${row.ref}\0${row.kind}\0${String(row.part).padStart(4, "0")}`, value: row };
}

function toHit({ kind, ref, part, title, body, payload }: FoundPoint, score: number): SearchHit {
  return { kind, ref, part, title, text: body, score, payload };
}
