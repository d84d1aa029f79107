import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { extract as createExtract, type Header, pack as createPack } from "tar-stream";

/** One entry of an archive as a test makes it. */
export interface Made {
  readonly name: string;
  readonly content: string;
  readonly header?: Partial<Header>;
}

/** A record of a user, as an archive has it, with these columns changed. */
export function userRecord(change: Readonly<Record<string, unknown>> = {}): {
  readonly kind: string;
  readonly value: Readonly<Record<string, unknown>>;
} {
  const row = {
    kind: "users",
    value: {
      id: "x",
      name: "X",
      email: null,
      roles: ["member"],
      metadata: {},
      version: 1,
      created_at: "2026-01-01T00:00:00Z",
      updated_at: "2026-01-01T00:00:00Z",
    },
  };
  return { ...row, value: { ...row.value, ...change } };
}

/** Records that no store may take, by what is wrong with them; `other` is another tenant's internal id. */
export function badRecords(other: string): Readonly<Record<string, readonly [store: string, record: unknown]>> {
  const row = userRecord();
  return {
    "another tenant's id": ["data", { ...row, value: { ...row.value, tenant_id: other } }],
    "a column that is not there": ["data", { ...row, value: { ...row.value, "id) values (1); --": 1 } }],
    "a key of the platform": ["data", { kind: "api_keys", value: { id: "k", hash: "x" } }],
    "a table of the platform": ["data", { kind: "plans", value: { name: "free" } }],
    "a table of another store": ["data", { kind: "outbox", value: { id: "x" } }],
    "a value of another type": ["data", { ...row, value: { ...row.value, version: "many" } }],
    "a row without what it must have": ["data", { kind: "users", value: { id: "x" } }],
    "a name that breaks out": ["data", { kind: 'users" cascade; --', value: {} }],
    "a passage of another tenant": [
      "search",
      { kind: "passage", value: { kind: "user", ref: "x", part: 0, title: "", body: "", payload: { tenantId: "globex" } } },
    ],
    "an event of another tenant": [
      "events",
      {
        kind: "event",
        value: {
          id: "0198c0de-0000-7000-8000-000000000001",
          topic: "user.events",
          type: "user.created",
          key: "k",
          time: "2026-01-01T00:00:00.000Z",
          data: { tenantId: "globex" },
        },
      },
    ],
    "an event without a topic of ours": [
      "events",
      {
        kind: "event",
        value: {
          id: "0198c0de-0000-7000-8000-000000000001",
          topic: "platform",
          type: "user.created",
          key: "k",
          time: "2026-01-01T00:00:00.000Z",
          data: {},
        },
      },
    ],
    "a plan": ["registry", { kind: "settings", value: { name: "X", plan: "enterprise" } }],
    quotas: ["registry", { kind: "settings", value: { name: "X", quotas: { maxUsers: 1_000_000 } } }],
    "a secret": ["registry", { kind: "settings", value: { name: "X", agent: { mcp: { one: "xoxb-12345678" } } } }],
    "a store that is not there": ["attic", row],
  };
}

/** The entries of an archive. */
export async function entriesOf(archive: Uint8Array): Promise<readonly Made[]> {
  const reading = createExtract();
  reading.end(gunzipSync(archive));
  const found: Made[] = [];
  for await (const entry of reading) {
    const pieces: Buffer[] = [];
    for await (const piece of entry) pieces.push(piece as Buffer);
    found.push({ name: entry.header.name, content: Buffer.concat(pieces).toString("utf8"), header: { type: entry.header.type } });
  }
  return found;
}

/** An archive of these entries, whatever they are. */
export async function tarOf(entries: readonly Made[]): Promise<Buffer> {
  const pack = createPack();
  for (const { name, content, header } of entries) pack.entry({ name, ...header }, content);
  pack.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of pack) pieces.push(piece as Buffer); // it has no encoding
  return gzipSync(Buffer.concat(pieces));
}

/** The tar with another size in the header of the entry at this place; the entries before it have less than 512 bytes each. */
export function withSize(tar: Buffer, at: number, size: number): Buffer {
  const changed = Buffer.from(tar);
  const header = changed.subarray(at * 1024, at * 1024 + 512);
  header.write(`${size.toString(8).padStart(11, "0")} `, 124, "latin1");
  header.fill(" ", 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return changed;
}

/** An archive of these records, one to a part, with everything around them as it must be. */
export async function archiveOf(lines: readonly { readonly store: string; readonly line: string }[]): Promise<Buffer> {
  const records: Record<string, Record<string, number>> = {};
  const parts = lines.map(({ store, line }, at) => {
    const content = `${line}\n`;
    const kind = /^\{"kind":"((?:[^"\\]|\\.)*)"/.exec(line)?.[1]?.replaceAll("\\", "") ?? "";
    const counts = (records[store] ??= {});
    counts[kind] = (counts[kind] ?? 0) + 1;
    const sha256 = createHash("sha256").update(content).digest("hex");
    return { name: `${store}/${String(at).padStart(8, "0")}.jsonl`, content, store, records: 1, bytes: Buffer.byteLength(content), sha256 };
  });
  const head = { format: 1, tenant: "acme", exportedAt: "2026-01-01T00:00:00.000Z", program: "test" };
  return await tarOf([
    { name: "freehold.json", content: JSON.stringify(head) },
    ...parts.map(({ name, content }) => ({ name, content })),
    { name: "manifest.json", content: JSON.stringify({ parts: parts.map(({ content: _content, ...part }) => part), records }) },
  ]);
}
