"use strict";
// The mail view: one person's mailbox, asked for again every second; texts are shown as text, never as HTML.

const byId = (id) => document.getElementById(id);
const state = { mailbox: "", agent: "", mails: [], shown: null, answers: null, drawn: "" };

async function load() {
  const { mailbox } = state;
  if (!mailbox) return;
  const reply = await fetch("/api/mails?mailbox=" + encodeURIComponent(mailbox));
  const { items } = await reply.json();
  if (mailbox !== state.mailbox) return;
  state.mails = items;
  const drawn = JSON.stringify([state.mailbox, state.mails, state.shown]);
  if (drawn !== state.drawn) {
    state.drawn = drawn;
    drawList();
  }
}

function element(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function drawList() {
  byId("list").replaceChildren(...state.mails.map((mail) => {
    const button = element("button", "", mail.is_own ? "own" : "");
    button.type = "button";
    button.setAttribute("aria-current", String(mail.uid === state.shown));
    button.append(element("strong", mail.subject || "(no subject)"));
    button.append(element("span", mail.is_own ? "to " + mail.to : mail.from));
    button.append(element("span", new Date(mail.date).toLocaleString()));
    button.addEventListener("click", () => show(mail.uid));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
}

function show(uid) {
  state.shown = uid;
  const mail = state.mails.find((each) => each.uid === uid);
  const reading = byId("reading");
  reading.replaceChildren(element("h2", mail.subject || "(no subject)"));
  reading.append(element("p", "From " + mail.from + " to " + mail.to));
  reading.append(element("pre", mail.text));
  if (!mail.is_own) {
    const answer = element("button", "Answer", "button");
    answer.type = "button";
    answer.addEventListener("click", () => compose(mail));
    reading.append(answer);
  }
  drawList();
}

function compose(mail) {
  if (!state.mailbox) {
    byId("mailbox").focus();
    return;
  }
  state.answers = mail ? mail.uid : null;
  byId("to").textContent = "From " + state.mailbox + " to " + (mail ? mail.from : state.agent);
  byId("subject").parentElement.hidden = Boolean(mail);
  byId("forged").parentElement.hidden = Boolean(mail);
  byId("problem").textContent = "";
  byId("compose").hidden = false;
  byId(mail ? "text" : "subject").focus();
}

async function send(event) {
  event.preventDefault();
  const body = { sender: state.mailbox, text: byId("text").value };
  if (state.answers === null) Object.assign(body, { subject: byId("subject").value, is_forged: byId("forged").checked });
  else body.answers = state.answers;
  const reply = await fetch("/api/mails", {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  if (!reply.ok) {
    byId("problem").textContent = "The mail could not be sent: " + reply.status;
    return;
  }
  byId("compose").reset();
  byId("compose").hidden = true;
  await load();
}

async function choose(mailbox) {
  state.mailbox = mailbox.trim().toLowerCase();
  state.shown = null;
  localStorage.setItem("mailbox", state.mailbox);
  await load();
}

async function start() {
  const known = await (await fetch("/api/mailboxes")).json();
  state.agent = known.agent;
  byId("people").replaceChildren(...known.people.map((each) => {
    const option = document.createElement("option");
    option.value = each;
    return option;
  }));
  byId("mailbox").value = localStorage.getItem("mailbox") || known.people[0] || "";
  byId("mailbox").addEventListener("change", () => choose(byId("mailbox").value));
  byId("write").addEventListener("click", () => compose(null));
  byId("discard").addEventListener("click", () => { byId("compose").hidden = true; });
  byId("compose").addEventListener("submit", send);
  await choose(byId("mailbox").value);
  document.body.inert = false;
  setInterval(load, 1000);
}

start();
