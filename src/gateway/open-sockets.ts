import type { WebSocketConnection } from "../wire/index.ts";

const CLOSE_GOING_AWAY = 1001;

/** The sockets that are open in this process, so that its end can be told to them (RFC 6455, 7.4.1). */
export class OpenSockets {
  readonly #sockets = new Set<OpenSocket>();
  #leaving = false;

  /** The connection, which from now on can be asked to go. `end` must follow. */
  open(connection: WebSocketConnection): OpenSocket {
    const socket = new OpenSocket(connection);
    this.#sockets.add(socket);
    if (this.#leaving) socket.leave();
    return socket;
  }

  end(socket: OpenSocket): void {
    this.#sockets.delete(socket);
  }

  /** Closes every socket: at once where it waits for a message, otherwise when the message under way has been dealt with. */
  leave(): void {
    this.#leaving = true;
    for (const socket of this.#sockets) socket.leave();
  }
}

/** A connection that knows whether it is waiting for a message or dealing with one. */
export class OpenSocket implements WebSocketConnection {
  readonly #connection: WebSocketConnection;
  #busy = false;
  #leaving = false;

  constructor(connection: WebSocketConnection) {
    this.#connection = connection;
  }

  get messages(): AsyncIterable<string> {
    return this.#read();
  }

  send(text: string): Promise<void> {
    return this.#connection.send(text);
  }

  close(code: number, reason: string): void {
    this.#connection.close(code, reason);
  }

  leave(): void {
    this.#leaving = true;
    if (!this.#busy) this.close(CLOSE_GOING_AWAY, "The server is going away.");
  }

  async *#read(): AsyncGenerator<string, void> {
    for await (const text of this.#connection.messages) {
      if (this.#leaving) return; // what came after the close was begun is not taken on
      this.#busy = true;
      yield text;
      this.#busy = false;
      if (this.#leaving) this.leave();
    }
  }
}
