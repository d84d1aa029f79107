import type { TenantContext } from "../../../kernel/index.ts";
import { type Queryable, sql, type TenantData } from "../../../stores/data/index.ts";
import type { TenantScope } from "../../../stores/index.ts";
import type { SearchItem } from "../../../stores/search/index.ts";
import { addToCounter } from "../../counters.ts";

/** The characters of a document. */
export const TEXT_LENGTH_MAX = 500_000;
const TITLE_CHARACTERS_MAX = 120;

/** A document as its caller gives it. */
export interface NewDocument {
  readonly id: string;
  readonly title: string;
  readonly text: string;
  /** Values that the caller keeps with it; those of the document before stay when there are none. */
  readonly metadata?: SearchItem["payload"];
}

/** A document's row. */
export interface DocumentRow {
  readonly title: string;
  readonly body: string;
  readonly metadata: SearchItem["payload"];
  readonly createdBy: string;
  /** Changes with every change of the row. */
  readonly version: string;
}

/**
 * Writes the document in the place of whatever has its id, counts its bytes and publishes that it is stored: throws `insufficient_quota` when there
 * would be too many. Until the transaction ends nobody else writes it.
 */
export async function writeDocument(tx: Queryable, { context, events }: TenantScope, document: NewDocument): Promise<void> {
  const { tenant, principal } = context;
  const { id, title, text, metadata } = document;
  const old = await tx.query<{ size: number }>(
    sql`select octet_length(body) as size from documents where tenant_id = ${tenant.uuid} and id = ${id} for update`,
  );
  await addToCounter(tx, context, "storageBytes", Buffer.byteLength(text) - (old.rows[0]?.size ?? 0), tenant.quotas.storageLimit);
  const kept = metadata === undefined ? null : JSON.stringify(metadata);
  await tx.query(sql`
    insert into documents as d (tenant_id, id, title, body, metadata, created_by)
    values (${tenant.uuid}, ${id}, ${title}, ${text}, coalesce(${kept}::jsonb, '{}'), ${principal.id})
    on conflict (tenant_id, id) do update set title = excluded.title, body = excluded.body,
      metadata = coalesce(${kept}::jsonb, d.metadata), updated_at = now()`);
  await events.publish(tx, { topic: "document.events", type: "document.stored", key: id, data: { documentId: id } });
}

/** Stores the document and its search points in one transaction: it is found as soon as this is done. Throws as {@link writeDocument}. */
export async function storeAtOnce(scope: TenantScope, given: NewDocument, signal: AbortSignal): Promise<void> {
  const { context, data, search } = scope;
  const metadata = given.metadata ?? (await findDocument(data, context, given.id))?.metadata ?? {};
  const document = { ...given, metadata };
  const item = await search.prepare(toSearchItem(document, context.principal.id), signal);
  await data.transaction(async (tx) => {
    await writeDocument(tx, scope, document);
    await search.put(tx, item);
  });
}

/** The document's row as it is, if it is there. */
export async function findDocument(data: TenantData, { tenant }: TenantContext, id: string): Promise<DocumentRow | undefined> {
  const { rows } = await data.query<DocumentRow>(sql`
    select title, body, metadata, created_by as "createdBy", updated_at::text as version
    from documents where tenant_id = ${tenant.uuid} and id = ${id}`);
  return rows[0];
}

/** Whether the row is still this one. Until the transaction ends it stays so. */
export async function isStill(tx: Queryable, { tenant }: TenantContext, id: string, version: string): Promise<boolean> {
  const { rows } = await tx.query(sql`
    select 1 as there from documents where tenant_id = ${tenant.uuid} and id = ${id} and updated_at = ${version}::timestamptz for share`);
  return rows.length > 0;
}

/** What is found of a document that this user has stored. */
export function toSearchItem({ id, title, text, metadata }: NewDocument, by: string): SearchItem {
  return { kind: "document", ref: id, title, text, payload: { ...metadata, userId: by } };
}

/** Asks for the document to be made findable, in the background. */
export async function askForIndex(tx: Queryable, { events }: TenantScope, id: string): Promise<void> {
  await events.publish(tx, { topic: "document.events", type: INDEX_ASKED, key: id, data: { documentId: id } });
}

/** The type of the event that {@link askForIndex} publishes. */
export const INDEX_ASKED = "document.index_asked";

/** What the document is called that has no title. */
export function firstLine(content: string): string {
  const line = (content.trimStart().split("\n", 1)[0] ?? "").trim().slice(0, TITLE_CHARACTERS_MAX);
  return line.replace(/[\uD800-\uDBFF]$/, ""); // half a character cannot be stored
}
