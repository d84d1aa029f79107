// The chat of one website's visitor. Everything that is shown is text: nothing that an agent or a visitor writes becomes part of the page.
const channel = location.pathname.split("/").at(-1);
const STORE = `freehold:${channel}`;
const messages = document.querySelector("#messages");
const form = document.querySelector("#form");
const text = document.querySelector("#text");
const send = document.querySelector("#send");
const EARLY_MS = 60_000;

/** What is known of the visitor. Where the browser keeps nothing for frames, it is known until the page is left. */
let visitor = read();

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

function show(who, content) {
  const line = document.createElement("p");
  line.className = who;
  line.textContent = content;
  messages.append(line);
  line.scrollIntoView({ block: "end" });
  return line;
}

async function token() {
  if (visitor.token && visitor.until > Date.now() + EARLY_MS) return visitor.token;
  const response = await fetch(`/channels/web/${channel}/visitors`, { method: "POST" });
  const body = await response.json();
  if (!response.ok) throw new Error(body.title);
  // another visitor: the sessions of the one before are not its own
  write({ token: body.token, until: Date.now() + body.expiresIn * 1000 });
  return body.token;
}

/** The events of a stream: name and data, as they come. */
async function* eventsOf(stream) {
  let rest = "";
  for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + piece).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const [name, data] = block.split("\n").map((line) => line.slice(line.indexOf(": ") + 2));
      yield { name, data: JSON.parse(data) };
    }
  }
}

async function ask(message, line) {
  const response = await fetch("/api/chat", {
    method: "POST",
    headers: { authorization: `Bearer ${await token()}`, "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ message, ...(visitor.sessionId && { sessionId: visitor.sessionId }) }),
  });
  if (response.status === 401) write({});
  if (response.status === 404 && visitor.sessionId) {
    // the conversation was deleted, or too old to be kept: this is the first message of another
    write({ ...visitor, sessionId: undefined });
    return await ask(message, line);
  }
  if (!response.ok) throw new Error((await response.json()).title);
  let whole = false;
  for await (const { name, data } of eventsOf(response.body)) {
    if (name === "text") line.textContent += data.text;
    else if (name === "error") throw new Error(data.title);
    else if (name === "done") {
      // not before: a conversation begins with its first whole answer
      write({ ...visitor, sessionId: data.sessionId });
      whole = true;
    }
    line.scrollIntoView({ block: "end" });
  }
  if (!whole) throw new Error("The answer was cut short.");
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const message = text.value.trim();
  if (message === "" || send.disabled) return;
  text.value = "";
  send.disabled = true;
  show("visitor", message);
  const line = show("agent", "");
  line.setAttribute("aria-busy", "true");
  ask(message, line)
    .catch((error) => show("problem", error.message))
    .finally(() => {
      if (line.textContent === "") line.remove();
      line.removeAttribute("aria-busy");
      send.disabled = false;
      text.focus();
    });
});

text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});

// whoever shows this page may know that it wants to be closed
const close = () => parent.postMessage("freehold:close", "*");
document.querySelector("#close").addEventListener("click", close);
document.addEventListener("keydown", (event) => event.key === "Escape" && close());
text.focus();
