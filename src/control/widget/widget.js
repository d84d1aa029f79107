// Puts a button on the page, and behind it the chat in a frame of the origin that this script comes from: the page cannot look into it.
// <script src="https://chat.example.com/widget.js" data-channel="…" async></script>
(() => {
  /** Drawn, since not every machine has a font with it. */
  const bubble = () => {
    const space = "http://www.w3.org/2000/svg";
    const picture = document.createElementNS(space, "svg");
    picture.setAttribute("viewBox", "0 0 24 24");
    picture.setAttribute("aria-hidden", "true");
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", "M4 4h16a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2h-9l-5 4v-4H4a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2z");
    path.setAttribute("fill", "currentColor");
    picture.append(path);
    return picture;
  };

  const script = document.currentScript;
  const channel = script?.dataset.channel ?? "";
  if (!/^[A-Za-z0-9_-]{22}$/.test(channel)) return;
  const { origin } = new URL(script.src);

  const host = document.createElement("div");
  // a tree of its own: styles of the page do not reach it
  const root = host.attachShadow({ mode: "closed" });
  const style = new CSSStyleSheet();
  style.replaceSync(`
    :host { all: initial; }
    button, iframe { position: fixed; right: 16px; z-index: 2147483000; border: 0; box-shadow: 0 4px 16px rgb(0 0 0 / 25%); }
    button { bottom: 16px; width: 56px; height: 56px; border-radius: 28px; background: #1f3a8a; color: #fff; padding: 14px; cursor: pointer; }
    button:focus-visible { outline: 3px solid #fff; outline-offset: -6px; }
    iframe { bottom: 84px; width: min(384px, calc(100vw - 32px)); height: min(560px, calc(100vh - 100px)); border-radius: 12px; background: #fff; }
    iframe[hidden] { display: none; }
  `);
  root.adoptedStyleSheets = [style];

  const button = document.createElement("button");
  button.type = "button";
  button.append(bubble());
  button.setAttribute("aria-label", script.dataset.label ?? "Chat");
  button.setAttribute("aria-expanded", "false");
  root.append(button);

  let frame;
  const show = (open) => {
    if (open && !frame) {
      frame = document.createElement("iframe");
      frame.title = script.dataset.label ?? "Chat";
      frame.src = `${origin}/channels/web/${channel}`;
      root.append(frame);
    }
    if (frame) frame.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    (open ? frame : button).focus();
  };
  button.addEventListener("click", () => show(button.getAttribute("aria-expanded") !== "true"));
  // from the frame itself, and from nothing that somebody has loaded into it
  addEventListener("message", (event) => {
    if (frame && event.source === frame.contentWindow && event.origin === origin && event.data === "freehold:close") show(false);
  });
  const mount = () => document.body.append(host);
  if (document.body) mount();
  else addEventListener("DOMContentLoaded", mount, { once: true });
})();
