import { once } from "node:events";
import { createServer } from "node:http";
import { createFreehold, type Freehold } from "freehold";
import { createApp } from "./app.ts";

/** The id of the upstream in examples/gateway.yaml: the gateway signs contexts for it. */
const AUDIENCE = "user-service";
const FOLDER = ".user-service";

/** The service's Freehold: on a folder of its own, or, with `FREEHOLD_DATABASE_URL`, on the gateway's database. */
export async function openFreehold(environment: NodeJS.ProcessEnv): Promise<Freehold> {
  const { FREEHOLD_DATABASE_URL: url, FREEHOLD_ROOT_KEY: rootKey, USER_SERVICE_DATA: folder = FOLDER } = environment;
  return await createFreehold({
    audience: AUDIENCE,
    gatewayUrl: environment["FREEHOLD_URL"] ?? "http://127.0.0.1:8080",
    database: url === undefined ? { folder } : { url, shared: true },
    profile: "development",
    ...(rootKey !== undefined && { rootKey }),
  });
}

/** Serves on 127.0.0.1 until it is closed: nobody but the gateway beside it should reach the service. */
export async function serve(freehold: Freehold, port: number): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = createServer(createApp(freehold));
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    async close() {
      server.close();
      server.closeIdleConnections();
      await once(server, "close");
    },
  };
}
