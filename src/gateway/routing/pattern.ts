import { RE2JS } from "re2js";
import { Fault, toFault } from "../../kernel/index.ts";
import type { Pattern, Profile } from "../proxy/plugin.ts";

/** Compiles one pattern of the dialect. Throws `invalid_settings` with what is wrong with it. */
export type PatternCompiler = (source: string, flags: string) => Pattern;

/**
 * Patterns run in linear time (RE2), whoever wrote them and whatever they are matched with. What RE2 cannot take (look-around,
 * back-references) is refused; in the apisix profile JavaScript's engine runs it, and `warn` gets the hazard.
 * Flags: `i`, `m`, `s`; those that only steer nginx's cache (`j`, `o`) and Unicode (`u`) mean nothing here.
 */
export function createPatternCompiler(profile: Profile, warn: (message: string) => void): PatternCompiler {
  const compiled = new Map<string, Pattern>();
  return (source, flags) => {
    const key = `${flags}/${source}`;
    const known = compiled.get(key);
    if (known) return known;
    const pattern = compile(source, flags, profile, warn);
    compiled.set(key, pattern);
    return pattern;
  };
}

function compile(source: string, flags: string, profile: Profile, warn: (message: string) => void): Pattern {
  try {
    return new LinearPattern(RE2JS.compile(source, flagsOf(flags)));
  } catch (error) {
    const reason = toFault(error).message;
    if (profile === "strict") throw refused(source, reason);
    const pattern = backtracking(source, flags);
    warn(`the pattern ${source} is none of RE2 (${reason}) and runs in a backtracking engine: a hostile text can block the gateway`);
    return pattern;
  }
}

function flagsOf(flags: string): number {
  let bits = 0;
  if (flags.includes("i")) bits |= RE2JS.CASE_INSENSITIVE;
  if (flags.includes("m")) bits |= RE2JS.MULTILINE;
  if (flags.includes("s")) bits |= RE2JS.DOTALL;
  return bits;
}

function backtracking(source: string, flags: string): Pattern {
  try {
    return new BacktrackingPattern(new RegExp(source, `g${flags.replaceAll(/[^ims]/g, "")}`));
  } catch (error) {
    const reason = toFault(error).message;
    const known = PCRE_TEXTS.find(([said]) => reason.includes(said));
    if (!known) throw refused(source, reason);
    const detail = `pcre2_compile() failed: ${known[1]} in "${source}"`;
    throw new Fault("invalid_settings", detail, { public: { detail } });
  }
}

/** What PCRE, which the dialect's own gateway has, says for what JavaScript's engine says. */
const PCRE_TEXTS: readonly (readonly [said: string, text: string])[] = [
  ["Unterminated character class", "missing terminating ] for character class"],
  ["Unterminated group", "missing closing parenthesis"],
  ["Unmatched ')'", "unmatched closing parenthesis"],
  ["Nothing to repeat", "quantifier does not follow a repeatable item"],
];

function refused(source: string, reason: string): Fault {
  const detail = `The pattern ${source} cannot be used: ${reason}.`;
  return new Fault("invalid_settings", detail, { public: { detail } });
}

class LinearPattern implements Pattern {
  readonly #regexp: RE2JS;

  constructor(regexp: RE2JS) {
    this.#regexp = regexp;
  }

  test(text: string): boolean {
    return this.#regexp.test(text);
  }

  match(text: string): readonly (string | undefined)[] | undefined {
    const matcher = this.#regexp.matcher(text);
    if (!matcher.find()) return undefined;
    return Array.from({ length: matcher.groupCount() + 1 }, (_, group) => matcher.group(group) ?? undefined);
  }

  replace(text: string, replacement: string, once: boolean): string {
    const matcher = this.#regexp.matcher(text);
    const groups = matcher.groupCount();
    let result = "";
    let from = 0;
    while (matcher.find()) {
      result += text.slice(from, matcher.start()) + expand(replacement, groups, (group) => matcher.group(group) ?? "");
      from = matcher.end();
      if (once) break;
    }
    return result + text.slice(from);
  }
}

class BacktrackingPattern implements Pattern {
  readonly #regexp: RegExp;

  constructor(regexp: RegExp) {
    this.#regexp = regexp;
  }

  test(text: string): boolean {
    this.#regexp.lastIndex = 0;
    return this.#regexp.test(text);
  }

  match(text: string): readonly (string | undefined)[] | undefined {
    this.#regexp.lastIndex = 0;
    return this.#regexp.exec(text) ?? undefined;
  }

  replace(text: string, replacement: string, once: boolean): string {
    this.#regexp.lastIndex = 0;
    let done = false;
    return text.replaceAll(this.#regexp, (whole, ...rest: unknown[]) => {
      if (done) return whole;
      done = once;
      // the groups end where the position, a number, begins
      const groups = [
        whole,
        ...rest.slice(
          0,
          rest.findIndex((value) => typeof value === "number"),
        ),
      ];
      const textOf = (group: number): string => (typeof groups[group] === "string" ? groups[group] : "");
      return expand(replacement, groups.length - 1, textOf);
    });
  }
}

const GROUP = /\$(?:\{(\d{1,2})\}|(\d{1,2})|(\$))/g;

/** `$1` and `${1}` are groups, `$0` the whole match, `$$` a dollar sign; a group that there is not is empty. */
function expand(replacement: string, groups: number, group: (index: number) => string): string {
  if (!replacement.includes("$")) return replacement;
  return replacement.replaceAll(GROUP, (_whole, braced: string | undefined, bare: string | undefined, dollar: string | undefined) => {
    if (dollar !== undefined) return "$";
    const index = Number(braced ?? bare);
    return index <= groups ? group(index) : "";
  });
}
