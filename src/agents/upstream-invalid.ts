import { Fault } from "../kernel/index.ts";

/** The fault of an agent whose answer cannot be used. `detail` is shown to the tenant's callers: it never repeats the agent's bytes. */
export function upstreamInvalid(detail: string, cause?: unknown): Fault {
  return new Fault("upstream_invalid", detail, { public: { detail }, cause });
}
