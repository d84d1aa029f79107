import { z } from "zod";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { agreeingTenantId, text } from "../../schemas.ts";
import type { Services } from "../../services.ts";

const searchInput = z.strictObject({
  query: text(2_000),
  limit: z.int().min(1).max(50).default(10),
  filter: z.record(z.string().min(1).max(64), z.union([z.string().max(512), z.number(), z.boolean()])).optional(),
  tenantId: agreeingTenantId,
});

/** `POST /search`: what of the tenant's documents and users fits the words, by vectors and full text together. */
export function search({ identity }: Services): Operation {
  return tenantOperation(
    { role: "member", scope: "search" },
    {
      method: "POST",
      path: "/search",
      summary: "Search the tenant's documents and users. `filter` compares values kept with them.",
      body: searchInput,
      async run({ body, context, scope, head, signal }) {
        const { query, limit, filter } = body;
        identity.agree(context, filter?.["tenantId"], head.remoteAddress); // written to the trail, as in every other place
        const hits = await scope.search.query({ query, limit, ...(filter && { filter }) }, signal);
        return json(200, { results: hits.map(({ ref, ...hit }) => ({ id: ref, ...hit })) });
      },
    },
  );
}
