import { ServerSentSplitter, isFields, MemberScanner, OutlineError, parseData } from "../../../models/index.ts";

/** What a provider has said was used, member by member as it calls them; nothing that is no count is in it. */
export type TokenCounts = ReadonlyMap<string, number>;

/** More than this in one answer is no count. */
const TOKENS_MAX = 20_000_000;

/** Reads usage while an answer goes by. */
export class UsageWatch {
  readonly #splitter: ServerSentSplitter | undefined;
  readonly #scanner: MemberScanner | undefined;
  readonly #counts = new Map<string, number>();
  #broken = false;

  constructor(isStream: boolean) {
    if (isStream) this.#splitter = new ServerSentSplitter();
    else this.#scanner = new MemberScanner(() => {}, "usage");
  }

  /** The next piece, or undefined at the end. */
  see(piece: Uint8Array | undefined): void {
    if (this.#broken) return;
    try {
      if (piece === undefined) this.#add(this.#scanner?.keptValue());
      else if (this.#splitter) for (const { data } of this.#splitter.push(piece).events) this.#addEvent(data);
      else this.#scanner?.push(piece);
    } catch (error) {
      if (!(error instanceof OutlineError) && !(error instanceof RangeError)) throw error;
      this.#broken = true; // it is the caller's all the same
    }
  }

  /** The prompt's, the answer's and all tokens, with the members that said so. */
  get counts(): TokenCounts {
    const of = (...names: readonly string[]): number | undefined =>
      names.map((name) => this.#counts.get(name)).find((count) => count !== undefined);
    const [input, output] = [of("prompt_tokens", "input_tokens"), of("completion_tokens", "output_tokens")];
    const counts = new Map(this.#counts);
    counts.set("prompt_tokens", input ?? 0);
    counts.set("completion_tokens", output ?? 0);
    counts.set("total_tokens", of("total_tokens") ?? (input ?? 0) + (output ?? 0));
    return counts;
  }

  /** OpenAI's usage stands in the event, that of Responses in its response, Anthropic's at the beginning in its message. */
  #addEvent(data: string): void {
    if (!data.includes('"usage"')) return;
    const event = parseData(data);
    if (!event) return;
    this.#add(event["usage"]);
    for (const name of ["message", "response"]) {
      const inner = event[name];
      if (isFields(inner)) this.#add(inner["usage"]);
    }
  }

  #add(usage: unknown): void {
    if (!isFields(usage)) return;
    for (const [name, count] of Object.entries(usage)) {
      if (typeof count === "number" && count >= 0 && count <= TOKENS_MAX) this.#counts.set(name, count);
    }
  }
}
