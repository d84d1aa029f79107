import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { BrowserTarget } from "../support/browser.ts";
import { guard, startFreehold } from "../support/freehold.ts";
import { says } from "../support/recorded-agent.ts";
import { until } from "../support/until.ts";
import { startWidgetHouse } from "./widget-house.ts";

const freehold = await startFreehold();
const operator = freehold.trusted(freehold.platform.admin);
const admin = freehold.as(freehold.credentials.a.admin);
const anybody = freehold.as({});
const { a } = freehold.agents;
const house = await startWidgetHouse(freehold);

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844, phone: true };
const WORD = "0123456789".repeat(30);
const HOSTILE = `</script><script>globalThis.hacked=1</script>"'&\u2028\${1}`;

/** What is settled of a channel's look: title, launcher and both colours. */
async function lookOf(channel: string): Promise<Record<string, unknown>> {
  const { text } = await anybody.get(`/channels/web/${channel}/widget.js`);
  return JSON.parse(/^\{\nconst look = (.*);$/m.exec(text)?.[1] ?? "{}") as Record<string, unknown>;
}

function luminance(color: readonly number[]): number {
  const [red = 0, green = 0, blue = 0] = color.map((part) => (part <= 10.31475 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: readonly number[], other: readonly number[]): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].toSorted((left, right) => right - left);
  return (light + 0.05) / (dark + 0.05);
}

const bytesOf = (hex: unknown): number[] => [1, 3, 5].map((at) => Number.parseInt(String(hex).slice(at, at + 2), 16));
const partsOf = (rgb: string): number[] => (rgb.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);

/** Each text that is seen in the document, with its colour and the one behind it; the placeholder too. */
async function textsOf(frame: BrowserTarget): Promise<readonly { text: string; color: string; behind: string }[]> {
  return await frame.evaluate(`(() => {
    const behind = (element) => {
      const { backgroundColor } = getComputedStyle(element);
      return backgroundColor !== "rgba(0, 0, 0, 0)" ? backgroundColor : behind(element.parentElement);
    };
    const shown = [...document.querySelectorAll("h1, button, main p")].filter((element) => element.offsetParent);
    const field = document.querySelector("#text");
    return [
      ...shown.map((element) => ({ text: element.textContent, color: getComputedStyle(element).color, behind: behind(element) })),
      { text: "placeholder", color: getComputedStyle(field, "::placeholder").color, behind: behind(field) },
    ];
  })()`);
}

describe("the look of a chat on a website", () => {
  guard(freehold);
  after(() => house.close());
  before(async () => {
    house.channel = await house.add("a");
  });

  test("is set by the tenant's admin, checked, and there for the next visitor", async () => {
    const path = `/tenant/v1/channels/${house.channel}`;
    const first = await lookOf(house.channel);
    assert.deepEqual(first, { channel: house.channel, title: "Chat", launcher: null, color: "#1f3a8a", onColor: "#ffffff" });
    for (const [field, value] of [
      ["origins", []],
      ["origins", ["https://a.example/path"]],
      ["origins", ["*"]],
      ["origins", ["https://a.example; script-src *"]],
      ["color", "red"],
      ["color", "#fff"],
      ["color", "#1f3a8a;}*{color:red"],
      ["color", "#1f3a8g"],
      ["title", "x".repeat(81)],
      ["title", "two\nlines"],
      ["greeting", "x".repeat(501)],
      ["greeting", "a\u0007b"],
      ["placeholder", " "],
      ["launcher", "x".repeat(41)],
      ["launcher", 7],
      ["html", "<b>"],
    ] as const) {
      const settings = { origins: [house.here], [field]: value };
      assert.equal((await admin.post("/tenant/v1/channels", { platform: "web", settings })).code, "invalid_settings", field);
      assert.equal((await admin.send("PATCH", path, { json: { settings: { [field]: value } } })).code, "invalid_settings", field);
    }
    assert.equal((await admin.send("PATCH", path, { json: { settings: { origins: null } } })).code, "invalid_settings");
    assert.deepEqual(await lookOf(house.channel), first);

    const settings = { color: "#FFD400", title: "Ask the shop", greeting: "One\nTwo", placeholder: "Your question", launcher: "Ask us" };
    const changed = await admin.send("PATCH", path, { json: { name: "shop", settings } });
    assert.equal(changed.status, 200, changed.text);
    const { name, settings: stored } = changed.json<{ name: string; settings: object }>();
    assert.deepEqual([name, stored], ["shop", { ...settings, color: "#ffd400", origins: [house.here] }]);
    const wanted = { title: "Ask the shop", launcher: "Ask us", color: "#ffd400", onColor: "#000000" };
    assert.deepEqual(await lookOf(house.channel), { channel: house.channel, ...wanted });
    const page = (await anybody.get(`/channels/web/${house.channel}`)).text;
    for (const part of [">One\nTwo</p>", 'placeholder="Your question"', "--accent:#ffd400;--on-accent:#000000"])
      assert.ok(page.includes(part));
    const back = await operator.send("PATCH", `/admin/v1/tenants/a/channels/${house.channel}`, { json: { settings: { color: null } } });
    assert.deepEqual([back.status, (await lookOf(house.channel))["color"]], [200, "#1f3a8a"]);
    assert.ok((await admin.get("/tenant/v1/audit")).text.includes("channel_changed"));
  });

  test("is not changed for an app, and two who change it at once lose nothing", async () => {
    await freehold.sql(`insert into freehold.channel_installations
      (id, tenant_id, platform, name, app, workspace, settings, sealed, key_version, created_by)
      select 'anAppOfSlackAndNoWebsi', uuid, 'slack', 'app', 'x', 'x', '{}', '', 1, 'test' from freehold.tenants where id = 'a'`);
    const app = "/tenant/v1/channels/anAppOfSlackAndNoWebsi";
    assert.equal((await admin.send("PATCH", app, { json: { settings: { botToken: "x" } } })).code, "invalid_settings");
    assert.equal((await admin.send("PATCH", app, { json: { name: "Renamed" } })).json()["name"], "Renamed");
    const path = `/tenant/v1/channels/${house.channel}`;
    const given = [{ title: "New title" }, { greeting: "New greeting" }, { launcher: "New launcher" }];
    const replies = await Promise.all(given.map((settings) => admin.send("PATCH", path, { json: { settings } })));
    const found = (await admin.get("/tenant/v1/channels")).json<{ channels: { id: string; settings: object }[] }>();
    const { settings } = found.channels.find(({ id }) => id === house.channel) ?? { settings: {} };
    assert.ok(replies.some(({ status }) => status === 200));
    for (const [at, reply] of replies.entries()) {
      if (reply.status === 200) assert.partialDeepStrictEqual(settings, given[at] ?? {});
      else assert.equal(reply.code, "conflict");
    }
  });

  test("has text that can be read on any colour", async () => {
    const colors = ["#000000", "#ffffff", "#757575", "#767676", "#777777", "#ff0000", "#00ff00", "#0000ff", "#ffd400", "#b35900"];
    for (const color of colors) {
      const reply = await admin.send("PATCH", `/tenant/v1/channels/${house.channel}`, { json: { settings: { color } } });
      assert.equal(reply.status, 200, reply.text);
      const { onColor } = await lookOf(house.channel);
      assert.ok(contrast(bytesOf(color), bytesOf(onColor)) >= 4.5, `${color} ${String(onColor)}`);
    }
  });

  test("runs on a site that lets nothing in but its script and its frame, and shows texts as they are", async () => {
    const settings = { color: "#00695c", title: HOSTILE, greeting: HOSTILE, placeholder: HOSTILE, launcher: HOSTILE.slice(0, 40) };
    house.channel = await house.add("a", settings);
    const { url } = freehold.app;
    const strict = "default-src 'none'; base-uri 'none'; require-trusted-types-for 'script'; img-src 'self'";
    for (const script of [url, "'nonce-c2Vzc2lvbg'"]) {
      house.site.policy = `${strict}; script-src ${script}; frame-src ${url}`;
      house.site.nonce = "c2Vzc2lvbg";
      const page = await house.page();
      const { frame } = await house.open(page);
      assert.equal(await frame.evaluate("document.querySelector('h1').textContent"), HOSTILE);
      assert.equal(await frame.evaluate("document.querySelector('main p').textContent"), HOSTILE);
      assert.equal(await frame.evaluate("document.querySelector('#text').placeholder"), HOSTILE);
      assert.equal(await frame.evaluate("getComputedStyle(document.querySelector('header')).backgroundColor"), "rgb(0, 105, 92)");
      for (const document of [page, frame]) assert.equal(await document.evaluate("typeof globalThis.hacked"), "undefined");
      const things = await page.accessible();
      assert.ok(things.includes(`dialog: ${HOSTILE}`) && things.includes(`button: ${settings.launcher}`), things.join("\n"));
      assert.deepEqual(page.complaints, []);
    }
    house.site.policy = undefined;
  });

  test("opens and closes by keys alone, tells a screen reader what it is, and moves only for who wants that", async () => {
    house.channel = await house.add("a", { title: "Ask the shop", launcher: "Ask us" });
    const page = await house.page();
    await page.emulate({ ...DESKTOP, reducedMotion: true });
    const focused = (): Promise<string> => page.evaluate("document.activeElement?.tagName");
    const chat = await house.open(page, async () => {
      await page.press("Tab");
      assert.equal(await focused(), "FREEHOLD-CHAT");
      await page.press("Enter");
    });
    const { frame } = chat;
    await until("the text has the focus", () => frame.evaluate<boolean>("document.hasFocus() && document.activeElement.id === 'text'"));
    assert.ok((await page.accessible()).includes("dialog: Ask the shop"));
    a.behave((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    });
    await chat.say("Hello?");
    await until("it is waiting", () => frame.evaluate<boolean>("document.querySelector('[aria-busy]') !== null"));
    assert.equal(await frame.evaluate("document.querySelector('[role=status]').textContent"), "An answer is being written.");
    assert.equal(await frame.evaluate("document.getAnimations().length"), 0);
    await page.emulate(DESKTOP);
    await until("the dots move", () => frame.evaluate<boolean>("document.getAnimations().length > 0"));
    const named = await frame.accessible();
    for (const thing of ["heading: Ask the shop", "button: Close", "button: Stop", "textbox: Write a message", "main: Ask the shop"])
      assert.ok(named.includes(thing), named.join("\n"));
    await frame.press("Escape");
    await until("the focus is back", async () => !(await frame.evaluate<boolean>("document.hasFocus()")));
    assert.equal(await focused(), "FREEHOLD-CHAT");
    assert.ok(!(await page.accessible()).includes("dialog: Ask the shop"));
    await page.press("Enter");
    await until("the text has the focus again", () =>
      frame.evaluate<boolean>("document.hasFocus() && document.activeElement.id === 'text'"),
    );
    assert.deepEqual(page.complaints, []);
  });

  test("is readable in light and dark, fills a phone, and is not broken by long words", async () => {
    for (const color of ["#ffffff", "#101010", "#1f3a8a", "#808080"]) {
      house.channel = await house.add("a", { color });
      const page = await house.page();
      await page.emulate(PHONE);
      const chat = await house.open(page);
      a.behave(says(`https://example.com/${WORD} \`${WORD}\``));
      await chat.say(WORD);
      await chat.answered(`https://example.com/${WORD} \`${WORD}\``);
      a.behave((_request, response) => response.writeHead(500).end());
      await chat.say("Hello?");
      await until("the problem", () => chat.frame.evaluate<boolean>("document.querySelector('.problem') !== null"));
      for (const dark of [false, true]) {
        await page.emulate({ ...PHONE, dark });
        const texts = await textsOf(chat.frame);
        assert.ok(texts.length >= 9, JSON.stringify(texts));
        for (const { text, color: ink, behind } of texts)
          assert.ok(contrast(partsOf(ink), partsOf(behind)) >= 4.5, `${text.slice(0, 40)}: ${ink} on ${behind}, ${color}`);
      }
      assert.deepEqual(
        await chat.frame.evaluate(
          "[innerWidth, innerHeight, document.documentElement.scrollWidth, document.querySelector('main').scrollWidth]",
        ),
        [390, 844, 390, await chat.frame.evaluate("document.querySelector('main').clientWidth")],
      );
      assert.equal(await chat.frame.evaluate("getComputedStyle(document.querySelector('#text')).fontSize"), "16px");
      assert.equal(await page.evaluate("document.documentElement.scrollWidth"), 390);
    }
  });
});
