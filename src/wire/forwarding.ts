import { Fault, toFault } from "../kernel/index.ts";
import { GrowingBuffer } from "./body.ts";
import type { AnswerSource, WireExchange } from "./exchange.ts";
import type { Answer, Forward, ForwardFailure, HeaderEdit, LastPiece, MapPlan, ResponsePlan } from "./http.ts";
import { TOKEN } from "./http1/characters.ts";
import { KIND } from "./http1/field-names.ts";
import type { UpstreamHead } from "./http1/response-parser.ts";
import type { UpstreamConnection, UpstreamUser } from "./http1/upstream-connection.ts";
import { ConnectionPool, type Seeker } from "./http1/upstream-pool.ts";
import { RequestPass, TEXT_BYTES_MAX } from "./request-pass.ts";
import { UpstreamBody } from "./upstream-body.ts";
import { interimFields, mayTrail, trailerFields } from "./side-fields.ts";

/** How much of an unwanted answer is read so that its connection can be used again. */
const DRAIN_BYTES_MAX = 64 * 1024;
/** Methods that may be sent twice (RFC 9110, 9.2.2). */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]);
/** Methods whose body is expected, so that its absence is said (RFC 9110, 8.6). */
const WITH_BODY: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);
const VISIBLE = /^[!-~]+$/;
/** RFC 9110, 10.1.4: the field is for the next connection only, which Connection says. */
const TRAILERS_WANTED = "connection: te\r\nte: trailers\r\n";

/** One exchange at upstreams, over any number of tries: what the caller sends goes there, what comes back goes to the caller by the plan. */
export class Forwarding implements AnswerSource, Seeker {
  wanted = true;
  readonly #exchange: WireExchange;
  #forward: Forward | undefined;
  #connection: UpstreamConnection | undefined;
  #pass: RequestPass | undefined;
  #plan: ResponsePlan | undefined;
  #collected: GrowingBuffer | undefined;
  #remade: UpstreamBody | undefined;
  #trailers: HeaderEdit | undefined;
  /** The caller gets a head only. */
  #bodyless = false;
  #sent = false;
  /** The answer was ended or broken off here, before the upstream was at its end. */
  #over = false;

  constructor(exchange: WireExchange) {
    this.#exchange = exchange;
  }

