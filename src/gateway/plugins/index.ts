import type { Plugin } from "../proxy/plugin.ts";
import { ACCESS_PLUGINS } from "./access-plugins.ts";
import { CONTENT_PLUGINS } from "./content-plugins.ts";

/** Every plugin there is. A name that is not here is unknown, and a document that uses it is refused. */
export const PLUGINS: readonly Plugin[] = [...ACCESS_PLUGINS, ...CONTENT_PLUGINS];
