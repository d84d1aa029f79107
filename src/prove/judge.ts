import type { LiteralAnswer, LiteralClient, LiteralRequest } from "../wire/index.ts";
import type { Attempt, Outcome, Verdict } from "./attempt.ts";
import type { Canary } from "./canary.ts";

/** Fields that differ between two answers to the same question. */
const OF_ONE_ANSWER: ReadonlySet<string> = new Set(["date", "x-request-id", "traceparent", "ratelimit", "sec-websocket-accept"]);
const REQUEST_ID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi;
const TOO_MANY = 429;
/** With 10 s between, more than the minute for which failed credentials of one address are counted. */
const TRIES_MAX = 8;

/** Carries an attempt out and judges what came back. Everything that came back is searched, the answer about nobody too. */
export async function carryOut(attempt: Attempt, client: LiteralClient, canary: Canary): Promise<Outcome> {
  const answer = await ask(client, attempt.request);
  const twin = attempt.twin && (await ask(client, attempt.twin));
  const answers = [answer, twin].filter((each) => each !== undefined);
  const bytes = answers.map(bytesOf);
  const foreignBytes = bytes.reduce((sum, each) => sum + canary.count(each), 0);
  return {
    layer: attempt.layer,
    name: attempt.name,
    verdict: judge(attempt, answer, twin, foreignBytes),
    status: answer?.status ?? 0,
    expected: attempt.expect ?? [],
    bytes: bytes.reduce((sum, each) => sum + each.length, 0),
    foreignBytes,
  };
}

function judge(attempt: Attempt, answer: LiteralAnswer | undefined, twin: LiteralAnswer | undefined, foreignBytes: number): Verdict {
  if (foreignBytes > 0) return "leaked";
  if (!answer || (attempt.twin && !twin)) return "unanswered";
  if (attempt.expect && !attempt.expect.includes(answer.status)) return "answered";
  return twin && comparable(answer) !== comparable(twin) ? "told" : "held";
}

/** The answer, once the attacker's own limits let it through; undefined when none came. */
async function ask(client: LiteralClient, request: LiteralRequest): Promise<LiteralAnswer | undefined> {
  for (let tries = 1; ; tries++) {
    const given = await client.send(request).catch(() => undefined); // no answer is a verdict of its own
    const answer = given && request.socket ? { ...given, status: statusOfTalk(given) } : given;
    if (answer?.status !== TOO_MANY || tries === TRIES_MAX) return answer;
    const seconds = Number(answer.fields.find(([name]) => name.toLowerCase() === "retry-after")?.[1] ?? 1);
    await new Promise((resolve) => setTimeout(resolve, Math.min(10, Math.max(0.1, seconds)) * 1000));
  }
}

/** Over a WebSocket a refusal is a message, and has its status in it. */
function statusOfTalk({ status, body }: LiteralAnswer): number {
  const last = Buffer.from(body).toString("utf8").split("\n").at(-1) ?? "";
  if (status !== 101 || !last.startsWith("{")) return status;
  const said = JSON.parse(last) as { readonly type?: unknown; readonly status?: unknown }; // the last event of the installation
  return said.type === "error" && typeof said.status === "number" ? said.status : status;
}

/** Everything of an answer that an attacker can read. */
export function bytesOf({ fields, body }: LiteralAnswer): Uint8Array {
  return Buffer.concat([Buffer.from(fields.map(([name, value]) => `${name}: ${value}\n`).join("")), body]);
}

function comparable({ status, fields, body }: LiteralAnswer): string {
  const kept = fields.filter(([name]) => !OF_ONE_ANSWER.has(name.toLowerCase())).map(([name, value]) => `${name.toLowerCase()}: ${value}`);
  return JSON.stringify([status, kept, Buffer.from(body).toString("latin1").replaceAll(REQUEST_ID, "")]);
}
