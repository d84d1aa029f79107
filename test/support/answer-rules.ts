import assert from "node:assert/strict";
import { FAULTS, isUuid } from "../../src/kernel/index.ts";

/** One answer as it came back. */
export interface PlainAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** What no answer may have in it: words of the database, of our code, of the machine. */
const INNER_WORDS: readonly RegExp[] = [
  /\b(?:select|insert into|update|delete from)\s+[\w.*"]+\s+(?:from|set|values|where)\b/i,
  /\bfreehold(?:_private)?\.(?:users|documents|points|sessions|messages|tenants|plans|api_keys|outbox|deliveries|inbox|counters)\b/,
  /\b(?:SQLSTATE|constraint|relation "|duplicate key|row-level security|pg_[a-z]+|users_email|_pkey)\b/i,
  /\bat (?:async )?[\w.<>]+ \(|\bat file:|node:internal|node_modules|\.ts:\d+/,
  /(?:^|[\s"'(])\/(?:home|work|usr|root|tmp|var|src|etc)\//,
  /\b(?:ECONNREFUSED|ECONNRESET|ENOENT|EPIPE|UND_ERR_\w+)\b/,
];

/** The fields that every answer of the platform has. */
export function assertHouseFields({ status, headers }: PlainAnswer): void {
  const field = (name: string): string => String(headers[name] ?? "");
  const where = `answer ${status}: ${JSON.stringify(headers)}`;
  assert.ok(isUuid(field("x-request-id")), `x-request-id of ${where}`);
  assert.match(field("cache-control"), /^(?:private, no-store|public, max-age=300)$/, where);
  for (const carrier of ["Authorization", "X-Tenant-ID"]) assert.ok(field("vary").includes(carrier), `vary of ${where}`);
  assert.equal(field("x-content-type-options"), "nosniff", where);
  assert.equal(headers["x-powered-by"], undefined);
  assert.equal(headers["server"], undefined);
}

/** Fails when an answer is not one that the platform may give: fields, shape of a problem, and nothing of the inside. */
export function assertHouseAnswer(answer: PlainAnswer): void {
  assertHouseFields(answer);
  assertNothingInner(answer.text);
  if (answer.status < 400 || answer.text === "") return;
  if (answer.headers["content-type"] === "application/json" && answer.text.includes('"error":')) assertModelError(answer);
  else assertProblem(answer);
}

/** The random part of a session's id: 22 characters, among which any short word can come up by chance. */
const SESSION_RANDOM = /(?<=\.(?:web|slack|discord)\.)[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])/g;

/** Fails when a text shows SQL, a stack, a file or the like. */
export function assertNothingInner(shown: string): void {
  const text = shown.replaceAll(SESSION_RANDOM, "");
  for (const pattern of INNER_WORDS) {
    const found = pattern.exec(text);
    assert.ok(
      found === null,
      `an answer shows the inside (${String(pattern)}): ${text.slice(Math.max(0, (found?.index ?? 0) - 60)).slice(0, 300)}`,
    );
  }
}

/** What speaks for others' clients refuses in their shapes: the code stands inside, and a provider's own error has none of ours. */
function assertModelError({ headers, text }: PlainAnswer): void {
  const { error } = JSON.parse(text) as { error: Record<string, unknown> };
  assert.equal(typeof error["message"], "string", text);
  if (error["requestId"] === undefined) return;
  assert.ok(Object.hasOwn(FAULTS, String(error["code"])), text);
  assert.equal(error["requestId"], headers["x-request-id"]);
}

function assertProblem({ status, headers, text }: PlainAnswer): void {
  assert.equal(headers["content-type"], "application/problem+json", text);
  const problem = JSON.parse(text) as Record<string, unknown>;
  const code = String(problem["code"]);
  assert.ok(Object.hasOwn(FAULTS, code), `code ${code} is not in the table`);
  assert.equal(FAULTS[code as keyof typeof FAULTS].status, status, text); // it is in the table
  assert.equal(problem["status"], status, text);
  assert.equal(problem["type"], `urn:freehold:fault:${code}`);
  assert.equal(problem["requestId"], headers["x-request-id"]);
  assert.equal(typeof problem["title"], "string");
  const known = ["type", "title", "status", "code", "detail", "field", "policy", "retryAfterMs", "requestId"];
  assert.deepEqual(
    Object.keys(problem).filter((name) => !known.includes(name)),
    [],
    text,
  );
}
