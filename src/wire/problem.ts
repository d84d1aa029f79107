import { type Fault, FAULTS, type Tenant } from "../kernel/index.ts";
import type { Answer } from "./http.ts";

/** An answer whose whole body is there. */
export interface ProblemAnswer extends Answer {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * The answer to a fault: RFC 9457 problem details with the code, the request id and what the fault says publicly. The title is the tenant's
 * own text where it has one, in the language asked for, then in the tenant's locale.
 */
export function toProblem(fault: Fault, requestId: string, tenant?: Tenant, acceptLanguage?: string): ProblemAnswer {
  const { status, title, retry } = FAULTS[fault.code];
  const { detail, field, policy, retryAfterMs, headers } = fault.public;
  const own = ownTitle(fault, tenant, acceptLanguage);
  const body = {
    type: `urn:freehold:fault:${fault.code}`,
    title: own?.text ?? title,
    status,
    code: fault.code,
    ...(detail !== undefined && { detail }),
    ...(field !== undefined && { field }),
    ...(policy !== undefined && { policy }),
    ...(retryAfterMs !== undefined && { retryAfterMs: Math.ceil(retryAfterMs) }),
    requestId,
  };
  return {
    status,
    headers: {
      "content-type": "application/problem+json",
      ...(own && { "content-language": own.language }),
      ...(retry && retryAfterMs !== undefined && retryHeaders(retryAfterMs)),
      ...headers,
    },
    body: JSON.stringify(body),
  };
}

function retryHeaders(ms: number): Record<string, string> {
  return { "retry-after": String(Math.ceil(ms / 1000)), "retry-after-ms": String(Math.ceil(ms)) };
}

/** The public title of a fault, for answers that are no problem document: the tenant's own in this language where there is one. */
export function titleOf(fault: Fault, tenant: Tenant, acceptLanguage: string | undefined): string {
  return ownTitle(fault, tenant, acceptLanguage)?.text ?? FAULTS[fault.code].title;
}

function ownTitle(
  fault: Fault,
  tenant: Tenant | undefined,
  acceptLanguage: string | undefined,
): { text: string; language: string } | undefined {
  const texts = tenant?.errorTexts[fault.code];
  if (!tenant || !texts) return undefined;
  for (const wanted of [...parseAcceptLanguage(acceptLanguage ?? ""), tenant.locale]) {
    const language = bestLanguage(wanted, Object.keys(texts));
    const text = language === undefined ? undefined : texts[language];
    if (language !== undefined && text !== undefined) return { text, language };
  }
  return undefined;
}

const LANGUAGES_READ_MAX = 16;

/** Language ranges, the most wanted first (RFC 9110, 12.5.4). */
function parseAcceptLanguage(value: string): readonly string[] {
  return value
    .split(",", LANGUAGES_READ_MAX)
    .map((part) => {
      const [range = "", weight] = part.trim().split(/\s*;\s*q=/i);
      return { range, weight: weight === undefined ? 1 : Number(weight) };
    })
    .filter(({ range, weight }) => /^[a-z]{1,8}(?:-[a-z\d]{1,8})*$/i.test(range) && weight > 0)
    .toSorted((a, b) => b.weight - a.weight)
    .map(({ range }) => range);
}

/** Look-up by cutting the range from its end (RFC 4647, 3.4). */
function bestLanguage(wanted: string, offered: readonly string[]): string | undefined {
  for (let range = wanted.toLowerCase(); range !== ""; range = range.slice(0, Math.max(0, range.lastIndexOf("-")))) {
    const found = offered.find((language) => language.toLowerCase() === range);
    if (found !== undefined) return found;
  }
  return undefined;
}
