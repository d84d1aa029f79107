import { Fault } from "../../kernel/index.ts";
import type { Profile } from "../proxy/plugin.ts";

const SHOWN_MAX = 50;

/** What is wrong with a document: in the strict profile every problem refuses it, in the other each is a warning and the item is left out. */
export class Findings {
  readonly warnings: string[] = [];
  /** What cannot be served, and what is not what it seems, without the place in its list: for telling what a change has brought. */
  readonly refused: string[] = [];
  readonly doubts: string[] = [];
  readonly #problems: string[] = [];
  readonly #profile: Profile;

  constructor(profile: Profile) {
    this.#profile = profile;
  }

  /** Something that cannot be served. */
  refuse(place: string, text: string): void {
    this.refused.push(`${withoutPosition(place)}: ${text}`);
    if (this.#profile === "strict") this.#problems.push(`${place}: ${text}`);
    else this.warnings.push(`${place}: ${text}; it is left out`);
  }

  /** Something that is not what it seems: refused in the strict profile, else a warning while it is served. */
  doubt(place: string, text: string): void {
    this.doubts.push(`${withoutPosition(place)}: ${withoutPosition(text)}`);
    if (this.#profile === "strict") this.#problems.push(`${place}: ${text}`);
    else this.warnings.push(`${place}: ${text}`);
  }

  /** Something that cannot be served for now: refused in the strict profile, else stored and left out until what it needs is there. */
  postpone(place: string, text: string): void {
    if (this.#profile === "strict") this.refuse(place, text);
    else this.warnings.push(`${place}: ${text}; it is left out`);
  }

  /** Something that is allowed and dangerous. */
  warn(place: string, text: string): void {
    this.warnings.push(`${place}: ${text}`);
  }

  /** Everything that refuses the document, with the place first. */
  problems(): readonly string[] {
    return this.#problems;
  }

  /** Throws `invalid_settings` with all problems, if there are any. */
  settle(): void {
    if (this.#problems.length === 0) return;
    const shown = this.#problems.slice(0, SHOWN_MAX);
    const more = this.#problems.length - shown.length;
    const detail = `${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
    throw new Fault("invalid_settings", detail, { public: { detail } });
  }
}

/** Positions move when something before them is added. */
function withoutPosition(text: string): string {
  return text.replaceAll(/\[\d+\](?= \(id )/g, "");
}
