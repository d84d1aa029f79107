import type { HeaderEdit } from "../../../wire/index.ts";
import type { Profile } from "../../proxy/plugin.ts";
import { compileTemplate, type Template } from "../../routing/template.ts";

/** A header value of the dialect before its variables are filled in. */
export type HeaderValue = string | number;

const NAME = /^[!-9;-~]+$/;
const VALUE = /^[\x20-\x7e]*$/;

/** Fields that frame a message or belong to one connection. A setting that writes them would let two readers see different messages. */
const FRAMING: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** What is wrong with a header field in settings, or undefined. The texts are the dialect's. */
export function headerProblem(name: string, value: HeaderValue | undefined, profile: Profile): string | undefined {
  if (name === "") return "invalid field length in header";
  if (!NAME.test(name)) return "invalid field character in header";
  if (typeof value === "string" && !VALUE.test(value)) return "invalid value character in header";
  return profile === "strict" ? ownFieldProblem(name) : undefined;
}

/** In the strict profile no setting writes fields that frame the message, or by which the gateway vouches for the tenant. */
export function ownFieldProblem(name: string): string | undefined {
  const folded = name.toLowerCase().replaceAll(/[_.]/g, "-");
  if (FRAMING.has(folded)) return `the header ${name} frames the message and cannot be set`;
  return folded.startsWith("x-tenant-") ? `the header ${name} is set by the gateway alone` : undefined;
}

/** One header field whose value is filled in per call. */
export interface HeaderTemplate {
  readonly name: string;
  readonly value: Template;
}

/** Compiles a map of header fields. */
export function compileHeaders(headers: Readonly<Record<string, HeaderValue>> | undefined): readonly HeaderTemplate[] {
  return Object.entries(headers ?? {}).map(([name, value]) => ({ name, value: compileTemplate(String(value)) }));
}

/** Sets the field, or removes it when the value is empty, as nginx does. A value with CR, LF or NUL throws `upstream_invalid`. */
export function setOrRemove(headers: HeaderEdit, name: string, value: string): void {
  if (value === "") headers.remove(name);
  else headers.set(name, value);
}