  /** One try. */
  try(forward: Forward): void {
    this.#forward = forward;
    this.#sent = false;
    this.#plan = undefined;
    if (!(forward.pool instanceof ConnectionPool)) throw new Error("a pool of another make");
    if (forward.body === "pass" && this.#pass?.repeatable === false)
      return this.#exchange.refuse(new Fault("internal", "a body that is gone was to be sent again"));
    forward.pool.acquire(this, forward);
  }

  onReady(connection: UpstreamConnection): void {
    const forward = this.#forward;
    if (!forward || !this.wanted) return connection.destroy();
    try {
      connection.begin(forward.method, this.#head(forward), forward.timeouts);
    } catch (error) {
      connection.destroy();
      return this.#exchange.refuse(toFault(error));
    }
    this.#connection = connection;
    this.#sent = true;
    if (forward.body === "pass" && this.#exchange.hasBody) {
      this.#pass ??= new RequestPass(this.#exchange);
      return this.#pass.sendTo(connection);
    }
    if (forward.body instanceof Uint8Array) writeBytes(connection, forward.body);
    connection.complete();
    connection.flush();
  }

  onWritable(): void {
    this.#exchange.port.resumeBody();
  }

  onInterim(head: UpstreamHead): void {
    if (this.#forward && this.wanted) this.#exchange.port.interim(head.status, interimFields(head.headers));
  }

  onHead(head: UpstreamHead): void {
    const forward = this.#forward;
    if (!forward) return;
    try {
      const plan = forward.onResponse(head);
      if (head.status === 101 && !isAnother(plan)) this.#join(head, plan);
      else this.#follow(head, plan);
    } catch (error) {
      this.#exchange.refuse(toFault(error));
    }
  }

  piece(bytes: Buffer, start: number, end: number, text?: string): void {
    const plan = this.#plan;
    if (!plan || this.#bodyless) return;
    if (plan.kind === "pass") this.#write(bytes, start, end, text);
    else if (plan.kind === "map") this.#map(plan, Buffer.from(bytes.subarray(start, end)));
    else if (plan.kind === "remake") this.#remade?.push(Buffer.from(bytes.subarray(start, end)));
    else if (plan.kind === "collect" && this.#collected?.add(bytes.subarray(start, end)) === false) this.#collectedAll(plan, undefined);
  }

  onTrailers(lines: string): void {
    if (this.#exchange.trails) this.#trailers = trailerFields(lines);
  }

  onBodyEnd(): void {
    const plan = this.#plan;
    this.#letGo();
    if (!plan) return;
    if (plan.kind === "collect") return this.#collectedAll(plan, this.#collected?.bytes());
    if (plan.kind === "remake") return this.#remade?.end();
    if (plan.kind === "map" && !this.#bodyless) this.#map(plan, undefined);
    // a function that failed has broken the answer off, and one that was at its end has ended it
    if (this.wanted && !this.#over) this.#exchange.finish(this.#trailers);
  }

  onRead(): void {
    if (this.#plan?.kind === "pass" || this.#plan?.kind === "map") this.#flushAnswer();
  }

  onSpoilt(): void {
    if (this.#pass?.repeatable === false) return this.onFail("closed", "the idle connection was spoilt");
    const forward = this.#forward;
    this.#letGo();
    if (forward && this.wanted) this.try(forward);
  }

  onFail(kind: ForwardFailure["kind"], reason: string): void {
    const forward = this.#forward;
    this.#letGo();
    if (this.#plan?.kind === "remake") return this.#remade?.fail(new Fault("upstream_unreachable", reason));
    if (!forward || !this.wanted) return;
    if (this.#plan?.kind === "map" && this.#plan.broken && !this.#bodyless) return this.#endBroken(this.#plan, reason);
    if (this.#plan?.kind === "pass" || this.#plan?.kind === "map") return this.#exchange.port.reset();
    const unsent = kind === "connect" || kind === "connect_timeout" || !this.#sent;
    const repeatable = this.#pass === undefined || this.#pass.repeatable;
    const next = this.#guarded(() =>
      forward.onFailure({ kind, reason, retryable: repeatable && (unsent || IDEMPOTENT.has(forward.method)) }),
    );
    if (next === undefined) return;
    if ("pool" in next) this.try(next);
    else this.#answer(next);
  }

  /** The caller takes bytes again. */
  onDrain(): void {
    this.#connection?.resume();
  }

  abort(): void {
    this.wanted = false;
    const connection = this.#connection;
    this.#letGo();
    connection?.destroy();
  }

  #letGo(): void {
    this.#connection = undefined;
    this.#pass?.stop();
  }

  #head(forward: Forward): string {
    const { method, target, headers, body } = forward;
    if (!IDEMPOTENT.has(method) && !WITH_BODY.has(method)) checkMethod(method);
    if (!VISIBLE.test(target)) throw new Error("the target has a character that is not allowed");
    const host = headers.get("host") === undefined ? `host: ${hostOf(forward)}\r\n` : "";
    return `${method} ${target} HTTP/1.1\r\n${host}${headers.text()}${this.#options(forward)}${this.#framing(method, body)}\r\n`;
  }

  /** What is asked of the next connection: another protocol, or the trailers that the caller reads. */
  #options(forward: Forward): string {
    if (!forward.upgrade || !this.#exchange.joinable) return this.#exchange.head.trailers ? TRAILERS_WANTED : "";
    const protocol = this.#exchange.head.headers.all("upgrade").join(", ");
    return `connection: upgrade\r\nupgrade: ${protocol}\r\n`;
  }

  #framing(method: string, body: Forward["body"]): string {
    const framing = this.#exchange.head.framing;
    if (body instanceof Uint8Array) return body.length > 0 || WITH_BODY.has(method) ? `content-length: ${body.length}\r\n` : "";
    if (body === "pass" && framing.kind === "length") return `content-length: ${framing.length}\r\n`;
    if (body === "pass" && framing.kind === "chunked") return "transfer-encoding: chunked\r\n";
    return WITH_BODY.has(method) ? "content-length: 0\r\n" : "";
  }

  #join(head: UpstreamHead, plan: ResponsePlan): void {
    const connection = this.#connection;
    if (!connection || plan.kind !== "pass" || !this.#forward?.upgrade || !this.#exchange.joinable) {
      return connection?.reject("a change of protocol that nobody asked for");
    }
    this.#plan = plan;
    this.#exchange.port.join(plan.headers, head.headers.all("upgrade").join(", "), connection);
  }

  #follow(head: UpstreamHead, plan: ResponsePlan): void {
    if (plan.kind === "retry" || plan.kind === "replace") {
      this.#drain(head);
      if (plan.kind === "retry") this.try(plan.forward);
      else this.#answer(plan.answer);
      return;
    }
    this.#plan = plan;
    if (plan.kind === "collect") {
      this.#collected = new GrowingBuffer(plan.bytesMax);
      return;
    }
    if (plan.kind === "remake") return this.#remake(plan);
    const { status } = plan;
    this.#bodyless = this.#exchange.head.method === "HEAD" || status === 204 || status === 304;
    if (plan.kind === "pass" && head.framing.kind === "chunked" && !this.#bodyless) this.#allowTrailers(head, plan.headers);
    const length = plan.kind === "map" ? undefined : this.#lengthFor(head, status);
    this.#exchange.begin(status, plan.headers, length, this.#bodyless);
  }

  /** The answer begins when its maker has it, and may end before the upstream does. */
  #remake(plan: Extract<ResponsePlan, { kind: "remake" }>): void {
    const stop = (): void => {
      const connection = this.#connection;
      this.#letGo();
      connection?.destroy();
    };
    const body = new UpstreamBody({ pause: () => this.#connection?.pause(), resume: () => this.#connection?.resume(), stop });
    this.#remade = body;
    const { signal } = this.#exchange;
    const gone = (): void => {
      stop();
      body.fail(signal.reason);
    };
    signal.addEventListener("abort", gone, { once: true });
    Promise.resolve(this.#guarded(() => plan.answer(body))).then(
      (answer) => answer && this.#answer(answer),
      (error: unknown) => {
        stop();
        this.#exchange.refuse(toFault(error));
      },
    );
  }

  /** Trailers go where they can be read, with what was said of them ahead. Whoever changes a body makes those of the old one wrong. */
  #allowTrailers(head: UpstreamHead, headers: HeaderEdit): void {
    const { version, trailers } = this.#exchange.head;
    this.#exchange.trails = version === "2" || (trailers && version === "1.1");
    if (!this.#exchange.trails || (head.headers.seen & (1 << KIND.trailer)) === 0) return;
    const said = head.headers.all("trailer").flatMap((names) => names.split(","));
    const names = said.map((name) => name.trim()).filter((name) => name !== "" && mayTrail(name));
    if (names.length > 0) headers.set("trailer", names.join(", "));
  }

  /** The length that the caller is told. */
  #lengthFor(head: UpstreamHead, status: number): number | undefined {
    if (this.#bodyless) return status === 204 ? undefined : head.length;
    return head.hasBody ? (head.framing.kind === "length" ? head.length : undefined) : 0;
  }

  /** Nobody wants the rest of this answer, but a short one is read so that its connection stays good. */
  #drain(head: UpstreamHead): void {
    const connection = this.#connection;
    this.#letGo();
    if (!connection) return;
    if (head.hasBody && (head.length ?? Infinity) > DRAIN_BYTES_MAX) connection.destroy();
    else connection.handTo(NOBODY);
  }

  #write(bytes: Buffer, start: number, end: number, text: string | undefined): void {
    const { port } = this.#exchange;
    this.#exchange.bytesOut += end - start;
    if (end - start <= TEXT_BYTES_MAX) port.writeText(text?.slice(start, end) ?? bytes.toString("latin1", start, end));
    else port.write(Buffer.from(bytes.subarray(start, end)));
  }

  #map({ map }: MapPlan, piece: Uint8Array | undefined): void {
    try {
      const made = map(piece);
      if (made === undefined) return;
      if (isLast(made)) this.#endEarly(made.last);
      else this.#writeMade(made);
    } catch {
      this.#breakOff(); // what the function could not make must not look whole
    }
  }

  #writeMade(made: Uint8Array): void {
    if (made.length === 0) return;
    this.#exchange.bytesOut += made.length;
    this.#exchange.port.write(made);
  }

  /** Nothing more of the upstream is wanted, and the answer is complete all the same. */
  #endEarly(last: Uint8Array): void {
    const connection = this.#connection;
    this.#over = true;
    this.#plan = undefined;
    this.#letGo();
    connection?.destroy();
    this.#writeMade(last);
    this.#exchange.finish();
  }

  #endBroken(plan: MapPlan, reason: string): void {
    this.#plan = undefined;
    try {
      const ending = plan.broken?.(reason);
      if (ending === undefined) return this.#breakOff();
      this.#writeMade(ending);
      this.#exchange.finish();
    } catch {
      this.#breakOff();
    }
  }

  /** The head is out, so nothing else can be said. */
  #breakOff(): void {
    this.#over = true;
    this.#exchange.port.reset();
  }

  #flushAnswer(): void {
    if (!this.#exchange.port.flush()) this.#connection?.pause();
  }

  #collectedAll(plan: Extract<ResponsePlan, { kind: "collect" }>, body: Uint8Array | undefined): void {
    this.#plan = undefined;
    this.#collected = undefined;
    const connection = this.#connection;
    this.#letGo();
    connection?.destroy();
    const made = this.#guarded(() => plan.whole(body));
    if (made instanceof Promise) {
      made.then(
        (answer) => this.#answer(answer),
        (error: unknown) => this.#exchange.refuse(toFault(error)),
      );
    } else if (made) this.#answer(made);
  }

  #answer(answer: Answer): void {
    this.#forward = undefined;
    this.#exchange.replace(answer);
  }

