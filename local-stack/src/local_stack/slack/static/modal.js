// Modals of the app, and the question that a button may ask before it is pressed.
import { filledIn, inputs, textOf } from "./blocks.js";
import { element, unescaped } from "./words.js";

// `view` null or without an id closes. `does`: submit(values), close(), failed(words).
export function showModal(dialog, view, names, does) {
  dialog.onclose = null;
  if (!view?.id) {
    if (dialog.open) dialog.close();
    return;
  }
  draw(dialog, view, names, does, {});
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("input, textarea, select")?.focus();
  dialog.onclose = () => does.close();
}

function draw(dialog, view, names, does, errors) {
  const leave = element("button", { class: "button", type: "button", onclick: () => dialog.close() }, view.close ? unescaped(view.close.text) : "Cancel");
  const send = view.submit ? element("button", { class: "button primary", type: "submit" }, unescaped(view.submit.text)) : null;
  const form = element("form", {}, element("h2", { id: "modal-title" }, unescaped(view.title.text)),
    ...inputs(view, names, errors).filter(Boolean), element("div", { class: "dialog-row" }, leave, send));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = filledIn(view, form);
    send.disabled = true;
    const answer = await does.submit(values);
    send.disabled = false;
    if (answer.error) does.failed(answer.error);
    else if (!answer.ok) Object.entries(answer.errors).forEach(([block, words]) => point(form, block, words));
  });
  dialog.replaceChildren(form);
}

function point(form, block, words) {
  const about = document.getElementById(`in-${block}-about`);
  if (!about) return;
  about.className = "wrong";
  about.textContent = words;
  form.querySelector(`[data-block="${CSS.escape(block)}"]`)?.focus();
}

// Resolves to whether the person is sure.
export function askSure(dialog, confirm, names) {
  return new Promise((resolve) => {
    const style = confirm.style === "danger" ? "button danger" : "button primary";
    dialog.replaceChildren(element("form", { method: "dialog" },
      element("h2", { id: "sure-title" }, unescaped(confirm.title.text)),
      element("div", { class: "text" }, textOf(confirm.text, names)),
      element("div", { class: "dialog-row" },
        element("button", { class: "button", value: "" }, unescaped(confirm.deny.text)),
        element("button", { class: style, value: "yes" }, unescaped(confirm.confirm.text)))));
    dialog.returnValue = "";
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
    dialog.showModal();
  });
}
