import { Fault } from "../../kernel/index.ts";
import type { Profile } from "../proxy/plugin.ts";
import type { Place } from "./place.ts";

const SHOWN_MAX = 50;

/** Something that refuses a document, and the object that it is about. */
export interface Problem {
  readonly place: Place;
  readonly text: string;
  /** The other object that it takes, where it takes two. */
  readonly other: Place | undefined;
}

/** What is wrong with a document: in the strict profile every problem refuses it, in the other each is a warning and the item is left out. */
export class Findings {
  readonly warnings: string[] = [];
  /** What cannot be served, and what is not what it seems, without the place in its list: for telling what a change has brought. */
  readonly refused: string[] = [];
  readonly doubts: string[] = [];
  readonly problems: Problem[] = [];
  readonly #profile: Profile;

  constructor(profile: Profile) {
    this.#profile = profile;
  }

  /** Something that cannot be served. */
  refuse(place: Place, text: string): void {
    this.refused.push(`${withoutPosition(place.text)}: ${text}`);
    if (this.#profile === "strict") this.problems.push({ place, text, other: undefined });
    else this.warnings.push(`${place.text}: ${text}; it is left out`);
  }

  /** Something that is not what it seems, by itself or beside another: refused in the strict profile, else a warning while it is served. */
  doubt(place: Place, text: string, other?: Place): void {
    this.doubts.push(`${withoutPosition(place.text)}: ${withoutPosition(text)}`);
    if (this.#profile === "strict") this.problems.push({ place, text, other });
    else this.warnings.push(`${place.text}: ${text}`);
  }

  /** Something that cannot be served for now: refused in the strict profile, else stored and left out until what it needs is there. */
  postpone(place: Place, text: string): void {
    if (this.#profile === "strict") this.refuse(place, text);
    else this.warnings.push(`${place.text}: ${text}; it is left out`);
  }

  /** Something that is allowed and dangerous. */
  warn(place: Place, text: string): void {
    this.warnings.push(`${place.text}: ${text}`);
  }

  /** Throws `invalid_settings` with all problems, if there are any. */
  settle(): void {
    if (this.problems.length === 0) return;
    const shown = this.problems.slice(0, SHOWN_MAX).map(sayProblem);
    const more = this.problems.length - shown.length;
    const detail = `${shown.join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
    throw new Fault("invalid_settings", detail, { public: { detail } });
  }
}

/** A problem as it is told, with the place first. */
export function sayProblem({ place, text }: Problem): string {
  return `${place.text}: ${text}`;
}

/** Positions move when something before them is added. */
function withoutPosition(text: string): string {
  return text.replaceAll(/\[\d+\](?= \(id )/g, "");
}
