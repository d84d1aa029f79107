import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { WebPage } from "../../../agents/index.ts";
import { json, type Operation, publicOperation } from "../../../gateway/index.ts";
import type { Answer } from "../../../wire/index.ts";
import type { Services } from "../../services.ts";
import { readableOn } from "./readable-on.ts";

const FOLDER = path.join(import.meta.dirname, "../../widget");
/** A visitor's token, which is good for the chat alone. A visitor who comes back later is a new one. */
const VISITOR_LIFETIME_S = 86_400;
const VISITOR_BYTES = 16;

/** What a website's script tag brings and what it opens: the chat, in a frame of our own origin that only the named sites may show. */
export function widgetOperations({ channels, identity, random }: Pick<Services, "channels" | "identity" | "random">): readonly Operation[] {
  const page = "/channels/web/{installation}";
  return [
    file("/widget/frame.js", "frame.js", "text/javascript; charset=utf-8", "The script of the chat."),
    file("/widget/frame.css", "frame.css", "text/css; charset=utf-8", "The style of the chat."),
    publicOperation({
      method: "GET",
      path: page,
      summary: "The chat of a website, for its visitors.",
      async run({ params }) {
        const { tenant, settings } = await channels.page(params["installation"] ?? "");
        return pageOf(tenant.locale, settings);
      },
    }),
    publicOperation({
      method: "GET",
      path: `${page}/widget.js`,
      summary: "The script that puts the chat on a website, in the tenant's colour and words.",
      async run({ params }) {
        const { installation, settings } = await channels.page(params["installation"] ?? "");
        return scriptOf(installation.id, settings);
      },
    }),
    publicOperation({
      method: "POST",
      path: `${page}/visitors`,
      summary: "Become a visitor of a website: a token for its chat, for 24 hours.",
      async run({ params }) {
        const { tenant, installation } = await channels.page(params["installation"] ?? "");
        const sub = `visitor:${random.bytes(VISITOR_BYTES).toString("base64url")}`;
        const lifetimeMs = VISITOR_LIFETIME_S * 1000;
        const token = identity.tokens.issue({
          sub,
          tenantId: tenant.id,
          roles: ["member"],
          scopes: ["chat"],
          channel: installation.id,
          lifetimeMs,
        });
        return json(201, { token, userId: sub, expiresIn: VISITOR_LIFETIME_S });
      },
    }),
  ];
}

const KEPT: Readonly<Record<string, string>> = { "cache-control": "public, max-age=300" };

function file(at: string, name: string, type: string, summary: string): Operation {
  const body = readFileSync(path.join(FOLDER, name));
  const answer: Answer = { status: 200, headers: { "content-type": type, ...KEPT }, body };
  return publicOperation({ method: "GET", path: at, summary, run: () => answer });
}

type Settings = WebPage["settings"];

const SCRIPT = readFileSync(path.join(FOLDER, "widget.js"), "utf8");

/** The script with what it has to know in front: a site that lets nothing but scripts of ours in has all of it by that. */
function scriptOf(channel: string, { title, launcher, color }: Settings): Answer {
  const look = JSON.stringify({ channel, title, launcher, color, onColor: readableOn(color) });
  // a block: the name is known to nothing else in the page
  const body = `{\nconst look = ${look};\n${SCRIPT}}\n`;
  return { status: 200, headers: { "content-type": "text/javascript; charset=utf-8", ...KEPT }, body };
}

/** Nothing runs in the page but our own script, nothing leaves it but to us, and nobody shows it but the named sites. */
function pageOf(locale: string, { origins, title, greeting, placeholder, color }: Settings): Answer {
  const style = `:root{--accent:${color};--on-accent:${readableOn(color)}}`;
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'sha256-${createHash("sha256").update(style).digest("base64")}'`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    `frame-ancestors ${origins.join(" ")}`,
  ].join("; ");
  const body = `<!doctype html>
<html lang="${escape(locale)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<title>${escape(title)}</title>
<link rel="stylesheet" href="/widget/frame.css">
<style>${style}</style>
<script src="/widget/frame.js" type="module"></script>
</head>
<body>
<header><h1>${escape(title)}</h1><button type="button" id="close" aria-label="Close">×</button></header>
<main id="messages" tabindex="0" aria-label="${escape(title)}"><div id="greeting" class="row agent"><p>${escape(greeting)}</p></div></main>
<p id="said" class="unseen" role="status"></p>
<form id="form">
<textarea id="text" rows="1" maxlength="32000" required aria-label="${escape(placeholder)}" placeholder="${escape(placeholder)}"></textarea>
<button type="submit" id="send">Send</button>
<button type="button" id="stop" hidden>Stop</button>
</form>
</body>
</html>
`;
  return {
    status: 200,
    headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": policy, "referrer-policy": "no-referrer" },
    body,
  };
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}
