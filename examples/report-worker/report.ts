import { type ServiceConsumer, sql } from "freehold";

/** The document that holds a tenant's report: user-service shows it at `GET /reports/users`. */
const REPORT_ID = "report-users";

/**
 * Keeps one report per tenant: how many users there are, and who came last. It is counted from the rows, not from the events, so an event
 * that comes twice changes nothing; and only from the tenant's own rows, since the scope has no others.
 */
export function userReport(): ServiceConsumer {
  return {
    name: "user-report",
    topics: ["user.events"],
    handle: async (_event, scope) => async (tx) => {
      const { uuid, id } = scope.context.tenant;
      const { rows } = await tx.query<{ name: string }>(sql`select name from freehold.users order by created_at desc, id desc`);
      const text = `${id} has ${rows.length} users. The newest is ${rows[0]?.name ?? "nobody"}.`;
      await tx.query(sql`
        insert into freehold.documents (tenant_id, id, title, body, created_by)
        values (${uuid}, ${REPORT_ID}, 'Users', ${text}, 'report-worker')
        on conflict (tenant_id, id) do update set body = excluded.body, updated_at = now()`);
    },
  };
}
