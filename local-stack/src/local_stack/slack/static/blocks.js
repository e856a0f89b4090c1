// Block Kit as nodes of the page: what is shown in a message or a modal, and what can be pressed or filled in.
import { element, markdown, mrkdwn, unescaped } from "./words.js";

export function textOf(text, names) {
  if (!text) return "";
  return text.type === "mrkdwn" ? mrkdwn(text.text, names) : unescaped(text.text);
}

// `press(block, element, value)` is called for what is pressed. Returns nodes.
export function blocks(list, names, press) {
  return list.map((block) => shown(block, names, press)).filter(Boolean);
}

function shown(block, names, press) {
  switch (block.type) {
    case "section":
      return element("div", { class: "block section" },
        element("div", { class: "grow" },
          block.text ? element("div", {}, textOf(block.text, names)) : null,
          block.fields ? element("div", { class: "fields" }, ...block.fields.map((each) => element("div", {}, textOf(each, names)))) : null),
        block.accessory ? pressable(block, block.accessory, press) : null);
    case "header": return element("div", { class: "block header" }, textOf(block.text, names));
    case "context":
      return element("div", { class: "block context" }, ...block.elements.map((each) =>
        element("span", {}, each.type === "image" ? `🖼 ${each.alt_text}` : textOf(each, names))));
    case "actions": case "context_actions":
      return element("div", { class: "block actions" }, ...block.elements.flatMap((each) => pressable(block, each, press) ?? []));
    case "divider": return element("hr");
    case "image": return element("div", { class: "block image" }, `🖼 ${block.alt_text}`);
    case "markdown": return element("div", { class: "block text" }, markdown(block.text, names));
    case "rich_text": return element("div", { class: "block text" }, richText(block));
    default: return null;
  }
}

function richText(thing) {
  if (Array.isArray(thing)) return thing.map(richText).join("");
  return (thing.text ?? thing.url ?? "") + richText(thing.elements ?? []);
}

function pressable(block, part, press) {
  switch (part.type) {
    case "button": case "icon_button": {
      const style = part.style ? ` ${part.style}` : "";
      const words = part.text ? unescaped(part.text.text) : "•";
      const attributes = { class: `button${style}`, "aria-label": part.accessibility_label };
      if (part.url && /^https?:/.test(part.url)) {
        const open = { ...attributes, href: part.url, target: "_blank", rel: "noopener noreferrer" };
        return element("a", { ...open, onclick: () => press(block, part, part.value ?? "") }, words);
      }
      return element("button", { ...attributes, type: "button", onclick: () => press(block, part, part.value ?? "") }, words);
    }
    case "feedback_buttons":
      return element("span", { class: "under" }, ...["positive_button", "negative_button"].map((name) =>
        element("button", {
          class: "button plain", type: "button", "aria-label": part[name].accessibility_label,
          onclick: () => press(block, part, part[name].value),
        }, unescaped(part[name].text.text))));
    case "static_select": case "overflow": {
      const first = element("option", { value: "", selected: true }, part.placeholder ? unescaped(part.placeholder.text) : "Choose…");
      const options = part.options.map((each) => element("option", { value: each.value }, unescaped(each.text.text)));
      const label = part.placeholder ? unescaped(part.placeholder.text) : "Choose";
      return element("select", { class: "field", "aria-label": label, onchange: (event) => event.target.value && press(block, part, event.target.value) }, first, ...options);
    }
    case "radio_buttons": case "checkboxes":
      return element("span", {}, ...part.options.map((each) => choice(part, each, `${block.block_id}-${part.action_id}`,
        () => press(block, part, each.value))));
    case "image": return element("span", { class: "soft" }, `🖼 ${part.alt_text}`);
    default: return null;
  }
}

function choice(part, option, name, onchange) {
  const type = part.type === "checkboxes" ? "checkbox" : "radio";
  return element("label", { class: "choice" },
    element("input", { type, name, value: option.value, onchange }), unescaped(option.text.text));
}

// ---- the inputs of a modal ----

export function inputs(view, names, errors) {
  return view.blocks.map((block) => (block.type === "input" ? input(block, errors) : shown(block, names, () => {})));
}

function input(block, errors) {
  const id = `in-${block.block_id}`;
  const wrong = errors[block.block_id];
  const part = block.element;
  const attributes = { id, class: "field", "data-block": block.block_id, "aria-invalid": wrong ? "true" : null, "aria-describedby": `${id}-about` };
  const about = element("p", { id: `${id}-about`, class: wrong ? "wrong" : "hint" }, wrong ?? (block.hint ? unescaped(block.hint.text) : ""));
  const label = unescaped(block.label.text) + (block.optional ? " (optional)" : "");
  if (part.type === "radio_buttons" || part.type === "checkboxes") {
    const initial = [part.initial_option, ...(part.initial_options ?? [])].filter(Boolean).map((each) => each.value);
    const fields = part.options.map((each) => choice(part, each, id));
    fields.forEach((each) => { const box = each.firstChild; box.checked = initial.includes(box.value); });
    return element("fieldset", { class: "card", "data-block": block.block_id }, element("legend", { class: "label" }, label), ...fields, about);
  }
  return element("div", {}, element("label", { class: "label", for: id }, label), field(part, attributes, block.optional), about);
}

function field(part, attributes, isOptional) {
  const own = { ...attributes, required: !isOptional, placeholder: part.placeholder ? unescaped(part.placeholder.text) : null };
  if (part.type === "static_select") {
    const options = part.options.map((each) => element("option", { value: each.value, selected: part.initial_option?.value === each.value }, unescaped(each.text.text)));
    return element("select", own, element("option", { value: "" }, own.placeholder ?? "Choose…"), ...options);
  }
  const limits = { maxlength: part.max_length ?? 3000, minlength: part.min_length };
  if (part.multiline) {
    const area = element("textarea", { ...own, ...limits, rows: 4 });
    area.value = part.initial_value ?? "";
    return area;
  }
  return element("input", { ...own, ...limits, type: part.type === "email_text_input" ? "email" : "text", value: part.initial_value ?? "" });
}

// block id → action id → what was filled in, as Slack sends it.
export function filledIn(view, form) {
  const values = {};
  for (const block of view.blocks.filter((each) => each.type === "input")) {
    const part = block.element;
    const found = form.querySelector(`[data-block="${CSS.escape(block.block_id)}"]`);
    const option = (value) => part.options.find((each) => each.value === value) ?? null;
    let value;
    if (part.type === "static_select") value = { selected_option: option(found.value) };
    else if (part.type === "radio_buttons") value = { selected_option: option(found.querySelector("input:checked")?.value) };
    else if (part.type === "checkboxes") value = { selected_options: [...found.querySelectorAll("input:checked")].map((each) => option(each.value)) };
    else value = { value: found.value || null };
    values[block.block_id] = { [part.action_id ?? "input"]: { type: part.type, ...value } };
  }
  return values;
}
