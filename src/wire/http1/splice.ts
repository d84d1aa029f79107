import type { Socket } from "node:net";
import type { WireExchange } from "../exchange.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";

/**
 * Joins two connections: what one sends goes to the other, no faster than that takes it; the end of one direction is passed on, and the end
 * of one connection ends the other. `onHalf` is called when one side has ended its direction.
 */
export function splice(caller: Socket, early: Buffer, upstream: UpstreamConnection, exchange: WireExchange, onHalf: () => void): void {
  const { socket } = upstream;
  caller.on("data", (bytes: Buffer) => {
    exchange.bytesIn += bytes.length;
    if (!socket.write(bytes)) caller.pause();
  });
  socket.on("drain", () => caller.resume());
  caller.on("drain", () => socket.resume());
  caller.on("end", () => {
    socket.end();
    onHalf();
  });
  socket.on("end", () => {
    caller.end();
    onHalf();
  });
  caller.once("close", () => upstream.destroy());
  socket.once("close", () => {
    // what it sent last is still given; a broken connection breaks the other
    if (socket.readableEnded) caller.destroySoon();
    else caller.destroy();
  });
  if (early.length > 0) {
    exchange.bytesIn += early.length;
    socket.write(early);
  }
  upstream.join((bytes) => {
    exchange.bytesOut += bytes.length;
    // a copy: the bytes stand in a buffer that the next read uses again
    if (!caller.write(Buffer.from(bytes))) socket.pause();
  });
  caller.resume();
}