  /** What the handler's function gives; when it throws, the request is refused. */
  #guarded<Result>(run: () => Result): Result | undefined {
    try {
      return run();
    } catch (error) {
      this.#exchange.refuse(toFault(error));
      return undefined;
    }
  }
}

function isLast(made: Uint8Array | LastPiece): made is LastPiece {
  return !(made instanceof Uint8Array);
}

/** Reads what nobody wants. */
const NOBODY: UpstreamUser = {
  onReady: (connection) => connection.destroy(),
  onInterim: () => undefined,
  onHead: () => undefined,
  piece: () => undefined,
  onTrailers: () => undefined,
  onBodyEnd: () => undefined,
  onRead: () => undefined,
  onWritable: () => undefined,
  onSpoilt: () => undefined,
  onFail: () => undefined,
};

function isAnother(plan: ResponsePlan): boolean {
  return plan.kind === "replace" || plan.kind === "retry";
}

function checkMethod(method: string): void {
  for (let i = 0; i < method.length; i++)
    if (TOKEN[method.charCodeAt(i)] !== 1) throw new Error("the method has a character that is not allowed");
  if (method === "" || method === "CONNECT") throw new Error("this method cannot be sent on");
}

function hostOf({ origin }: Forward): string {
  const host = origin.host.includes(":") ? `[${origin.host}]` : origin.host;
  return origin.port === (origin.tls ? 443 : 80) ? host : `${host}:${origin.port}`;
}

function writeBytes(connection: UpstreamConnection, bytes: Uint8Array): void {
  if (bytes.length > TEXT_BYTES_MAX) connection.write(bytes);
  else connection.writeText(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1"));
}
