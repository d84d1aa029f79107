import type { Json } from "../../kernel/index.ts";
import { type Queryable, sql, type Statement } from "../data/index.ts";
import type { GridVector } from "./grid.ts";
import { plainText } from "./plain-text.ts";
import type { SearchKind } from "./port.ts";
import type { SearchFilter } from "./search-filter.ts";

/** One passage on its way into the table. */
export interface NewPoint {
  readonly id: string;
  readonly part: number;
  readonly body: string;
  readonly vector: GridVector;
}

/** What all passages of an item share. */
export interface PointItem {
  readonly kind: SearchKind;
  readonly ref: string;
  readonly title: string;
  /** JSON. */
  readonly payload: string;
  /** The name of the embedder that made the vectors. */
  readonly embedder: string;
  /** The text search configuration. */
  readonly language: string;
}

/** One passage as a statement below returns it. */
export interface FoundPoint {
  readonly kind: SearchKind;
  readonly ref: string;
  readonly part: number;
  readonly title: string;
  readonly body: string;
  readonly payload: Readonly<Record<string, Json>>;
}

/** Rows in one statement. */
const ROWS_AT_ONCE = 200;
/** Words of a question that full text looks for: the longest, which say most. With all 300 that fit, one question could take seconds. */
const WORDS_MAX = 32;

/**
 * Puts points of an item and removes those from the part `removeFrom` on, if it is given: what the item no longer has. Two at once end as one of the two: the second waits at the first
 * part, which every item has, and by the time it removes it sees all that the first one left.
 */
export async function putPoints(
  tx: Queryable,
  tenant: string,
  item: PointItem,
  points: readonly NewPoint[],
  removeFrom?: number,
): Promise<void> {
  for (let from = 0; from < points.length; from += ROWS_AT_ONCE) {
    await tx.query(upsert(tenant, item, points.slice(from, from + ROWS_AT_ONCE)));
  }
  if (removeFrom !== undefined) await removePoints(tx, tenant, item.kind, item.ref, removeFrom);
}

/** Removes the points of an item from this part on. */
export async function removePoints(tx: Queryable, tenant: string, kind: SearchKind, ref: string, from = 0): Promise<void> {
  await tx.query(sql`
delete from points where tenant_id = ${tenant}::uuid and kind = ${kind}::text and ref = ${ref}::text and part >= ${from}::integer`);
}

/** How many points of an item were made by this embedder. */
export function countPoints(tenant: string, kind: SearchKind, ref: string, embedder: string): Statement {
  return sql`
select count(*)::integer as count from points
where tenant_id = ${tenant}::uuid and kind = ${kind}::text and ref = ${ref}::text and embedder = ${embedder}::text`;
}

/** Items with points that another embedder has made, in the order of their names, after this one. */
export function staleItems(tenant: string, embedder: string, after: { kind: string; ref: string }, limit: number): Statement {
  return sql`
select distinct kind, ref collate "C" as ref from points
where tenant_id = ${tenant}::uuid and embedder <> ${embedder}::text and (kind, ref collate "C") > (${after.kind}::text, ${after.ref}::text)
order by kind, ref limit ${limit}::integer`;
}

// an array of real becomes a vector by itself where the column is one
function upsert(tenant: string, item: PointItem, points: readonly NewPoint[]): Statement {
  const ids = points.map(({ id }) => id);
  const parts = points.map(({ part }) => part);
  const bodies = points.map(({ body }) => body);
  const vectors = points.map(({ vector }) => `{${vector.join(",")}}`);
  const plain = { title: plainText(item.title), bodies: bodies.map(plainText) };
  return sql`
insert into points (tenant_id, id, kind, ref, part, title, body, payload, words, embedder, embedding)
select ${tenant}::uuid, p.id, ${item.kind}::text, ${item.ref}::text, p.part, ${item.title}::text, p.body, ${item.payload}::jsonb,
  setweight(to_tsvector(${item.language}::regconfig, ${plain.title}::text), 'A') || to_tsvector(${item.language}::regconfig, p.plain),
  ${item.embedder}::text, p.vector::real[]
from unnest(${ids}::uuid[], ${parts}::integer[], ${bodies}::text[], ${plain.bodies}::text[], ${vectors}::text[]) as p (id, part, body, plain, vector)
on conflict (tenant_id, id) do update set title = excluded.title, body = excluded.body, payload = excluded.payload, words = excluded.words,
  embedder = excluded.embedder, embedding = excluded.embedding`;
}

