import type { Plugin } from "../proxy/plugin.ts";

/** What is sent and answered: rewriting, validation, caching, CORS, logging. */
export const CONTENT_PLUGINS: readonly Plugin[] = [];
