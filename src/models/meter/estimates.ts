import { BoundedMap } from "../../kernel/index.ts";
import type { TokenUsage } from "./usage.ts";

/** Tokens that every request can have besides those of its text: roles, marks, instructions of the provider's own. */
const OVERHEAD_TOKENS = 64;
/** Tokens of a byte of an answer as long as nothing is known. */
const OUTPUT_PER_BYTE = 0.5;
/** What an answer uses as long as nothing is known. */
const OUTPUT_TOKENS = 1_024;
/** How much one more request changes what is expected. */
const WEIGHT = 0.05;
const MARGIN = 1.1;
const TENANTS_MAX = 10_000;
const MODELS_MAX = 100;

interface Learned {
  /** Tokens per byte of requests and of answers: the most that came lately, sinking slowly. */
  inputPerByte: number;
  outputPerByte: number;
  /** Tokens of an answer: their mean and how far they are from it. */
  mean: number;
  deviation: number;
}

/** What requests of a tenant to a model use, learned from those that are over. No tenant learns from another's. */
export class Estimates {
  readonly #tenants = new BoundedMap<string, BoundedMap<string, Learned>>(TENANTS_MAX);

  /** The most tokens that the text of a request of so many bytes can be: no token is less than a byte. */
  inputMax(bytes: number): number {
    return bytes + OVERHEAD_TOKENS;
  }

  /** What such a request has used lately; the most that it can be as long as nothing is known. */
  input(tenant: string, model: string, bytes: number): number {
    const learned = this.#peek(tenant, model);
    return learned
      ? Math.min(this.inputMax(bytes), Math.ceil(bytes * learned.inputPerByte * MARGIN) + OVERHEAD_TOKENS)
      : this.inputMax(bytes);
  }

  /** What nearly all answers have stayed under lately. */
  output(tenant: string, model: string): number {
    const learned = this.#peek(tenant, model);
    return learned ? Math.ceil(learned.mean + 3 * learned.deviation) + 1 : OUTPUT_TOKENS;
  }

  /** Tokens of an answer that came in so many pieces and bytes; a piece is one at least. */
  counted(tenant: string, model: string, pieces: number, bytes: number): number {
    const perByte = this.#peek(tenant, model)?.outputPerByte ?? OUTPUT_PER_BYTE;
    return Math.max(pieces, Math.ceil(bytes * perByte));
  }

  /** One request is over, and its provider has said what it used. `answerBytes` is 0 where the text of the answer was not seen. */
  learn(tenant: string, model: string, requestBytes: number, answerBytes: number, { input, output }: TokenUsage): void {
    const ofTenant = this.#tenants.get(tenant) ?? new BoundedMap<string, Learned>(MODELS_MAX);
    this.#tenants.set(tenant, ofTenant);
    const inputPerByte = input / Math.max(1, requestBytes);
    const known = ofTenant.get(model) ?? { inputPerByte, outputPerByte: OUTPUT_PER_BYTE, mean: output, deviation: output / 2 };
    ofTenant.set(model, {
      inputPerByte: sinking(known.inputPerByte, inputPerByte),
      outputPerByte: answerBytes > 0 ? sinking(known.outputPerByte, output / answerBytes) : known.outputPerByte,
      mean: known.mean + WEIGHT * (output - known.mean),
      deviation: known.deviation + WEIGHT * (Math.abs(output - known.mean) - known.deviation),
    });
  }

  #peek(tenant: string, model: string): Learned | undefined {
    return this.#tenants.get(tenant)?.get(model);
  }
}

/** Goes up at once and down slowly. */
function sinking(known: number, seen: number): number {
  return Math.max(seen, known + WEIGHT * (seen - known));
}
