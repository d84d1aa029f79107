import type { ErrorRequestHandler, Request, RequestHandler, Response } from "express";
import type { ProblemAnswer } from "../wire/index.ts";
import { requestIdOf } from "./authenticate.ts";
import type { Freehold, RequestTenant } from "./freehold.ts";
import { pairsOf } from "./node-fields.ts";
import { PRIVATE_FIELDS } from "./problems.ts";

declare global {
  // oxlint-disable-next-line typescript/no-namespace -- the place that Express has for this, and the only one that every installer finds
  namespace Express {
    interface Request {
      /** Who the request is for. There behind `tenantMiddleware`, and nowhere else. */
      tenant: RequestTenant;
    }
  }
}

/**
 * Proves the tenant of every request behind it and puts it at `request.tenant`. What is not proved is answered here: no handler behind it runs.
 */
export function tenantMiddleware(freehold: Freehold): RequestHandler {
  return (request, response, next) => {
    const { method, originalUrl: target, socket } = request;
    freehold.authenticate({ method, target, fields: pairsOf(request.rawHeaders), remoteAddress: socket.remoteAddress ?? "" }).then(
      (tenant) => {
        request.tenant = tenant;
        for (const [name, value] of Object.entries(PRIVATE_FIELDS)) response.setHeader(name, value);
        freehold.run(tenant.context, next);
      },
      (error: unknown) => send(response, freehold.problem(error, callOf(request))),
    );
  };
}

/** Answers what handlers throw with a problem document of the one error table. It comes after all routes. */
export function problemHandler(freehold: Freehold): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    // the answer has begun: Express ends the connection, so that it never looks whole
    if (response.headersSent) next(error);
    else send(response, freehold.problem(error, callOf(request)));
  };
}

/** `tenant` is missing in front of the middleware, whatever its type says. */
function callOf(request: Request): Parameters<Freehold["problem"]>[1] {
  const { tenant } = request as { tenant?: RequestTenant };
  const requestId = tenant?.context.requestId ?? requestIdOf(pairsOf(request.rawHeaders));
  return { requestId, tenant: tenant?.context.tenant, acceptLanguage: request.get("accept-language") };
}

function send(response: Response, { status, headers, body }: ProblemAnswer): void {
  response.writeHead(status, headers).end(body); // not `set`, which changes the content type
}
