// The phones in the browser: which are there, what came, and a text back. Everything is looked at again each second.

const find = (id) => document.getElementById(id);
const state = { version: -1, phones: [], chosen: "" };

async function ask(path, method, body) {
  const reply = await fetch(path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (!reply.ok) throw new Error(`The stand-in answered ${reply.status}.`);
}

function element(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function phoneItem(phone) {
  const item = document.createElement("li");
  const button = element("button", phone.name || phone.number);
  button.type = "button";
  button.dataset.phone = phone.number;
  button.setAttribute("aria-current", String(phone.number === state.chosen));
  const last = phone.messages.at(-1);
  button.append(element("small", last ? last.body.slice(0, 60) : phone.number));
  button.addEventListener("click", () => { state.chosen = phone.number; show(); });
  item.append(button);
  return item;
}

function messageItem(message) {
  const item = element("li", message.body, message.direction === "inbound" ? "inbound" : "");
  const at = new Date(message.created_at).toLocaleTimeString();
  const error = message.error_code ? ` (${message.error_code})` : "";
  item.append(element("small", `${at} · ${message.status}${error} · ${message.body.length} characters`));
  return item;
}

function show() {
  const phone = state.phones.find((each) => each.number === state.chosen);
  const focused = document.activeElement?.dataset?.phone;
  find("phones").replaceChildren(...state.phones.map(phoneItem));
  if (focused) document.querySelector(`[data-phone="${CSS.escape(focused)}"]`)?.focus();
  if (!phone) return;
  find("owner").textContent = phone.name ? `${phone.name}, ${phone.number}` : phone.number;
  const words = [phone.is_on ? "on" : "switched off: texts end as undelivered"];
  if (phone.has_stopped) words.push("has said STOP");
  find("state").textContent = words.join(" · ");
  find("power").textContent = phone.is_on ? "Switch off" : "Switch on";
  const list = find("messages");
  list.replaceChildren(...phone.messages.map(messageItem));
  list.scrollTop = list.scrollHeight;
}

async function look() {
  try {
    const reply = await fetch("/phones");
    const found = await reply.json();
    if (found.version !== state.version) {
      Object.assign(state, { version: found.version, phones: found.phones });
      state.chosen ||= found.phones[0]?.number ?? "";
      find("service").textContent = found.service_number;
      show();
    }
    if (find("problem").dataset.away) { find("problem").textContent = ""; delete find("problem").dataset.away; }
  } catch {
    find("problem").textContent = "The stand-in does not answer. Is it still running?";
    find("problem").dataset.away = "yes";
  }
}

async function act(work) {
  find("problem").textContent = "";
  try { await work(); } catch (error) { find("problem").textContent = error.message; }
  await look();
}

find("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = find("words");
  const body = words.value.trim();
  if (!body) return;
  words.value = "";
  act(() => ask(`/phones/${encodeURIComponent(state.chosen)}/texts`, "POST", { body }));
});
find("power").addEventListener("click", () => {
  const phone = state.phones.find((each) => each.number === state.chosen);
  act(() => ask(`/phones/${encodeURIComponent(state.chosen)}`, "PUT", { is_on: !phone.is_on }));
});

await look();
document.body.inert = false;
setInterval(look, 1000);
