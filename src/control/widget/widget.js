/* global look -- the channel's id, title, launcher and colours: the server puts them in front of this */
// Puts a button on the page, and behind it the chat in a frame of the origin that this script comes from: the page cannot look into it.
// <script src="https://chat.example.com/channels/web/…/widget.js" async></script>
(() => {
  const NAME = "freehold-chat";
  /** What is covered from below by so much or more is covered by a keyboard, and with it the edge that a phone keeps for itself. */
  const KEYBOARD_PX = 120;
  const script = document.currentScript;
  if (!script || document.querySelector(`${NAME}[data-channel="${look.channel}"]`)) return;
  const { origin } = new URL(script.src);

  const element = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  /** Drawn, since not every machine has a font with it. */
  const picture = (name, shape) => {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    for (const [key, value] of [
      ["viewBox", "0 0 24 24"],
      ["aria-hidden", "true"],
      ["class", name],
    ])
      svg.setAttribute(key, value);
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", shape);
    svg.append(path);
    return svg;
  };

  const host = element(NAME, { "data-channel": look.channel });
  // a tree of its own: styles of the page do not reach it
  const root = host.attachShadow({ mode: "closed" });
  const style = new CSSStyleSheet();
  style.replaceSync(`
    :host { all: initial; color-scheme: light dark; --paper: #fff; --top: env(safe-area-inset-top, 0px); --end: env(safe-area-inset-bottom, 0px);
      --side: max(16px, env(safe-area-inset-right, 0px)); }
    button { font: 600 16px/1.25 system-ui, sans-serif; color: ${look.onColor}; background: ${look.color}; cursor: pointer; }
    button:focus-visible { outline: 3px solid #fff; box-shadow: 0 0 0 6px #000; }
    .launcher { position: fixed; z-index: 2147483000; right: var(--side); bottom: calc(16px + var(--end)); display: flex; align-items: center; gap: 8px;
      max-width: calc(100vw - 32px); min-width: 56px; min-height: 56px; padding: 12px 16px; border: 1px solid rgb(128 128 128 / 60%); border-radius: 28px;
      box-shadow: 0 4px 16px rgb(0 0 0 / 25%); text-align: start; overflow-wrap: anywhere; }
    svg { flex: none; width: 24px; height: 24px; fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
    [aria-expanded="true"] .closed, [aria-expanded="false"] .opened { display: none; }
    dialog { box-sizing: border-box; position: fixed; z-index: 2147483001; inset: auto var(--side) calc(88px + var(--end)) auto; width: min(400px, calc(100vw - 32px));
      height: min(600px, calc(100dvh - 112px - var(--top))); max-width: none; max-height: none; margin: 0; padding: 0; border: 1px solid rgb(128 128 128 / 40%);
      border-radius: 14px; overflow: hidden; background: var(--paper); box-shadow: 0 8px 40px rgb(0 0 0 / 30%); }
    iframe { display: block; width: 100%; height: 100%; border: 0; }
    .close { position: absolute; top: calc(4px + var(--edge, 0px)); right: 8px; width: 44px; height: 44px; border: 0; border-radius: 8px; font-size: 24px; }
    @media (prefers-color-scheme: dark) { :host { --paper: #16181d; } }
    @media (max-width: 480px), (max-height: 480px) {
      dialog { --edge: var(--top); inset: var(--shift, 0px) 0 auto; width: 100%; height: var(--seen, 100dvh); border: 0; border-radius: 0; background: linear-gradient(${look.color} 50%, var(--paper) 0);
        padding: var(--top) env(safe-area-inset-right, 0px) var(--under, var(--end)) env(safe-area-inset-left, 0px); }
    }
    @media (prefers-reduced-motion: no-preference) {
      dialog[open] { animation: come 0.16s ease-out; }
      @keyframes come { from { opacity: 0; transform: translateY(12px); } }
    }
  `);
  root.adoptedStyleSheets = [style];

  const button = element("button", { type: "button", class: "launcher", "aria-expanded": "false", "aria-haspopup": "dialog" });
  button.append(
    picture("closed", "M4 4h16a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2h-9l-5 4v-4H4a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2z"),
    picture("opened", "M5 9l7 7 7-7"),
  );
  if (look.launcher === null) button.setAttribute("aria-label", look.title);
  else button.append(look.launcher);
  const leave = element("button", { type: "button", class: "close", "aria-label": "Close" }, "×");
  const dialog = element("dialog", { "aria-label": look.title }, leave);
  root.append(button, dialog);

  const phone = matchMedia("(max-width: 480px), (max-height: 480px)");
  const view = window.visualViewport;
  /** What a keyboard on the screen leaves to be seen. A page that was zoomed into is left as it is. */
  const fit = () => {
    if (!view || view.scale !== 1) return;
    dialog.style.setProperty("--seen", `${view.height}px`);
    dialog.style.setProperty("--shift", `${view.offsetTop}px`);
    dialog.style.setProperty("--under", innerHeight - view.height > KEYBOARD_PX ? "0px" : "var(--end)");
  };
  let frame;
  const open = () => {
    if (!frame) {
      frame = element("iframe", { title: look.title, src: `${origin}/channels/web/${look.channel}` });
      dialog.prepend(frame);
    }
    fit();
    // on a phone it covers the page, and nothing of the page is reached behind it
    if (phone.matches) dialog.showModal();
    else dialog.show();
    button.setAttribute("aria-expanded", "true");
    frame.focus();
    if (leave.hidden) frame.contentWindow.postMessage("freehold:open", origin);
  };
  const shut = () => dialog.close();
  dialog.addEventListener("close", () => {
    if (dialog.open) return;
    button.setAttribute("aria-expanded", "false");
    button.focus();
  });
  button.addEventListener("click", () => (dialog.open ? shut() : open()));
  leave.addEventListener("click", shut);
  root.addEventListener("keydown", (event) => event.key === "Escape" && dialog.open && shut());
  for (const name of ["resize", "scroll"]) view?.addEventListener(name, fit);
  // a window that was made narrow or wide in between
  phone.addEventListener("change", () => {
    if (!dialog.open) return;
    shut();
    open();
  });
  // from the frame itself, and from nothing that somebody has loaded into it
  addEventListener("message", (event) => {
    if (!frame || event.source !== frame.contentWindow || event.origin !== origin) return;
    if (event.data === "freehold:close") shut();
    // it has a button of its own to close it
    if (event.data !== "freehold:ready") return;
    leave.hidden = true;
    if (!dialog.open) return;
    // what was focused before there was a page in it may not be what is there now
    frame.blur();
    frame.focus();
    frame.contentWindow.postMessage("freehold:open", origin);
  });
  const mount = () => document.body.append(host);
  if (document.body) mount();
  else addEventListener("DOMContentLoaded", mount, { once: true });
})();
