import { randomUUID } from "node:crypto";
import express, { type Express } from "express";
import { Fault, type Freehold, sql } from "freehold";
import { problemHandler, tenantMiddleware } from "freehold/express";
import { z } from "zod";

const newUser = z.strictObject({ name: z.string().trim().min(1).max(200) });

/** The users of each tenant: `GET /users` and `POST /users/create`, which publishes `user.created` in the transaction of the change. */
export function createApp(freehold: Freehold): Express {
  const app = express();
  app.disable("x-powered-by");
  app.use(tenantMiddleware(freehold));

  app.get("/users", async (request, response) => {
    const { scope } = request.tenant;
    const { rows } = await scope.data.query(sql`select id, name from freehold.users order by created_at, id`);
    response.json({ users: rows });
  });

  app.post("/users/create", express.json(), async (request, response) => {
    const { context, scope } = request.tenant;
    const { name } = parse(request.body);
    const id = randomUUID();
    await scope.data.transaction(async (tx) => {
      await tx.query(sql`
        insert into freehold.users (tenant_id, id, name, roles) values (${context.tenant.uuid}, ${id}, ${name}, ${["member"]})`);
      await scope.events.publish(tx, { topic: "user.events", type: "user.created", key: id, data: { userId: id } });
    });
    response.status(201).json({ id, name });
  });

  // what workers have written about the tenant
  app.get("/reports/:name", async (request, response) => {
    const { scope } = request.tenant;
    const { rows } = await scope.data.query<{ title: string; text: string }>(sql`
      select title, body as text from freehold.documents where id = ${`report-${request.params.name}`}`);
    if (!rows[0]) throw new Fault("not_found", "no such report");
    response.json(rows[0]);
  });

  app.use(problemHandler(freehold));
  return app;
}

function parse(body: unknown): z.output<typeof newUser> {
  const result = newUser.safeParse(body);
  if (result.success) return result.data;
  throw new Fault("malformed_request", "no user", { public: { detail: 'Send {"name": "…"}, and nothing else.', field: "name" } });
}
