import assert from "node:assert/strict";
import type { Json } from "../../src/kernel/index.ts";
import { type BrowserPage, type BrowserTarget, startBrowser } from "../support/browser.ts";
import type { Freehold } from "../support/freehold.ts";
import { startStub } from "../support/stub-server.ts";
import { until } from "../support/until.ts";

/** The chat, opened in the page of a website. */
export interface OpenChat {
  readonly frame: BrowserTarget;
  /** All that is said, in order, remarks of the page too. */
  lines(): Promise<readonly string[]>;
  /** Writes a message and sends it. */
  say(text: string): Promise<void>;
  /** Waits until the last line is this one, and a message can be sent again. */
  answered(text: string): Promise<void>;
  /** Clicks what a selector names. */
  click(selector: string): Promise<void>;
}

/** A website of somebody's with tenant a's chat in it, and a browser to visit it with. */
export interface WidgetHouse {
  /** Another site than the gateway's, which is at 127.0.0.1. */
  readonly here: string;
  readonly elsewhere: string;
  /** The policy that the site sends along, and the nonce that its script has. */
  readonly site: { policy: string | undefined; nonce: string };
  channel: string;
  page(): Promise<BrowserPage>;
  /** Makes a channel of this tenant, for the site. */
  add(tenant: "a" | "b", settings?: Readonly<Record<string, Json>>): Promise<string>;
  /** Visits the site and opens the chat. */
  open(page: BrowserPage, press?: () => Promise<void>): Promise<OpenChat>;
  close(): Promise<void>;
}

/** A browser that has just started takes its time. */
const LOADED_MS = 60_000;

/** Starts one. */
export async function startWidgetHouse(freehold: Freehold): Promise<WidgetHouse> {
  const operator = freehold.trusted(freehold.platform.admin);
  const browser = await startBrowser();
  const served: WidgetHouse["site"] = { policy: undefined, nonce: "" };
  const server = await startStub((_request, _body, response) => {
    const html = `<!doctype html><meta name="viewport" content="width=device-width"><title>A shop</title><h1>A shop</h1><p>Buy things.</p>
<script src="${freehold.app.url}/channels/web/${house.channel}/widget.js" nonce="${served.nonce}" async></script>`;
    const policy = served.policy === undefined ? {} : { "content-security-policy": served.policy };
    response.writeHead(200, { "content-type": "text/html", ...policy }).end(html);
  });
  const here = server.url.replace("127.0.0.1", "localhost");
  const house: WidgetHouse = {
    here,
    elsewhere: server.url.replace("127.0.0.1", "other.localhost"),
    site: served,
    channel: "",
    page: () => browser.page(),
    async add(tenant, settings = {}) {
      const body = { platform: "web", settings: { origins: [here], ...settings } };
      const reply = await operator.post(`/admin/v1/tenants/${tenant}/channels`, body);
      assert.equal(reply.status, 201, reply.text);
      return String(reply.json()["id"]);
    },
    async open(page, press = () => clickLauncher(page)) {
      await page.goto(here);
      await until("the button", () => page.evaluate<boolean>("document.querySelector('freehold-chat') !== null"), LOADED_MS);
      await press();
      const frame = await page.frame(freehold.app.url);
      await until("the chat is ready", () => frame.evaluate<boolean>("document.readyState === 'complete'"), LOADED_MS);
      return chatIn(frame);
    },
    async close() {
      await browser.close();
      server.close();
    },
  };
  return house;
}

/** Where it is unless a page has it elsewhere. */
export async function clickLauncher(page: BrowserPage): Promise<void> {
  const { width, height } = await page.evaluate<{ width: number; height: number }>("({ width: innerWidth, height: innerHeight })");
  await page.click(width - 44, height - 44);
}

function chatIn(frame: BrowserTarget): OpenChat {
  const lines = (): Promise<readonly string[]> =>
    frame.evaluate("[...document.querySelectorAll('main p')].map((line) => line.textContent)");
  return {
    frame,
    lines,
    // whether the focus is where somebody writes is looked at by a test of its own
    async say(text) {
      const said = `document.querySelector("#text").value = ${JSON.stringify(text)}`;
      await frame.evaluate(`${said}; document.querySelector("#form").requestSubmit()`);
    },
    async answered(text) {
      await until(`the line ${text}`, async () => (await lines()).at(-1) === text);
      await until("it can be asked again", () => frame.evaluate<boolean>("!document.querySelector('#send').hidden"));
    },
    click: (selector) => frame.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`),
  };
}
