import { z } from "zod";
import { Fault, isUuid } from "../../../kernel/index.ts";
import { json, type Operation, tenantOperation } from "../../../gateway/index.ts";
import { sql } from "../../../stores/data/index.ts";
import { recordChange } from "../../record-change.ts";
import { pageLimit } from "../../schemas.ts";
import type { Services } from "../../services.ts";

/** `/tenant/v1/dead-letters`: the tenant's events that could not be handled, and sending one again. */
export function ownDeadLetters(services: Services): readonly Operation[] {
  return [
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "GET",
        path: "/tenant/v1/dead-letters",
        summary: "List the tenant's events that were given up, the newest first.",
        query: z.strictObject({ limit: pageLimit }),
        async run({ context, scope, query }) {
          const { rows } = await scope.platform.query(sql`
          select consumer, event_id as "eventId", attempts, reason, failed_at as "failedAt"
          from freehold.dead_letters where tenant_id = ${context.tenant.uuid} order by failed_at desc, event_id limit ${query.limit}`);
          return json(200, { deadLetters: rows });
        },
      },
    ),
    tenantOperation(
      { role: "admin", scope: "tenant" },
      {
        method: "POST",
        path: "/tenant/v1/dead-letters/{consumer}/{eventId}/redrive",
        summary: "Handle an event that was given up once more.",
        async run(call) {
          const { consumer = "", eventId = "" } = call.params;
          const { tenant } = call.context;
          const sent = isUuid(eventId) && (await services.worker.redrive(tenant.uuid, consumer, eventId));
          if (!sent) throw new Fault("not_found", "no such dead letter");
          recordChange(services, call, "dead_letter_redriven", tenant.id, { consumer, eventId });
          return json(202, { consumer, eventId });
        },
      },
    ),
  ];
}
