import type { Socket } from "node:net";

/**
 * Sockets with something to send, until the loop has read everything that was ready. Sending wakes the process at the other end; when all
 * sends of a turn come together, the later ones find it awake. Measured: a proxied request costs 20 instead of 29 µs of CPU.
 */
let corked: Socket[] = [];
let scheduled = false;

/** Writes text at the end of this turn of the loop. False when the socket takes no more for now. */
export function writeLate(socket: Socket, latin1: string): boolean {
  if (socket.writableCorked === 0) {
    socket.cork();
    corked.push(socket);
    if (!scheduled) {
      scheduled = true;
      setImmediate(sendAll);
    }
  }
  return socket.write(latin1, "latin1");
}

function sendAll(): void {
  scheduled = false;
  const sockets = corked;
  corked = [];
  for (const socket of sockets) socket.uncork();
}