/** The points whose vectors are likest to the question's, best first: pgvector's exact inner product, negative as its operator gives it. */
export function nearestByVector(tenant: string, vector: GridVector, embedder: string, filter: SearchFilter, limit: number): Statement {
  return sql`
with compared as materialized (
  select p.id, p.kind, p.ref, p.part, -(p.embedding <#> ${`[${vector.join(",")}]`}::vector) as likeness
  from points p
  where p.tenant_id = ${tenant}::uuid and p.embedder = ${embedder}::text
    and (${filter.kind}::text is null or p.kind = ${filter.kind}::text) and p.payload @> ${filter.payload}::jsonb
), best as (
  select * from compared where likeness > 0 order by likeness desc, ref collate "C", kind, part limit ${limit}::integer
)
select b.kind, b.ref, b.part, p.title, p.body, p.payload
from best b join points p on p.tenant_id = ${tenant}::uuid and p.id = b.id
order by b.likeness desc, b.ref collate "C", b.kind, b.part`;
}

/**
 * The same answer where there is no pgvector and the column is real[]. Only the dimensions that the question has are multiplied: of a
 * short question that is one in ten. The empty array is appended so that a stored vector is unpacked once and not once per dimension
 * (measured for a question of 101 of 1,024 dimensions and 5,000 points: 0.28 s; once per dimension 11 s; pairing all dimensions 3 s).
 */
export function nearestByArray(tenant: string, vector: GridVector, embedder: string, filter: SearchFilter, limit: number): Statement {
  const used = Array.from(vector, (value, at) => ({ value, at: at + 1 })).filter(({ value }) => value !== 0);
  const places = used.map(({ at }) => at);
  const values = used.map(({ value }) => value);
  return sql`
with compared as materialized (
  select p.id, p.kind, p.ref, p.part, (
    select sum(v.unpacked[q.place] * q.value)
    from (select p.embedding || '{}'::real[] as unpacked offset 0) v, unnest(${places}::integer[], ${values}::real[]) as q (place, value)
  ) as likeness
  from points p
  where p.tenant_id = ${tenant}::uuid and p.embedder = ${embedder}::text
    and (${filter.kind}::text is null or p.kind = ${filter.kind}::text) and p.payload @> ${filter.payload}::jsonb
), best as (
  select * from compared where likeness > 0 order by likeness desc, ref collate "C", kind, part limit ${limit}::integer
)
select b.kind, b.ref, b.part, p.title, p.body, p.payload
from best b join points p on p.tenant_id = ${tenant}::uuid and p.id = b.id
order by b.likeness desc, b.ref collate "C", b.kind, b.part`;
}

/**
 * The points with the best full-text match, best first. One word of the question is enough, so that long questions find something; what
 * matches as the question was written (all words, quoted words together, none after a minus) is counted once more. ts_rank looks at one
 * row alone: there are no statistics that another row could move. ts_rank_cd takes time with the square of the question, and where one
 * word is enough it found the right one of 571 passages first for 24 % of 200 questions, ts_rank for 61 %.
 */
export function matching(tenant: string, question: string, language: string, filter: SearchFilter, limit: number): Statement {
  const plain = plainText(question);
  // each word is quoted for tsquery, so that no character of it is an operator
  return sql`
with question as materialized (
  select (
    select w.query from (select websearch_to_tsquery(${language}::regconfig, ${plain}::text) as query) w where numnode(w.query) < ${2 * WORDS_MAX}::integer
  ) as written, (
    select string_agg('''' || replace(replace(w.word, '\\', '\\\\'), '''', '''''') || '''', ' | ')::tsquery from (
      select word from unnest(tsvector_to_array(to_tsvector(${language}::regconfig, ${plain}::text))) as u (word)
      order by length(word) desc, word collate "C" limit ${WORDS_MAX}::integer
    ) w
  ) as relaxed
), matched as materialized (
  select p.id, p.kind, p.ref, p.part,
    round((ts_rank(p.words, q.relaxed) + case when p.words @@ q.written then ts_rank(p.words, q.written) else 0 end)::numeric, 6) as rank
  from points p, question q
  where p.tenant_id = ${tenant}::uuid and p.words @@ q.relaxed
    and (${filter.kind}::text is null or p.kind = ${filter.kind}::text) and p.payload @> ${filter.payload}::jsonb
), best as (
  select * from matched order by rank desc, ref collate "C", kind, part limit ${limit}::integer
)
select b.kind, b.ref, b.part, p.title, p.body, p.payload
from best b join points p on p.tenant_id = ${tenant}::uuid and p.id = b.id
order by b.rank desc, b.ref collate "C", b.kind, b.part`;
}
