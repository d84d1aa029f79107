import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { WebSocket } from "ws";
import { until } from "./until.ts";

/** The answer to a command of the DevTools protocol. */
type Result = Readonly<Record<string, unknown>>;

interface Incoming {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Result;
  readonly result?: Result;
  readonly error?: { readonly message: string };
  readonly sessionId?: string;
}

/** The protocol's own shape. */
interface AxNode {
  readonly ignored: boolean;
  readonly role?: { readonly value: string };
  readonly name?: { readonly value: string };
}

/** One document in the browser: a page, or a frame of another site, which has a process of its own. */
export interface BrowserTarget {
  readonly url: string;
  /** What an expression gives, awaited. Throws what it throws. */
  evaluate<T>(expression: string): Promise<T>;
  press(key: keyof typeof KEYS): Promise<void>;
  /** What a screen reader is given: role and name of each thing that has one. */
  accessible(): Promise<readonly string[]>;
}

const KEYS = { Enter: 13, Escape: 27, Tab: 9 } as const;

/** Before what a page is looked at. */
export interface Screen {
  readonly width: number;
  readonly height: number;
  /** With a finger instead of a mouse. */
  readonly phone?: boolean;
  readonly dark?: boolean;
  readonly reducedMotion?: boolean;
}

/** A page of a real Chromium. */
export interface BrowserPage extends BrowserTarget {
  goto(url: string): Promise<void>;
  /** The frame of another site whose address begins so, when it is there. */
  frame(prefix: string): Promise<BrowserTarget>;
  /** Makes the screen and the wishes of who looks at it others than a desktop's in light colours. */
  emulate(screen: Screen): Promise<void>;
  /** A click of the mouse at this place. */
  click(x: number, y: number): Promise<void>;
  /** PNG. */
  screenshot(): Promise<Buffer>;
  /** What the page and its frames have written to the console or thrown, as text. */
  readonly complaints: string[];
}

/** Starts Chromium with nothing in it, and ends it with `close`. */
export async function startBrowser(): Promise<{ page(): Promise<BrowserPage>; close(): Promise<void> }> {
  const folder = mkdtempSync(path.join(tmpdir(), "freehold-browser-"));
  const flags = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--remote-debugging-port=0",
    `--user-data-dir=${folder}`,
  ];
  const child = spawn("chromium", [...flags, "--window-size=900,760", "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });
  const address = await listening(child);
  const socket = new WebSocket(address);
  await once(socket, "open");
  const connection = new Connection(socket);
  return {
    page: () => openPage(connection),
    async close() {
      socket.close();
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "close");
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function listening(child: ChildProcess): Promise<string> {
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
  return await until("the address of the browser", () => /ws:\/\/\S+/.exec(said)?.[0], 60_000);
}

/** Commands and events of all targets over one socket. */
class Connection {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, { resolve(result: Result): void; reject(error: Error): void }>();
  readonly listeners: ((message: Incoming) => void)[] = [];
  #id = 0;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString("utf8")) as Incoming; // the protocol's own shape
      const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id);
      if (message.error) waiting?.reject(new Error(message.error.message));
      else if (message.id !== undefined) waiting?.resolve(message.result ?? {});
      else for (const listener of this.listeners) listener(message);
    });
  }

  send(method: string, params: Result = {}, sessionId?: string): Promise<Result> {
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket.send(JSON.stringify({ id, method, params, ...(sessionId !== undefined && { sessionId }) }));
    });
  }
}

