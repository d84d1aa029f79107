import type { LanguageModelV4, LanguageModelV4GenerateResult, LanguageModelV4StreamResult } from "@ai-sdk/provider";
import { Fault } from "../../kernel/index.ts";
import { PROTOCOLS } from "../protocols/index.ts";
import { type ModelRequest, type ProviderRequest, readRequest, readSent } from "../request.ts";
import type { OpenModel } from "../settings/catalogue.ts";
import type { ModelProtocol, SpokenProtocol } from "../settings/schema.ts";
import type { AnswerShape, Asked, Told } from "./answer-shape.ts";
import { fromChat } from "./from-chat.ts";
import { fromMessages } from "./from-messages.ts";
import { fromResponses } from "./from-responses.ts";
import type { CallOptions } from "./request-shape.ts";
import { toChat } from "./to-chat.ts";
import { toMessages } from "./to-messages.ts";
import { toResponses } from "./to-responses.ts";

/** Where the adapter thinks that it sends to: it is never called. */
const NOWHERE = "https://provider.invalid/v1";
/** Fields of the adapter's that the provider has to get. */
const FIELDS = ["anthropic-beta", "anthropic-version"] as const;

/** How a caller's protocol is read, and answered in. Those that are not here are not translated. */
const CALLERS: Readonly<Partial<Record<ModelProtocol, { readonly read: (body: unknown) => CallOptions; readonly shape: AnswerShape }>>> = {
  "chat-completions": { read: fromChat, shape: toChat },
  messages: { read: fromMessages, shape: toMessages },
  responses: { read: fromResponses, shape: toResponses },
};

/** What ends a stream that may not end as its provider has ended it. */
export type StreamEnding = (isComplete: boolean) => string;

/** What stands between the two protocols for one request at one provider. */
export interface Translation {
  /** The request in the provider's protocol. */
  readonly request: ProviderRequest;
  /** Header fields that belong to it. */
  readonly fields: Readonly<Record<string, string>>;
  /**
   * The answer in the caller's protocol, made from the provider's while it comes; once. `ending` is asked at the end of a stream, with
   * whether it came to its own end, for what ends it instead; empty where nothing does. Throws `upstream_invalid` for a whole answer that cannot be read.
   */
  answer(body: AsyncIterable<Uint8Array>, type: string, told: Told, ending: StreamEnding): Promise<Uint8Array | AsyncIterable<string>>;
}

/**
 * Says a request in another protocol by the adapter of a library: it makes the provider's request, and reads the provider's answer. What it would have
 * sent is sent by us, to the place that was checked and within the budgets of its tenant. Throws `malformed_request` for what cannot be said.
 */
export async function translate(request: ModelRequest, to: SpokenProtocol, model: OpenModel, outputMax: number): Promise<Translation> {
  const caller = CALLERS[request.protocol.name];
  if (!caller) throw new Fault("internal", `${request.protocol.name} is not translated`);
  const { shape } = caller;
  const asked = JSON.parse(Buffer.from(request.body).toString("utf8")) as Asked; // its outline was read
  const options = { ...caller.read(asked), maxOutputTokens: outputMax };
  const sent = Promise.withResolvers<RequestInit>();
  const came = Promise.withResolvers<Response>();
  const fetch: typeof globalThis.fetch = async (_url, init = {}) => {
    sent.resolve(init);
    return await came.promise;
  };
  const running = run(await adapterFor(to, model.upstreamName, fetch), options, request.stream);
  const init = await Promise.race([sent.promise, running.then(unsent, unsaid)]);
  const fields = new Headers(init.headers);
  return {
    request: await sentRequest(to, Buffer.from(typeof init.body === "string" ? init.body : ""), model.upstreamName, request.stream),
    fields: Object.fromEntries(FIELDS.flatMap((name) => (fields.has(name) ? [[name, fields.get(name) ?? ""]] : []))),
    async answer(body, type, told, ending) {
      came.resolve(new Response(ReadableStream.from(body), { status: 200, headers: { "content-type": type } }));
      let result: Awaited<typeof running>;
      try {
        result = await running;
      } catch (cause) {
        const detail = "The provider of the model gave an answer that cannot be used.";
        throw new Fault("upstream_invalid", "the answer cannot be translated", { public: { detail }, cause });
      }
      if ("stream" in result) return eventsOf(result.stream, shape, told, asked, ending);
      return Buffer.from(JSON.stringify(shape.whole(told, result, asked)));
    },
  };
}

async function sentRequest(to: SpokenProtocol, body: Uint8Array, model: string, stream: boolean): Promise<ProviderRequest> {
  if (to !== "converse") return readRequest(PROTOCOLS[to], body);
  return readSent((await import("./converse.ts")).converse, body, model, stream);
}

/** Loaded when somebody needs it. */
async function adapterFor(to: SpokenProtocol, name: string, fetch: typeof globalThis.fetch): Promise<LanguageModelV4> {
  const settings = { apiKey: "none", baseURL: NOWHERE, fetch };
  if (to === "converse") return (await import("@ai-sdk/amazon-bedrock")).createAmazonBedrock({ ...settings, region: "none" })(name);
  if (to === "messages") return (await import("@ai-sdk/anthropic")).createAnthropic(settings)(name);
  return (await import("@ai-sdk/openai")).createOpenAI(settings).chat(name);
}

async function run(
  model: LanguageModelV4,
  options: CallOptions,
  stream: boolean,
): Promise<LanguageModelV4GenerateResult | LanguageModelV4StreamResult> {
  return stream ? await model.doStream(options) : await model.doGenerate(options);
}

function unsent(): never {
  throw new Fault("internal", "the adapter has answered without asking");
}

/** What the adapter says before it sends is about the request. */
function unsaid(cause: unknown): never {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const detail = `This model speaks another protocol, in which the request cannot be said: ${reason}`;
  throw new Fault("malformed_request", detail, { public: { detail }, cause });
}

async function* eventsOf(
  stream: LanguageModelV4StreamResult["stream"],
  shape: AnswerShape,
  told: Told,
  asked: Asked,
  ending: StreamEnding,
): AsyncGenerator<string, void, undefined> {
  const events = shape.createEvents(told, asked);
  yield events.begin();
  let last = "";
  try {
    for await (const part of stream) {
      if (part.type === "error") break;
      // an adapter ends every stream as if it were whole: the end is said when it is known to be
      if (part.type === "finish") last = events.event(part);
      else {
        const event = events.event(part);
        if (event !== "") yield event;
      }
    }
  } catch {
    last = ""; // the provider has broken it off, which `ending` is told
  }
  yield ending(last !== "") || last;
}
