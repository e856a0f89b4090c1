// One message as a node of the page.
import { blocks } from "./blocks.js";
import { EMOJI, element, mrkdwn } from "./words.js";

const QUICK = ["+1", "-1", "eyes"];
const moment = (ts) => new Date(Number(ts) * 1000);

export function day(ts) {
  return moment(ts).toLocaleDateString(undefined, { weekday: "long", day: "numeric", month: "long" });
}

export function messageNode(message, state, { isThread, press, react, ask, openThread }) {
  const name = state.names.get(message.user) ?? message.user;
  const classes = ["message", message.is_ephemeral ? "is-ephemeral" : "", message.bot_id ? "is-for-app" : ""];
  const node = element("article", { class: classes.filter(Boolean).join(" "), "data-ts": message.ts, "aria-label": `${name}, ${clock(message.ts)}` },
    element("span", { class: `face ${hue(message)}`, "aria-hidden": "true" }, message.bot_id ? "🤖" : initials(name)),
    element("div", { class: "by" },
      element("strong", {}, name),
      message.bot_id ? element("span", { class: "tag" }, "APP") : null,
      element("time", { datetime: moment(message.ts).toISOString(), title: moment(message.ts).toLocaleString() }, clock(message.ts)),
      message.is_ephemeral ? element("span", { class: "soft" }, "Only visible to you") : null,
      message.edited ? element("span", { class: "soft" }, "(edited)") : null),
    element("div", { class: "body" },
      ...content(message, state.names, (block, part, value) => press(message, block, part, value)),
      files(message),
      element("div", { class: "under" }, ...reactions(message, state, react), repliesButton(message, isThread, openThread))));
  if (!message.is_ephemeral) node.append(tools(message, isThread, { react, ask, openThread }));
  node.querySelectorAll(".body button, .body select, .tools button").forEach((each, place) => { each.dataset.key = `${message.ts} ${place}`; });
  return node;
}

function content(message, names, press) {
  if (message.blocks?.length) return blocks(message.blocks, names, press);
  return message.text ? [element("div", { class: "text" }, mrkdwn(message.text, names))] : [];
}

function files(message) {
  if (!message.files) return null;
  return element("div", { class: "files" }, ...message.files.map((each) => element("span", { class: "file" }, `📎 ${each.name}`)));
}

function reactions(message, state, react) {
  return (message.reactions ?? []).map(({ name, users, count }) => element("button", {
    class: "reaction", type: "button", "aria-pressed": String(users.includes(state.me)),
    "aria-label": `${name}: ${users.map((each) => state.names.get(each) ?? each).join(", ")}`, onclick: () => react(message, name),
  }, `${EMOJI[name] ?? `:${name}:`} ${count}`));
}

function repliesButton(message, isThread, openThread) {
  if (!message.reply_count || isThread) return null;
  const words = message.reply_count === 1 ? "1 reply" : `${message.reply_count} replies`;
  return element("button", { class: "replies", type: "button", onclick: () => openThread(message.ts) }, words);
}

function tools(message, isThread, { react, ask, openThread }) {
  const quick = QUICK.map((name) => element("button", { type: "button", "aria-label": `React with ${name}`, onclick: () => react(message, name) }, EMOJI[name]));
  const reply = isThread ? [] : [element("button", { type: "button", onclick: () => openThread(message.thread_ts || message.ts) }, "Reply")];
  const about = element("button", { type: "button", onclick: () => ask(message) }, "Ask IT");
  return element("div", { class: "tools" }, ...quick, ...reply, about);
}

function clock(ts) {
  return moment(ts).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}

function initials(name) {
  return name.split(/\s+/).map((each) => [...each][0] ?? "").slice(0, 2).join("").toUpperCase();
}

function hue(message) {
  if (message.bot_id) return "hue-app";
  return `hue-${[...message.user].reduce((sum, each) => sum + each.charCodeAt(0), 0) % 6}`;
}
