// The webhook inbox in the browser: one receiver at a time, looked at again each second.

const find = (id) => document.getElementById(id);
const state = { version: -1, hooks: [], chosen: "" };

function element(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function pretty(body) {
  try { return JSON.stringify(JSON.parse(body), null, 2); } catch { return body; }
}

function receivedItem(call) {
  const item = element("li", "", "card");
  const at = new Date(call.at).toLocaleTimeString();
  const answered = call.answered ? `answered ${call.answered}` : "never answered";
  const head = element("p", `${at} · try ${call.attempt} · ${answered} · `);
  head.append(element("span", call.signature, call.signature === "verified" ? "verified" : "wrong"));
  item.append(head);
  if (call.note) item.append(element("p", call.note, "verified"));
  item.append(element("pre", pretty(call.body)));
  const headers = document.createElement("details");
  headers.append(element("summary", "Headers"));
  headers.append(element("pre", Object.entries(call.headers).map(([name, value]) => `${name}: ${value}`).join("\n")));
  item.append(headers);
  return item;
}

function show() {
  const hook = state.hooks.find((each) => each.name === state.chosen);
  if (!hook) return;
  find("url").textContent = hook.url;
  find("command").textContent = `ssa integrations set webhook --config url=${hook.url}`;
  find("secret").placeholder = hook.knows_secret ? "known; write another one to replace it" : "whsec_…";
  chooseBehaviour(hook);
  find("received").replaceChildren(...hook.received.map(receivedItem));
  find("nothing").hidden = hook.received.length > 0;
}

// Only what has changed: a choice that is not saved yet stays when a call comes in.
function chooseBehaviour({ name, behaviour }) {
  const saved = `${name} ${behaviour}`;
  if (find("behaviour").dataset.saved === saved) return;
  find("behaviour").dataset.saved = saved;
  find("behaviour").value = behaviour;
}

async function look() {
  try {
    const found = await (await fetch("/webhooks/hooks")).json();
    if (found.version === state.version) return;
    Object.assign(state, found);
    state.chosen ||= found.hooks[0]?.name ?? "";
    const options = found.hooks.map((each) => new Option(each.name, each.name, false, each.name === state.chosen));
    find("person").replaceChildren(...options);
    show();
  } catch {
    find("problem").textContent = "The inbox does not answer. Is it still running?";
  }
}

async function ask(path, method, body) {
  find("problem").textContent = "";
  find("saved").textContent = "";
  const reply = await fetch(`/webhooks/hooks/${state.chosen}${path}`, {
    method, headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  if (reply.ok) find("saved").textContent = "Saved.";
  else find("problem").textContent = (await reply.json()).detail ?? `The inbox answered ${reply.status}.`;
  await look();
}

find("person").addEventListener("change", (event) => { state.chosen = event.target.value; show(); });
find("settings").addEventListener("submit", (event) => {
  event.preventDefault();
  const secret = find("secret").value.trim();
  find("secret").value = "";
  ask("", "PUT", { behaviour: find("behaviour").value, ...(secret ? { secret } : {}) });
});
find("clear").addEventListener("click", () => ask("/received", "DELETE", {}));

await look();
document.body.inert = false;
setInterval(look, 1000);
