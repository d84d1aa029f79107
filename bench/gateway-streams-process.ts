/** Program: `upstream` answers every request with an event stream that stays open; `callers` opens streams and keeps them. */
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";

/** What the callers are told to do. */
export interface StreamsOrder {
  readonly url: string;
  readonly count: number;
}

/** Connections that are opened at once. */
const AT_ONCE = 100;
const FIRST_EVENT = "data: open\n\n";

async function serve(): Promise<void> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(FIRST_EVENT);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (typeof address === "object" && address !== null) process.send?.(address.port);
}

async function openOne(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", (error) => {
    throw error;
  });
  await once(socket, "connect");
  socket.write("GET /events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
  let text = "";
  while (!text.includes(FIRST_EVENT)) {
    const [piece] = (await once(socket, "data")) as [Buffer]; // no encoding is set
    text += piece.toString("latin1");
  }
  if (!text.startsWith("HTTP/1.1 200 ")) throw new Error(text);
}

async function open({ url, count }: StreamsOrder): Promise<void> {
  const port = Number(new URL(url).port);
  for (let opened = 0; opened < count; opened += AT_ONCE) {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count - opened) }, () => openOne(port)));
  }
  process.send?.({ open: count });
}

process.on("disconnect", () => process.exit());
if (process.argv[2] === "upstream") await serve();
else {
  process.on("message", (order: StreamsOrder) => {
    open(order).catch((error: unknown) => {
      console.error(error);
      process.exit(1);
    });
  });
}
