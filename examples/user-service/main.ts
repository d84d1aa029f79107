import { once } from "node:events";
import { openFreehold, serve } from "./service.ts";

const freehold = await openFreehold(process.env);
const service = await serve(freehold, Number(process.env["PORT"] ?? 3001));
process.stdout.write(`user-service is ready at ${service.url}; the gateway sends /user-service/users to it\n`);

await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
await service.close();
await freehold.close();
