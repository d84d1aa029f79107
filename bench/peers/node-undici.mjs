// Program: the shortest proxy that node:http and undici make, without any policy. Arguments: port of the upstream, connections to it.
import { createServer } from "node:http";
import { Pool } from "undici";

const pool = new Pool(`http://127.0.0.1:${process.argv[2]}`, { connections: Number(process.argv[3]), pipelining: 1 });
const server = createServer((request, response) => {
  const { host, connection, ...headers } = request.headers;
  pool.dispatch(
    { method: request.method, path: request.url, headers, body: request.headers["content-length"] ? request : undefined },
    {
      onRequestStart() {},
      onResponseStart(_controller, status, fields) {
        const { connection: _ours, "keep-alive": _theirs, ...answered } = fields;
        response.writeHead(status, answered);
      },
      onResponseData(_controller, piece) {
        response.write(piece);
      },
      onResponseEnd() {
        response.end();
      },
      onResponseError() {
        response.destroy();
      },
    },
  );
});
server.listen(0, "127.0.0.1", () => process.send?.(server.address().port));
