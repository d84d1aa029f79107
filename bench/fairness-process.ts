/**
 * Program: a server of the bench's own with a fair queue in front of an upstream that only takes time. The tenant is what the header
 * x-tenant says. With `arrival` as its argument all are one tenant to the queue: first come, first served.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock } from "../src/kernel/index.ts";
import { createFairQueue } from "../src/tenancy/limits/index.ts";
import { FAIRNESS } from "./fairness-house.ts";
import { createPicker } from "./tenants.ts";

const inOrderOfArrival = process.argv[2] === "arrival";
const queue = createFairQueue({ concurrency: FAIRNESS.places, queueMax: 10_000, deadlineMs: 30_000, clock: systemClock });

const pick = createPicker();
const [least, most] = FAIRNESS.upstreamMs;

const server = createServer((request, response) => {
  const tenant = inOrderOfArrival ? "all" : String(request.headers["x-tenant"]);
  void Promise.resolve(queue.enter(tenant, 1)).then((ticket) => {
    setTimeout(
      () => {
        ticket.leave();
        response.writeHead(200, { "content-length": 2 }).end("ok");
      },
      least + pick(most - least + 1),
    );
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
process.on("disconnect", () => process.exit());
