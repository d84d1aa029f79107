import type { LanguageModelV4CallOptions, LanguageModelV4FilePart, LanguageModelV4TextPart } from "@ai-sdk/provider";
import { z } from "zod";
import { Fault } from "../../kernel/index.ts";

/** What a request asks for, as the adapters of providers take it. */
export type CallOptions = LanguageModelV4CallOptions;
/** A part of what a user says. */
export type UserPart = LanguageModelV4TextPart | LanguageModelV4FilePart;

/** The values of a request in one protocol. Throws `malformed_request` with the member that is not understood. */
export function readShape<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const field = issue?.path.join(".") ?? "";
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys[0] : undefined;
  throw untranslatable([field, unknown].filter((name) => name !== undefined && name !== "").join("."));
}

/** The refusal of what no provider of the other protocol would be asked. */
export function untranslatable(field: string): Fault {
  const detail = `This model speaks another protocol, and ${field} cannot be said in it. Leave it out, or ask by the path that the model speaks.`;
  return new Fault("malformed_request", detail, { public: { detail, field } });
}

/** A file that is there in base64, as `data:…` or apart, or by its address. */
export function filePart(url: string, mediaType: string, field: string, filename?: string): LanguageModelV4FilePart {
  const name = filename === undefined ? {} : { filename };
  const inline = /^data:([a-z0-9.+-]+\/[a-z0-9.+-]+);base64,([A-Za-z0-9+/=]*)$/i.exec(url);
  if (inline) return { type: "file", mediaType: inline[1] ?? mediaType, data: { type: "data", data: inline[2] ?? "" }, ...name };
  const address = URL.parse(url);
  if (address?.protocol !== "https:") throw untranslatable(field);
  return { type: "file", mediaType, data: { type: "url", url: address }, ...name };
}

/** All texts of a content, one behind the other. */
export function joined(content: string | readonly { readonly text: string }[]): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("");
}

/** The arguments of a call, which callers send as text. Throws `malformed_request` where they are no JSON. */
export function parsed(input: string, field: string): unknown {
  try {
    return JSON.parse(input === "" ? "{}" : input);
  } catch {
    throw untranslatable(field);
  }
}

/** Without what was not said. */
export function given<T extends object>(values: T): { [Name in keyof T]?: NonNullable<T[Name]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== null)) as never; // the same members
}

/** A schema of JSON as callers send it: the provider checks it. */
export const jsonSchema = z.record(z.string(), z.unknown());
/** A bound or a share that may be left out, or null. */
export const number = z.number().nullish();
/** What is taken and means nothing on the other side. */
export const ignored = z.unknown().optional();
