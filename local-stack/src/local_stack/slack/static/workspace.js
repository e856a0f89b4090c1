// The workspace: who one is, what is open, what was said, live.
import { act, load, listen } from "./server.js";
import { messageNode, day } from "./messages.js";
import { askSure, showModal } from "./modal.js";
import { element } from "./words.js";

const at = (id) => document.getElementById(id);
const state = {
  person: "", me: "", app: { id: "", name: "" }, members: [], channels: [], names: new Map(),
  room: null, thread: "", messages: new Map(), statuses: new Map(), unread: new Set(), drafts: new Map(), changes: 0, stop: () => {},
};

// ---- beginning: the person and room of the address, `#/alice/it-help` ----

async function enter(person, roomName) {
  state.stop();
  const found = await load("", { person });
  Object.assign(state, { person, me: found.me, app: found.app, members: found.members, channels: found.channels });
  state.names = new Map([["USLACKBOT", "Slackbot"], ...found.members.map((each) => [each.id, each.name]), ...found.channels.map((each) => [each.id, each.name])]);
  state.unread.clear();
  at("team").textContent = found.team;
  fillPeople();
  await open(found.channels.find((each) => each.name === roomName) ?? directRoom());
  state.stop = listen(person, { ready: catchUp, message: onMessage, gone: onGone, status: onStatus, view: showView });
}

// At each connection: what was said and shown while nothing was heard. From the first one on, the page can be used.
async function catchUp() {
  const [{ view }] = await Promise.all([load("", { person: state.person }), refresh()]);
  showView(view);
  if (document.body.inert) {
    document.body.inert = false;
    at("words").focus();
  }
}

function directRoom() {
  return state.channels.find((each) => each.kind === "im");
}

function fillPeople() {
  const people = state.members.filter((each) => !each.is_bot);
  at("person").replaceChildren(...people.map((each) =>
    element("option", { value: each.user_name, selected: each.user_name === state.person }, each.name)));
}

async function open(room) {
  const isOther = state.room?.id !== room.id;
  keepDraft();
  state.room = room;
  state.thread = "";
  state.unread.delete(room.id);
  location.hash = `#/${state.person}/${room.kind === "im" ? "app" : room.name}`;
  at("words").value = state.drafts.get(`${state.person} ${room.id}`) ?? "";
  at("words").focus();
  await refresh();
  grow(at("words"));
  if (room.kind === "im" && isOther) act("open", { person: state.person });
  showSide(false);
}

function keepDraft() {
  if (state.room) state.drafts.set(`${state.person} ${state.room.id}`, at("words").value);
}

// Loads again what changed while it was on its way: the change was applied to what is replaced here.
async function refresh() {
  const { room, changes } = state;
  const { messages, statuses } = await load("/messages", { person: state.person, channel: room.id });
  if (room !== state.room) return;
  if (changes !== state.changes) return refresh();
  state.messages = new Map(messages.map((each) => [each.ts, each]));
  state.statuses = new Map(statuses.map((each) => [each.thread_ts, each]));
  draw();
}

// ---- what changes while one looks on ----

function onMessage(message) {
  if (message.channel !== state.room?.id) {
    if (message.user !== state.me) state.unread.add(message.channel);
    drawRooms();
    return;
  }
  state.changes += 1;
  const isNew = !state.messages.has(message.ts);
  state.messages.set(message.ts, message);
  const isWide = matchMedia("(min-width: 1051px)").matches;
  const isAnswerToMe = isNew && message.is_reply && message.bot_id && state.messages.get(message.thread_ts)?.user === state.me;
  if (isAnswerToMe && !state.thread && isWide) state.thread = message.thread_ts;
  draw();
}

function onGone({ channel, ts }) {
  if (channel !== state.room?.id) return;
  state.changes += 1;
  if (state.messages.delete(ts)) draw();
}

function onStatus(status) {
  if (status.channel !== state.room?.id) return;
  state.changes += 1;
  if (status.text) state.statuses.set(status.thread_ts, status);
  else state.statuses.delete(status.thread_ts);
  drawStatus();
}

function showView(view) {
  showModal(at("modal"), view, state.names, {
    submit: (values) => act("submit", { person: state.person, view: view.id, values }),
    close: () => act("close", { person: state.person, view: view.id }),
    failed: notice,
  });
}

// ---- drawing ----

function draw() {
  drawRooms();
  const { room } = state;
  const isDirect = room.kind === "im";
  at("room-name").textContent = isDirect ? state.app.name : `# ${room.name}`;
  at("room-about").textContent = isDirect ? "Direct message with the app" : "Mention the app to ask it here";
  at("words").placeholder = isDirect ? `Message ${state.app.name}` : `Message #${room.name}`;
  at("composer").querySelector("[data-do=mention]").hidden = isDirect;
  document.title = `${isDirect ? state.app.name : "#" + room.name} · Slack stand-in`;
  const sorted = [...state.messages.values()].sort((one, other) => (one.ts < other.ts ? -1 : 1));
  const top = sorted.filter((each) => !each.is_reply || each.subtype === "thread_broadcast");
  fill(at("messages"), top, isDirect ? directHint() : roomHint());
  const root = state.messages.get(state.thread);
  at("thread").hidden = !root;
  at("frame").classList.toggle("has-thread", Boolean(root));
  if (root) fill(at("replies"), sorted.filter((each) => each.ts === root.ts || each.thread_ts === root.ts), null);
  drawStatus();
}

