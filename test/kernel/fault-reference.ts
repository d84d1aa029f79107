import { FAULTS } from "../../src/kernel/index.ts";

const HEAD = `# Errors

What the code of an error means. Each answer outside \`/v1\` that is an error has \`Content-Type: application/problem+json\` (RFC 9457):

| member | is |
|---|---|
| \`type\` | \`urn:freehold:fault:\` and the code |
| \`title\` | the sentence below, or the tenant's own text for the code in the caller's language |
| \`status\` | the HTTP status |
| \`code\` | one of the codes below |
| \`detail\` | what happened in this case and what to do, where there is more to say |
| \`field\` | the member or parameter at fault, where it is one |
| \`policy\` | the limit that refused, with status 429 |
| \`retryAfterMs\` | when trying again is worth it, in milliseconds; also in \`Retry-After\` (seconds) and \`retry-after-ms\` |
| \`requestId\` | the id of the request, as in \`X-Request-ID\` and in the log |

What is not yours and what does not exist give the same answer. So do a credential that is missing, faulty or unknown.

A retry helps where the same request can succeed later without a change.

| status | code | title | retry |
|---|---|---|---|
`;

/** The text of docs/reference/errors.md: the table of faults for the reader, in the order of the statuses. */
export function faultReference(): string {
  const rows = Object.entries(FAULTS).toSorted(([a, x], [b, y]) => x.status - y.status || (a < b ? -1 : 1));
  return (
    HEAD + rows.map(([code, { status, title, retry }]) => `| ${status} | \`${code}\` | ${title} | ${retry ? "helps" : ""} |\n`).join("")
  );
}
