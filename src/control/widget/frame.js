// The chat of one website's visitor. Everything that is shown is text: nothing that an agent or a visitor writes becomes part of the page.
const channel = location.pathname.split("/").at(-1);
const STORE = `freehold:${channel}`;
const EARLY_MS = 60_000;
/** Messages of the conversation that are shown again after a reload. */
const SHOWN_MAX = 50;
/** How far from its end a conversation may be scrolled and still follow what comes, in pixels. */
const NEAR_PX = 64;
const WORDS = {
  you: "You",
  writing: "An answer is being written.",
  stopped: "Stopped.",
  cut: "The answer was cut short.",
  retry: "Try again",
  failed: "Something went wrong.",
  unreachable: "The chat cannot be reached. Check your connection.",
  unread: "The earlier messages cannot be shown at the moment.",
  anew: "The earlier conversation is over. This is a new one.",
};

const [messages, greeting, form, text, send, stop, said] = ["messages", "greeting", "form", "text", "send", "stop", "said"].map((id) =>
  document.querySelector(`#${id}`),
);
const touched = matchMedia("(pointer: coarse)");

/** What is told to the visitor as it is. */
class Told extends Error {}

/** What is known of the visitor. Where the browser keeps nothing for frames, it is known until the page is left. */
let visitor = read();
/** Stops the answer that is under way. */
let underWay;

function read() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? "null") ?? {};
  } catch {
    return {};
  }
}

function write(next) {
  visitor = next;
  try {
    localStorage.setItem(STORE, JSON.stringify(next));
  } catch {
    // kept in memory
  }
}

function element(name, className, content = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = content;
  return made;
}

/** Puts something at the end of the conversation, which goes along with it unless the visitor reads further up. */
function add(row) {
  following(() => messages.append(row));
  return row;
}

function following(change) {
  const near = messages.scrollHeight - messages.scrollTop - messages.clientHeight < NEAR_PX;
  change();
  if (near) messages.scrollTop = messages.scrollHeight;
}

/** A message, with who it is from for whoever does not see where it stands. */
function rowOf(who, content) {
  const row = element("div", `row ${who}`);
  row.append(element("span", "unseen", `${who === "visitor" ? WORDS.you : document.title}: `), element("p", "", content));
  return row;
}

/** A remark of the page's own; with a button where something can be tried again. */
function remarkOf(kind, content, retry) {
  const row = element("div", `row ${kind}`);
  if (kind === "problem") row.setAttribute("role", "alert");
  row.append(element("p", "", content));
  if (!retry) return row;
  const button = element("button", "retry", WORDS.retry);
  button.type = "button";
  button.addEventListener("click", () => {
    row.remove();
    retry();
  });
  row.append(button);
  return row;
}

async function toldBy(response) {
  const body = await response.json().catch(() => ({}));
  return new Told(body.title ?? WORDS.failed);
}

async function token(signal) {
  if (visitor.token && visitor.until > Date.now() + EARLY_MS) return visitor.token;
  const response = await fetch(`/channels/web/${channel}/visitors`, { method: "POST", signal });
  if (!response.ok) throw await toldBy(response);
  const body = await response.json();
  // another visitor: the sessions of the one before are not its own
  write({ token: body.token, until: Date.now() + body.expiresIn * 1000 });
  return body.token;
}

/** Shows what was said before the page was loaded: what the visitor's own token reads, and as long as it is kept. */
async function recall() {
  const { sessionId, until } = visitor;
  if (!sessionId || until <= Date.now() + EARLY_MS) return;
  try {
    const response = await fetch(`/api/sessions/${encodeURIComponent(sessionId)}?limit=${SHOWN_MAX}`, {
      headers: { authorization: `Bearer ${visitor.token}` },
    });
    if (response.status === 401) return write({});
    if (response.status === 404) return write({ ...visitor, sessionId: undefined });
    if (!response.ok) throw await toldBy(response);
    const { history } = await response.json();
    greeting.after(...history.map(({ role, text: content }) => rowOf(role === "user" ? "visitor" : "agent", content)));
    messages.scrollTop = messages.scrollHeight;
  } catch {
    greeting.after(remarkOf("problem", WORDS.unread, () => (recalled = recall())));
  }
}

