import { isForgedInternal } from "./headers.ts";

/** The `fetch` of the runtime, by its type. */
export type Fetch = typeof fetch;

/**
 * The `fetch` of the runtime, for calls on behalf of a tenant. `fieldsFor` gives the fields by which this process vouches for a request, for
 * origins that may have them, and undefined for all others.
 *
 * Fields of these names that the caller has put in are removed first, in any spelling and for every address, so that passing on all fields of
 * an incoming request gives nothing away. A redirect is answered, not followed, wherever the fields were sent: `fetch` would send them along
 * to wherever it leads.
 */
export function createTenantFetch(fieldsFor: (origin: string) => Readonly<Record<string, string>> | undefined): Fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const fields = fieldsFor(new URL(request.url).origin);
    const headers = new Headers([...request.headers].filter(([name]) => !isForgedInternal(name)));
    for (const [name, value] of Object.entries(fields ?? {})) headers.set(name, value);
    return await fetch(new Request(request, { headers, ...(fields && { redirect: "manual" }) }));
  };
}
