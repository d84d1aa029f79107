import { uuidV7 } from "../../kernel/index.ts";
import type { LifecyclePorts } from "./ports.ts";

/** The id of a new run: later ones are greater. */
export function newRunId({ clock, random }: Pick<LifecyclePorts, "clock" | "random">): string {
  return uuidV7(clock, random);
}