function drawRooms() {
  const button = (room, sign, name) => element("li", {}, element("button", {
    type: "button", class: state.unread.has(room.id) ? "is-unread" : "", "aria-current": room.id === state.room?.id ? "true" : null,
    "aria-label": state.unread.has(room.id) ? `${name}, new messages` : null, onclick: () => open(room),
  }, element("span", { class: "sign", "aria-hidden": "true" }, sign), name));
  const rooms = state.channels.filter((each) => each.kind === "channel");
  at("channels").replaceChildren(...rooms.map((each) => button(each, "#", each.name)));
  const direct = directRoom();
  at("directs").replaceChildren(...(direct ? [button(direct, "🤖", state.app.name)] : []));
}

function fill(list, messages, hint) {
  const wasAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const isThread = list.id === "replies";
  const nodes = [];
  let last = "";
  for (const message of messages) {
    const its = day(message.ts);
    if (its !== last) nodes.push(element("p", { class: "day" }, its));
    last = its;
    nodes.push(messageNode(message, state, { isThread, press, react, ask, openThread }));
  }
  list.replaceChildren(...(nodes.length || !hint ? nodes : [hint]));
  if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  if (wasAtEnd || list.dataset.of !== `${state.room.id} ${isThread ? state.thread : ""}`) list.scrollTop = list.scrollHeight;
  list.dataset.of = `${state.room.id} ${isThread ? state.thread : ""}`;
}

function directHint() {
  return element("div", { class: "empty" }, element("strong", {}, `Say hello to ${state.app.name}`),
    "For example: I need a new laptop");
}

function roomHint() {
  return element("div", { class: "empty" }, element("strong", {}, "Nothing was said here yet"),
    `Ask with @${state.app.name}; the answer comes as a thread`);
}

function drawStatus() {
  const shown = [...state.statuses.values()].filter((each) => each.text);
  statusLine(at("thread-status"), shown.find((each) => each.thread_ts === state.thread));
  statusLine(at("status"), shown.findLast((each) => each.thread_ts !== state.thread));
}

function statusLine(line, status) {
  const stop = () => attempt("stop", { channel: state.room.id, thread: status.thread_ts });
  line.replaceChildren(...(status ? [`${state.app.name} ${status.text}`] : []),
    ...(status?.can_stop ? [element("button", { class: "button plain", type: "button", onclick: stop }, "Stop")] : []));
}

// ---- what one does ----

async function attempt(what, body) {
  const answer = await act(what, { person: state.person, ...body });
  if (answer.error) notice(answer.error);
  return answer;
}

async function press(message, block, part, value) {
  const isSure = !part.confirm || (await askSure(at("sure"), part.confirm, state.names));
  if (isSure) await attempt("press", { channel: message.channel, ts: message.ts, action: part.action_id ?? value, value });
}

function react(message, name) {
  return attempt("react", { channel: message.channel, ts: message.ts, name });
}

function ask(message) {
  return attempt("shortcut", { channel: message.channel, ts: message.ts });
}

function openThread(ts) {
  state.thread = ts;
  draw();
  at("reply-words").focus();
}

function closeThread() {
  state.thread = "";
  draw();
  at("words").focus();
}

// Messages leave one after the other; what is written meanwhile is the next one.
let lastSaid = Promise.resolve();

function send(form, words, thread) {
  const files = form.querySelector("input[type=file]");
  const chosen = [...(files?.files ?? [])].map(({ name, type, size }) => ({ name, mimetype: type || "application/octet-stream", size }));
  const [text, person, channel] = [words.value, state.person, state.room.id];
  if (!text.trim() && !chosen.length) return;
  words.value = "";
  if (files) files.value = "";
  form.querySelector(".chosen").textContent = "";
  grow(words);
  const command = /^(\/\S+)\s*([\s\S]*)$/.exec(text);
  if (command && !thread) attempt("command", { person, channel, command: command[1], text: command[2] });
  else lastSaid = lastSaid.then(() => say(words, { person, channel, text, thread, files: chosen }));
}

async function say(words, message) {
  const answer = await attempt("say", message);
  const isHere = state.person === message.person && state.room?.id === message.channel;
  if (!answer.error || words.value || !isHere) return;
  words.value = message.text;
  grow(words);
}

function grow(words) {
  words.style.height = "auto";
  words.style.height = `${words.scrollHeight}px`;
}

let hiding = 0;
function notice(text) {
  at("notice").textContent = text;
  at("notice").hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { at("notice").hidden = true; }, 6000);
}

function showSide(isShown) {
  at("frame").classList.toggle("has-side", isShown);
}

function composer(form, words, thread) {
  form.addEventListener("submit", (event) => { event.preventDefault(); send(form, words, thread()); });
  words.addEventListener("input", () => grow(words));
  words.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); form.requestSubmit(); }
  });
}

composer(at("composer"), at("words"), () => "");
composer(at("reply-composer"), at("reply-words"), () => state.thread);
at("files").addEventListener("change", (event) => {
  at("composer").querySelector(".chosen").textContent = [...event.target.files].map((each) => each.name).join(", ");
});
at("composer").querySelector("[data-do=mention]").addEventListener("click", () => {
  at("words").value = `@${state.app.name} ${at("words").value}`;
  at("words").focus();
});
at("person").addEventListener("change", (event) => enter(event.target.value, state.room?.name));
at("open-side").addEventListener("click", () => { showSide(true); at("person").focus(); });
at("close-side").addEventListener("click", () => showSide(false));
at("close-thread").addEventListener("click", closeThread);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  if (at("frame").classList.contains("has-side")) showSide(false);
  else if (state.thread) closeThread();
});

const [, person, room] = location.hash.split("/");
enter(person || "alice", room).catch(() => enter("alice"));
