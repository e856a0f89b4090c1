// Slack's "mrkdwn" as nodes of the page. Text only ever becomes text nodes: nothing that was said can become markup.

export const EMOJI = {
  eyes: "👀", white_check_mark: "✅", heavy_check_mark: "✔️", hourglass: "⌛", hourglass_flowing_sand: "⏳", x: "❌",
  warning: "⚠️", "+1": "👍", thumbsup: "👍", "-1": "👎", thumbsdown: "👎", tada: "🎉", wave: "👋", raised_hands: "🙌",
  robot_face: "🤖", computer: "💻", ticket: "🎫", lock: "🔒", speech_balloon: "💬", question: "❓", heart: "❤️",
  information_source: "ℹ️", arrow_right: "➡️", no_entry: "⛔", bulb: "💡", envelope: "✉️", phone: "☎️", repeat: "🔁",
};
const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">" };

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function unescaped(text) {
  return text.replace(/&(amp|lt|gt);/g, (found) => ENTITIES[found]);
}

function emoji(text) {
  return text.replace(/:([a-z0-9_+-]+):/g, (all, name) => EMOJI[name] ?? all);
}

// `names`: id → name of a person or channel. Returns a fragment.
export function mrkdwn(text, names) {
  const made = document.createDocumentFragment();
  const parts = String(text).split(/```/);
  parts.forEach((part, place) => {
    const isCode = place % 2 === 1 && place < parts.length - 1;
    if (isCode) made.append(element("pre", {}, element("code", {}, plainControls(part.replace(/^\n|\n$/g, "")))));
    else made.append(...quoted((place % 2 === 1 ? "```" : "") + part, names));
  });
  return made;
}

function plainControls(text) {
  return unescaped(text.replace(/<([^<>|]+)(?:\|([^<>]+))?>/g, (_, target, label) => label ?? target));
}

function quoted(text, names) {
  const made = [];
  let quote = null;
  const lines = text.split("\n");
  lines.forEach((line, place) => {
    const match = /^(?:&gt;|>) ?(.*)$/.exec(line);
    const end = place < lines.length - 1 ? "\n" : "";
    if (match) {
      quote = quote ?? made[made.push(element("blockquote")) - 1];
      quote.append(...inline(match[1], names), end);
    } else {
      quote = null;
      made.push(...inline(line, names), end);
    }
  });
  return made;
}

const PIECE = new RegExp(
  "`([^`\\n]+)`" + "|<([^<>\\n]+)>" + "|(?<![\\w*])\\*(?=\\S)([^*\\n]+?)(?<=\\S)\\*(?![\\w*])" +
  "|(?<![\\w_])_(?=\\S)([^_\\n]+?)(?<=\\S)_(?![\\w_])" + "|(?<![\\w~])~(?=\\S)([^~\\n]+?)(?<=\\S)~(?![\\w~])", "g",
);

function inline(text, names) {
  const made = [];
  let from = 0;
  for (const found of text.matchAll(PIECE)) {
    made.push(emoji(unescaped(text.slice(from, found.index))));
    const [whole, code, control, bold, italic, struck] = found;
    if (code !== undefined) made.push(element("code", {}, plainControls(code)));
    else if (control !== undefined) made.push(controlled(control, names));
    else if (bold !== undefined) made.push(element("strong", {}, ...inline(bold, names)));
    else if (italic !== undefined) made.push(element("em", {}, ...inline(italic, names)));
    else made.push(element("s", {}, ...inline(struck, names)));
    from = found.index + whole.length;
  }
  made.push(emoji(unescaped(text.slice(from))));
  return made;
}

function controlled(control, names) {
  const [target, label] = control.split("|");
  if (/^[@#][A-Z0-9]+$/.test(target)) {
    return element("span", { class: "mention" }, target[0] + (names.get(target.slice(1)) ?? label ?? target.slice(1)));
  }
  if (target.startsWith("!date^")) return unescaped(label ?? target);
  if (target.startsWith("!")) return element("span", { class: "mention" }, "@" + target.slice(1).replace(/^subteam\^/, ""));
  return link(unescaped(target), unescaped(label ?? target));
}

export function link(target, label) {
  if (!/^(https?:|mailto:|tel:)/i.test(target)) return document.createTextNode(label);
  return element("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, label);
}

// What a markdown block holds, near enough: headings, bold and links in Slack's own form.
export function markdown(text, names) {
  const own = String(text)
    .replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;")
    .replace(/^#{1,6} +(.*)$/gm, "*$1*").replace(/\*\*([^*\n]+)\*\*/g, "*$1*")
    .replace(/^( *)[-*] +/gm, "$1• ").replace(/\[([^\]\n]+)\]\((https?:[^)\s]+)\)/g, "<$2|$1>");
  return mrkdwn(own, names);
}
