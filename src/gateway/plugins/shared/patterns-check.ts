import { toFault } from "../../../kernel/index.ts";
import type { Profile } from "../../proxy/plugin.ts";
import { createPatternCompiler } from "../../routing/pattern.ts";

/** What is wrong with the first of these patterns that cannot be used, or undefined. */
export function checkPatterns(sources: readonly string[], profile: Profile): string | undefined {
  const pattern = createPatternCompiler(profile, () => undefined);
  try {
    for (const source of sources) pattern(source, "");
    return undefined;
  } catch (error) {
    return toFault(error).message;
  }
}
