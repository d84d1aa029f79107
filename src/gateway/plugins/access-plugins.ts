import type { Plugin } from "../proxy/plugin.ts";

/** Who may, and how much: proof, restriction, limits, breaking, splitting. */
export const ACCESS_PLUGINS: readonly Plugin[] = [];
