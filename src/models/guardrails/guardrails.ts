import { createHash } from "node:crypto";
import { Fault, type TenantContext, Turns } from "../../kernel/index.ts";
import { ServerSentSplitter } from "../meter/event-stream.ts";
import { parseData } from "../protocols/openai-parts.ts";
import type { Protocol } from "../protocols/protocol.ts";
import { type ModelRequest, readRequest } from "../request.ts";
import type { GuardrailSettings } from "../settings/guardrail-schema.ts";
import { answerTexts, streamedTexts } from "./answer-texts.ts";
import { contentRefused, type Side } from "./content-refused.ts";
import { createDenyList, type DenyList } from "./deny-list.ts";
import { EventTexts, maskChannel, masked } from "./event-texts.ts";
import { mapTexts, type TextPlace } from "./json-texts.ts";
import { moderate, type ModerationPorts } from "./moderation.ts";
import type { PersonalData, Span } from "./personal-data.ts";

/** What a schema check says is wrong with a value, or undefined. */
export type AnswerCheck = (value: unknown) => string | undefined;

/** What guardrails are made with. */
export interface GuardrailPorts extends Pick<ModerationPorts, "egress" | "clock"> {
  /** Throws for a schema that cannot be used. */
  readonly compileSchema: (schema: unknown) => AnswerCheck;
}

/** The call that is looked at. */
export interface GuardedCall {
  readonly context: TenantContext;
  readonly requestId: string;
  readonly signal: AbortSignal;
  readonly secret: ModerationPorts["secret"];
}

/** More text than that is refused, as looking at it would hold up others. Files are not counted. */
const TEXT_LENGTH_MAX = 1024 * 1024;

/** The texts of one request or answer, as they may go on. */
class Seen {
  readonly turns = new Turns();
  readonly texts: string[] = [];
  #length = 0;

  add(text: string): void {
    this.#length += text.length;
    if (this.#length > TEXT_LENGTH_MAX) {
      const detail = `Guardrails look at ${TEXT_LENGTH_MAX} characters of text at most, files not counted.`;
      throw new Fault("body_too_large", detail, { public: { detail } });
    }
    this.texts.push(text);
  }
}

/** What one tenant wants to be looked at, ready to look. */
export class Guardrails {
  /** Whether answers are looked at: such an answer is held until it is whole. */
  readonly looksAtAnswers: boolean;
  /** Names these settings: what was kept under others was not looked at by these. */
  readonly name: string;
  readonly #settings: GuardrailSettings;
  readonly #ports: GuardrailPorts;
  readonly #denies: DenyList | undefined;
  readonly #finds: PersonalData | undefined;
  readonly #fits: AnswerCheck | undefined;

  private constructor(settings: GuardrailSettings, ports: GuardrailPorts, finds: PersonalData | undefined) {
    this.#settings = settings;
    this.#ports = ports;
    this.#denies = settings.deny && createDenyList(settings.deny);
    this.#finds = finds;
    this.#fits = settings.answerSchema && ports.compileSchema(settings.answerSchema);
    const { deny, personalData, moderation } = settings;
    this.looksAtAnswers = this.#fits !== undefined || [deny, personalData, moderation].some((part) => part?.on.includes("answer"));
    this.name = createHash("sha256").update(JSON.stringify(settings)).digest("base64url");
  }

  /** Loads what these settings need. Throws for a schema that cannot be used. */
  static async open(settings: GuardrailSettings, ports: GuardrailPorts): Promise<Guardrails> {
    const { personalData } = settings;
    const finder = personalData && (await import("./personal-data.ts")).createPersonalData(personalData.kinds);
    return new Guardrails(settings, ports, finder);
  }

  /** The request as it may be sent. Throws `content_refused`, `body_too_large`, `invalid_json`, and what asking the moderation throws. */
  async request(request: ModelRequest, call: GuardedCall): Promise<ModelRequest> {
    const json = textOf(request.body);
    const seen = new Seen();
    const made = await mapTexts(json, (text, place) => (isModel(place) ? text : this.#look("request", text, seen)));
    await this.#judge("request", request.model, seen, call);
    return made === json ? request : readRequest(request.protocol, Buffer.from(made), request.model);
  }

  /** The answer as it may go on. Throws as for a request, and `upstream_invalid` for one that does not fit the schema. */
  async answer(protocol: Protocol, model: string, body: Uint8Array, isStream: boolean, call: GuardedCall): Promise<Uint8Array> {
    const seen = new Seen();
    if (isStream) {
      const stream = new EventTexts(new ServerSentSplitter().push(body).events);
      this.#fit(streamedTexts(protocol.name, stream.channels));
      for (const channel of stream.channels) maskChannel(channel, await this.#spansOf("answer", channel.text, seen));
      await this.#judge("answer", model, seen, call);
      return stream.bytes();
    }
    const json = textOf(body);
    this.#fit(answerTexts(protocol.name, parseData(json)));
    const made = await mapTexts(json, (text, place) => (isModel(place) ? text : this.#look("answer", text, seen)));
    await this.#judge("answer", model, seen, call);
    return made === json ? body : Buffer.from(made);
  }

  async #look(side: Side, text: string, seen: Seen): Promise<string> {
    return masked(text, 0, await this.#spansOf(side, text, seen));
  }

  /** Where something is that has to be masked. */
  async #spansOf(side: Side, text: string, seen: Seen): Promise<readonly Span[]> {
    const { personalData } = this.#settings;
    const spans = personalData?.on.includes(side) ? ((await this.#finds?.(text, seen.turns)) ?? []) : [];
    if (spans.length > 0 && personalData?.action === "refuse") throw contentRefused(side, "it has data of persons in it");
    seen.add(masked(text, 0, spans));
    return spans;
  }

  async #judge(side: Side, model: string, { texts, turns }: Seen, call: GuardedCall): Promise<void> {
    const { deny, moderation } = this.#settings;
    if (deny?.on.includes(side)) await this.#deny(side, texts, turns);
    if (!moderation?.on.includes(side)) return;
    const { context, requestId, signal, secret } = call;
    const asked = { side, model, requestId, texts: texts.filter((text) => text.trim() !== ""), signal };
    await moderate(moderation, { ...this.#ports, secret }, context, asked);
  }

  async #deny(side: Side, texts: readonly string[], turns: Turns): Promise<void> {
    for (const text of texts) {
      if (await this.#denies?.(text, turns)) throw contentRefused(side, "it has something in it that the tenant does not allow");
      await turns.give();
    }
  }

  #fit(texts: readonly string[]): void {
    if (!this.#fits) return;
    for (const text of texts) {
      // whoever calls a tool has not answered yet
      if (text === "") continue;
      const reason = this.#misfit(text);
      if (reason === undefined) continue;
      const detail = `The answer of the model does not fit the schema of the tenant: ${reason}.`;
      throw new Fault("upstream_invalid", detail, { public: { detail } });
    }
  }

  #misfit(text: string): string | undefined {
    try {
      return this.#fits?.(JSON.parse(text) as unknown);
    } catch {
      return "it is not JSON";
    }
  }
}

/** The name of the model is no text. */
function isModel({ depth, name }: TextPlace): boolean {
  return depth === 1 && name === "model";
}

function textOf(body: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    throw new Fault("invalid_json", "the body is not UTF-8", { public: { detail: "The body is not UTF-8." } });
  }
}