async function openPage(connection: Connection): Promise<BrowserPage> {
  const targets = new Map<string, { url: string }>();
  const complaints: string[] = [];
  let main = "";
  let screen: Screen | undefined;
  const enable = async (session: string): Promise<void> => {
    await connection.send("Runtime.enable", {}, session);
    await connection.send("Log.enable", {}, session);
    await connection.send("Emulation.setFocusEmulationEnabled", { enabled: true }, session);
    await wish(connection, session, screen);
    await connection.send("Target.setAutoAttach", { autoAttach: true, waitForDebuggerOnStart: false, flatten: true }, session);
  };
  connection.listeners.push(({ method, params = {}, sessionId }) => {
    if (method === "Target.attachedToTarget") {
      const { sessionId: session, targetInfo } = params as { sessionId: string; targetInfo: { url: string } }; // the protocol's own shape
      targets.set(session, { url: targetInfo.url });
      void enable(session).catch(() => {}); // the target went away again
    } else if (method === "Target.targetInfoChanged") {
      const { targetInfo } = params as { targetInfo: { url: string; targetId: string } };
      for (const [session, target] of targets) if (session === targetInfo.targetId) target.url = targetInfo.url;
    } else if (method === "Target.detachedFromTarget") targets.delete(String(params["sessionId"]));
    else if (method === "Runtime.exceptionThrown" || method === "Log.entryAdded")
      complaints.push(`${sessionId ?? ""} ${JSON.stringify(params)}`);
  });
  const { targetId } = await connection.send("Target.createTarget", { url: "about:blank" });
  main = String((await connection.send("Target.attachToTarget", { targetId, flatten: true }))["sessionId"]);
  await connection.send("Page.enable", {}, main);
  await enable(main);
  return {
    ...targetOf(connection, main, ""),
    complaints,
    async goto(url) {
      // keys and the focus are for the page in front
      await connection.send("Page.bringToFront", {}, main);
      await connection.send("Page.navigate", { url }, main);
      await until(`the page ${url}`, () =>
        evaluate<boolean>(connection, main, `document.readyState === "complete" && location.href !== "about:blank"`),
      );
    },
    async frame(prefix) {
      const session = await until(`a frame of ${prefix}`, async () => {
        for (const each of targets.keys()) {
          if (each === main) continue;
          const url = await evaluate<string>(connection, each, "location.href").catch(() => "");
          if (url.startsWith(prefix)) return each;
        }
        return undefined;
      });
      return targetOf(connection, session, prefix);
    },
    async emulate(next) {
      screen = next;
      const { width, height, phone = false } = next;
      await connection.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: phone }, main);
      for (const session of targets.keys()) await wish(connection, session, screen);
      await wish(connection, main, screen);
    },
    async click(x, y) {
      for (const type of ["mousePressed", "mouseReleased"])
        await connection.send("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount: 1 }, main);
    },
    async screenshot() {
      const { data } = await connection.send("Page.captureScreenshot", { format: "png" }, main);
      return Buffer.from(String(data), "base64");
    },
  };
}

function targetOf(connection: Connection, session: string, url: string): BrowserTarget {
  return {
    url,
    evaluate: (expression) => evaluate(connection, session, expression),
    async press(key) {
      const event = { key, code: key, windowsVirtualKeyCode: KEYS[key], ...(key === "Enter" && { text: "\r" }) };
      await connection.send("Input.dispatchKeyEvent", { type: "keyDown", ...event }, session);
      await connection.send("Input.dispatchKeyEvent", { type: "keyUp", ...event }, session);
    },
    async accessible() {
      const { nodes } = await connection.send("Accessibility.getFullAXTree", {}, session);
      return (nodes as AxNode[]).flatMap(({ role, name, ignored }) =>
        ignored || !name?.value ? [] : [`${role?.value ?? ""}: ${name.value}`],
      );
    },
  };
}

/** Frames of other sites have to be told for themselves. */
async function wish(connection: Connection, session: string, screen: Screen | undefined): Promise<void> {
  if (!screen) return;
  const features = [
    { name: "prefers-color-scheme", value: screen.dark ? "dark" : "light" },
    { name: "prefers-reduced-motion", value: screen.reducedMotion ? "reduce" : "no-preference" },
  ];
  await connection.send("Emulation.setEmulatedMedia", { features }, session);
  await connection.send("Emulation.setTouchEmulationEnabled", { enabled: screen.phone === true }, session);
}

async function evaluate<T>(connection: Connection, session: string, expression: string): Promise<T> {
  const { result, exceptionDetails } = await connection.send(
    "Runtime.evaluate",
    { expression, awaitPromise: true, returnByValue: true },
    session,
  );
  if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
  return (result as { value: T }).value; // what the caller's expression gives
}
