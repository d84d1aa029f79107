import { Fault, type FaultCode } from "../kernel/index.ts";
import { FAILURE_CODES, type ForwardFailure, type HeaderEdit, type ResponsePlan } from "../wire/index.ts";
import { isFields, parseData } from "./protocols/openai-parts.ts";
import type { Protocol } from "./protocols/protocol.ts";
import { anthropicType, openaiType } from "./protocols/refusals.ts";
import type { OpenModel } from "./settings/catalogue.ts";

/** What callers are told about a provider that gave no answer. */
const WORDS: Partial<Record<FaultCode, string>> = {
  upstream_unreachable: "The provider of the model cannot be reached.",
  upstream_timeout: "The provider of the model did not answer in time.",
  upstream_invalid: "The provider of the model gave an answer that cannot be used.",
};

/** What a try that got no answer is to the caller. */
export function unanswered({ kind, reason }: ForwardFailure): Fault {
  const code = FAILURE_CODES[kind];
  return new Fault(code, reason, { public: { detail: WORDS[code] ?? "" } });
}

/** An answer that cannot be used, for a reason that is for the log. */
export function unreadable(reason: string): Fault {
  return new Fault("upstream_invalid", reason, { public: { detail: WORDS.upstream_invalid ?? "" } });
}

/** How long a provider wants to be left alone, in milliseconds. */
export function restOf([said]: readonly string[]): number | undefined {
  return said !== undefined && /^[0-9]{1,6}$/.test(said) ? Number(said) * 1_000 : undefined;
}

/** Why an answer is not for the caller: it is about the credential, which is not its own, or cannot be read. */
export function unusableAnswer({ provider, owner }: OpenModel, status: number, codings: readonly string[]): Fault | undefined {
  if (status === 401 || status === 403) {
    const who = owner === "platform" ? "Ask the operator to look at it." : "Set another one.";
    const detail = `The provider ${provider.name} has refused the key that is set for it. ${who}`;
    return new Fault("upstream_invalid", `${provider.name} answered ${status} to the key of the ${owner}`, { public: { detail } });
  }
  if (status >= 300 && status < 400) return unreadable(`${provider.name} answered with a redirect`);
  if (codings.some((coding) => coding.toLowerCase() !== "identity")) return unreadable(`${provider.name} has compressed its answer`);
  return undefined;
}

const ERROR_BYTES_MAX = 64 * 1024;

/** A provider's own refusal in the words of the caller's protocol: its status and its message. */
export function rewordedError({ name }: Pick<Protocol, "name">, status: number, headers: HeaderEdit): ResponsePlan {
  return {
    kind: "collect",
    bytesMax: ERROR_BYTES_MAX,
    whole: (body) => {
      const error = parseData(Buffer.from(body ?? []).toString("utf8"))?.["error"];
      const said = isFields(error) ? error["message"] : undefined;
      const message = typeof said === "string" ? said : "The provider of the model has refused the request.";
      const type = name === "messages" ? anthropicType({ status }) : openaiType({ code: "upstream_invalid", status });
      const made =
        name === "messages" ? { type: "error", error: { type, message } } : { error: { message, type, param: null, code: null } };
      return {
        status,
        headers: { ...Object.fromEntries(headers.fields()), "content-type": "application/json" },
        body: JSON.stringify(made),
      };
    },
  };
}
