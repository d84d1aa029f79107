import { toFault } from "../../../kernel/index.ts";
import type { Profile } from "../../proxy/plugin.ts";
import { createPatternCompiler } from "../../routing/pattern.ts";

/** Flags that nginx takes with a pattern. */
const FLAGS = "adDijJmosuUx";
/** Flags of nginx that change what a pattern means and that have no counterpart in the engine here. */
const MISSING = "aADJUx";

/** What is wrong with a pattern and its flags, or undefined. In the strict profile also that it does not run in linear time. */
export function patternProblem(source: string, flags: string, profile: Profile): string | undefined {
  for (const flag of flags) {
    if (!FLAGS.includes(flag)) return `unknown flag "${flag}" (flags "${flags}")`;
    if (MISSING.includes(flag)) return `flag "${flag}" is not supported (flags "${flags}")`;
  }
  try {
    createPatternCompiler(profile, () => undefined)(source, flags);
    return undefined;
  } catch (error) {
    return toFault(error).message;
  }
}

/** `$1`, `${1}` and `$$` are all that a replacement may have of the dollar sign. */
const REPLACEMENT = /^(?:[^$]|\$(?:\d|\{\d{1,2}\}|\$))*$/;

/** What is wrong with a replacement text, or undefined. */
export function replacementProblem(replacement: string): string | undefined {
  return REPLACEMENT.test(replacement) ? undefined : "failed to compile the replacement template";
}