/** The events of a stream: name and data, as they come. */
async function* eventsOf(stream) {
  // not every browser goes through a stream by itself
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const { event, data } = Object.fromEntries(block.split("\n").map((line) => line.split(/: ?(.*)/s, 2)));
      if (data !== undefined) yield { name: event, data: JSON.parse(data) };
    }
  }
}

async function ask(turn, line, signal) {
  const { token: known, sessionId } = visitor;
  const response = await fetch("/api/chat", {
    method: "POST",
    headers: { authorization: `Bearer ${await token(signal)}`, "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ message: turn.message, ...(visitor.sessionId && { sessionId: visitor.sessionId }) }),
    signal,
  });
  if ((response.status === 401 && known) || (response.status === 404 && visitor.sessionId)) {
    // the visitor's time is over, or the conversation's, or it was deleted: this is the first message of another
    write(response.status === 401 ? {} : { ...visitor, sessionId: undefined });
    if (sessionId) turn.question.before(remarkOf("note", WORDS.anew));
    return await ask(turn, line, signal);
  }
  if (!response.ok) throw await toldBy(response);
  let whole = false;
  for await (const { name, data } of eventsOf(response.body)) {
    if (name === "session") write({ ...visitor, sessionId: data.sessionId });
    else if (name === "text") following(() => (line.textContent += data.text));
    else if (name === "error") throw new Told(data.title);
    else if (name === "done") whole = true;
  }
  if (!whole) throw new Told(WORDS.cut);
}

function showUnderWay(controller) {
  const { activeElement } = document;
  underWay = controller;
  send.hidden = controller !== undefined;
  stop.hidden = controller === undefined;
  if (controller && activeElement !== text && activeElement !== messages) stop.focus();
  else if (!controller && activeElement === stop) settle();
}

async function answer(turn) {
  for (const old of messages.querySelectorAll(".retry")) old.remove();
  const controller = new AbortController();
  showUnderWay(controller);
  const row = add(rowOf("agent", ""));
  const line = row.lastChild;
  line.setAttribute("aria-busy", "true");
  said.textContent = WORDS.writing;
  try {
    await recalled;
    await ask(turn, line, controller.signal);
    said.textContent = line.textContent;
  } catch (error) {
    const { aborted } = controller.signal;
    said.textContent = aborted ? WORDS.stopped : "";
    if (line.textContent === "") row.remove();
    const retry = () => {
      row.remove();
      void answer(turn);
    };
    if (aborted) add(remarkOf("note", WORDS.stopped, retry));
    else add(remarkOf("problem", error instanceof Told ? error.message : WORDS.unreachable, retry));
  } finally {
    line.removeAttribute("aria-busy");
    showUnderWay();
  }
}

/** Where somebody goes on: in the text, but not on a phone, whose keyboard would cover what there is to read. */
function settle() {
  (touched.matches ? messages : text).focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const message = text.value.trim();
  if (message === "" || underWay) return;
  text.value = "";
  const question = add(rowOf("visitor", message));
  messages.scrollTop = messages.scrollHeight;
  void answer({ message, question });
});
stop.addEventListener("click", () => underWay?.abort());
text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});

// whoever shows this page may know that it is there, and that it wants to be closed
const tell = (what) => parent.postMessage(`freehold:${what}`, "*");
document.querySelector("#close").addEventListener("click", () => tell("close"));
document.addEventListener("keydown", (event) => event.key === "Escape" && !event.isComposing && tell("close"));
addEventListener("message", (event) => event.source === parent && event.data === "freehold:open" && settle());

// where the browser has given the focus to the frame, and not to what is in it
addEventListener("focus", () => document.activeElement === document.body && settle());

let recalled = recall();
settle();
tell("ready");
