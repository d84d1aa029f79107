import { once } from "node:events";
import { createFreehold } from "freehold";
import { openFreehold, serve } from "../user-service/service.ts";
import { userReport } from "./report.ts";

const { FREEHOLD_DATABASE_URL: url, FREEHOLD_ROOT_KEY: rootKey, PORT: port = "3001" } = process.env;

// an embedded database belongs to one process: without PostgreSQL the worker takes user-service in
const freehold =
  url === undefined
    ? await openFreehold(process.env)
    : await createFreehold({
        audience: "report-worker",
        database: { url, shared: true },
        profile: "development",
        ...(rootKey !== undefined && { rootKey }),
      });
const service = url === undefined ? await serve(freehold, Number(port)) : undefined;
await freehold.startWorker([userReport()]);
process.stdout.write(`report-worker is ready${service ? `, with user-service at ${service.url}` : ""}\n`);

await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
await service?.close();
await freehold.close();
