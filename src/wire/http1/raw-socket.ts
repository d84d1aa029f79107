import { readSync } from "node:fs";
import { Socket } from "node:net";
import { getSystemErrorName } from "node:util";

/**
 * The two things that Node's plain sockets can do and its public interface only half offers, and what they save of the 28 µs that a proxied
 * request costs (measured beside nginx): reading an accepted connection into one buffer, as `onread` of `net.connect` does, and
 * writing without the bookkeeping of streams. Everything that touches Node's inside is in this file; where it is not found as expected,
 * or Node is another than the tests run on, {@link readInto} and {@link rawWriterOf} say so and the ordinary way is used.
 */

/** The major versions of Node whose inside is known to be as this file has it. */
const KNOWN_NODES: ReadonlySet<string> = new Set(["24"]);
const isKnownNode = KNOWN_NODES.has(process.versions.node.split(".")[0] ?? "");

/** What a write that was not done at once is remembered by. */
interface WriteRequest {
  oncomplete: ((status: number) => void) | undefined;
  /** Keeps the bytes alive. */
  buffer: unknown;
}

interface Handle {
  readonly fd?: number;
  writeLatin1String(request: WriteRequest, text: string): number;
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
  writev(request: WriteRequest, chunks: readonly unknown[], allBuffers: boolean): number;
  useUserBuffer(buffer: Uint8Array): void;
}

interface StreamWrap {
  readonly WriteWrap: new () => WriteRequest;
  readonly streamBaseState: Int32Array;
  readonly kLastWriteWasAsync: number;
}

/**
 * What plain connections are read into, all of them: a piece is used up before the next one is read. Without it every read would take
 * 64 KiB of new memory.
 */
export const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** A view of the first bytes of it. Short ones are made once each: a view costs as much as reading fifty characters. */
export function readView(length: number): Buffer {
  if (length > VIEW_BYTES_MAX) return READ_BUFFER.subarray(0, length);
  return (views[length] ??= READ_BUFFER.subarray(0, length));
}

const VIEW_BYTES_MAX = 4 * 1024;
const views: (Buffer | undefined)[] = Array.from({ length: VIEW_BYTES_MAX + 1 });

const streamWrap = findStreamWrap();
const BUFFER = findSymbol("kBuffer");
const CALLBACK = findSymbol("kBufferCb");

/** Node's `onread` for a connection that was accepted. False when this socket cannot have it: its "data" has to be listened to. */
export function readInto(socket: Socket, callback: (bytesRead: number) => void): boolean {
  const handle = handleOf(socket);
  if (BUFFER === undefined || CALLBACK === undefined || typeof handle?.useUserBuffer !== "function") return false;
  setSlot(socket, BUFFER, READ_BUFFER);
  setSlot(socket, CALLBACK, (bytesRead: number) => {
    callback(bytesRead);
    return true;
  });
  handle.useUserBuffer(READ_BUFFER);
  return true;
}

/** From now on what is read comes as "data" again, a copy of each piece. Only after {@link readInto}. */
export function readAsStream(socket: Socket): void {
  if (CALLBACK !== undefined) setSlot(socket, CALLBACK, (bytesRead: number) => socket.push(Buffer.from(readView(bytesRead))));
}

/** Writes to a connected plain socket past its stream, which must have nothing buffered. */
export class RawWriter {
  readonly #socket: Socket;
  readonly #handle: Handle;
  readonly #wrap: StreamWrap;
  readonly #onDone: () => void;
  /** Writes that the kernel has not taken whole. */
  #pending = 0;

  constructor(socket: Socket, handle: Handle, wrap: StreamWrap, onDone: () => void) {
    this.#socket = socket;
    this.#handle = handle;
    this.#wrap = wrap;
    this.#onDone = onDone;
  }

  /** Latin1. False when not all of it could be sent: `onDone` is called when it was. */
  text(latin1: string): boolean {
    const request = this.#request();
    return this.#finish(request, this.#handle.writeLatin1String(request, latin1));
  }

  /** Text in latin1, then bytes that must not change afterwards; in one piece. */
  bytes(before: string, bytes: Uint8Array): boolean {
    const request = this.#request();
    request.buffer = bytes;
    const { length } = before;
    return this.#finish(
      request,
      length === 0 ? this.#handle.writeBuffer(request, bytes) : this.#handle.writev(request, [before, "latin1", bytes, "buffer"], false),
    );
  }

  #request(): WriteRequest {
    const request = spare ?? new this.#wrap.WriteWrap();
    spare = undefined;
    return request;
  }

  #finish(request: WriteRequest, error: number): boolean {
    if (error === 0 && this.#wrap.streamBaseState[this.#wrap.kLastWriteWasAsync] === 1) {
      this.#pending++;
      request.oncomplete = (status) => this.#completed(status);
      return false;
    }
    request.buffer = undefined;
    if (error === 0) spare = request; // nothing has kept it
    else this.#failed(error);
    return this.#pending === 0;
  }

  #completed(status: number): void {
    this.#pending--;
    if (this.#socket.destroyed) return;
    if (status < 0) this.#failed(status);
    else if (this.#pending === 0) this.#onDone();
  }

  #failed(error: number): void {
    const code = getSystemErrorName(error);
    this.#socket.destroy(Object.assign(new Error(`write ${code}`), { code }));
  }
}

/** A request that was not needed, for the next write: most are taken by the kernel at once. */
let spare: WriteRequest | undefined;

/** A writer to this socket past its stream; undefined when there is none, for TLS or another Node. */
export function rawWriterOf(socket: Socket, onDone: () => void): RawWriter | undefined {
  const handle = handleOf(socket);
  if (streamWrap === undefined || "encrypted" in socket || typeof handle?.writeLatin1String !== "function") return undefined;
  return new RawWriter(socket, handle, streamWrap, onDone);
}

const ONE_BYTE = Buffer.alloc(1);

/**
 * Whether nothing lies on a connected socket that the loop has not read yet, its end included. Where something does, it is used up by the
 * look, and the socket must not be used any more. False where nobody can look. It costs as much as a fifth of a proxied request.
 */
export function isQuiet(socket: Socket): boolean {
  const { fd = -1 } = handleOf(socket) ?? {};
  if (fd < 0) return false;
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0; // "nothing there" is an error, and its trace the most of the cost
  try {
    readSync(fd, ONE_BYTE, 0, 1, null);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EAGAIN"; // what the call throws
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function handleOf(socket: Socket): Handle | null | undefined {
  return (socket as unknown as { readonly _handle?: Handle | null })._handle;
}

function findSymbol(description: string): symbol | undefined {
  if (!isKnownNode) return undefined;
  return Object.getOwnPropertySymbols(new Socket()).find((symbol) => symbol.description === description);
}

function setSlot(socket: Socket, slot: symbol, value: unknown): void {
  (socket as unknown as Record<symbol, unknown>)[slot] = value;
}

function findStreamWrap(): StreamWrap | undefined {
  if (!isKnownNode) return undefined;
  try {
    const found = (process as unknown as { binding(name: string): Partial<StreamWrap> }).binding("stream_wrap");
    const { WriteWrap, streamBaseState, kLastWriteWasAsync } = found;
    if (!WriteWrap || !streamBaseState || kLastWriteWasAsync === undefined) return undefined;
    return { WriteWrap, streamBaseState, kLastWriteWasAsync };
  } catch {
    return undefined; // not offered by this Node, or not allowed
  }
}
