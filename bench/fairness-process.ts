/** Program: an upstream that has so many places and takes its time in each; who finds none waits in the order of arrival. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { FAIRNESS } from "./fairness-house.ts";
import { createPicker } from "./tenants.ts";

const pick = createPicker();
const [least, most] = FAIRNESS.upstreamMs;
const waiting: ServerResponse[] = [];
let busy = 0;

function serve(response: ServerResponse): void {
  busy++;
  setTimeout(
    () => {
      busy--;
      response.writeHead(200, { "content-length": 2 }).end("ok");
      const next = waiting.shift();
      if (next) serve(next);
    },
    least + pick(most - least + 1),
  );
}

const server = createServer((_request, response) => {
  if (busy < FAIRNESS.places) serve(response);
  else waiting.push(response);
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
process.on("disconnect", () => process.exit());
