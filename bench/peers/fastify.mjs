// Program: Fastify with its proxy plugin. Arguments: port of the upstream, connections to it.
import httpProxy from "@fastify/http-proxy";
import Fastify from "fastify";

const server = Fastify();
server.register(httpProxy, {
  upstream: `http://127.0.0.1:${process.argv[2]}`,
  undici: { connections: Number(process.argv[3]), pipelining: 1 },
});
await server.listen({ port: 0, host: "127.0.0.1" });
process.send?.(server.server.address().port);
