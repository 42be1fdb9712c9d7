// Small helpers for the document.

export const $ = (id) => document.getElementById(id);

/** Make an element: make("li", { class: "x", onclick: f }, child, "text"). */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on") || key in element && key !== "list") element[key] = value;
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Fill a <dl> with pairs [term, text, class]. */
export function define(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([term, text, kind]) => [make("dt", {}, term), make("dd", { className: kind ?? "" }, text)]));
}

/** Fill a list again; what had the focus in it passes it to what takes its place, or to another element if none does. */
export function keepingFocus(list, other, items) {
  const stops = (item) => [...item.querySelectorAll("button, input, [tabindex]")];
  const row = [...list.children].findIndex((item) => item.contains(document.activeElement));
  const place = row < 0 ? -1 : stops(list.children[row]).indexOf(document.activeElement);
  list.replaceChildren(...items());
  if (row < 0) return;
  const next = list.children[Math.min(row, list.children.length - 1)];
  (next ? stops(next)[place] ?? stops(next)[0] : other).focus();
}

/** Let a control be used, or give the reason why it cannot be used now: it is shown as the control's tip, and for a button
 * also when it is pressed. A disabled button would lose the focus, so buttons only say that they are disabled.
 * kind: "reason", or "busy" for what is over soon; a control can have both. */
export function allow(control, reason = "", kind = "reason") {
  const { dataset } = control;
  dataset.usual ??= control.title;
  dataset[kind] = reason;
  const current = dataset.busy || dataset.reason || "";
  control.title = current || dataset.usual;
  if (control.tagName !== "BUTTON") control.disabled = Boolean(current);
  else if (current) control.setAttribute("aria-disabled", "true");
  else control.removeAttribute("aria-disabled");
}

/** From now on, pressing a button that cannot be used shows the reason. */
export function answerDisabled() {
  addEventListener("click", (event) => {
    const button = event.target.closest?.("button[aria-disabled=true]");
    if (!button) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    toast(button.title);
  }, { capture: true });
}

/** Do what a button asks for, once at a time. reason: what it shows meanwhile. */
export async function whileBusy(button, reason, act) {
  if (button.getAttribute("aria-disabled")) return;
  allow(button, reason, "busy");
  try {
    await act();
  } finally {
    allow(button, "", "busy");
  }
}

/** Call a function once things have been quiet for a while. */
export function calmly(f, ms) {
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => f(...args), ms);
  };
}

let fading;

/** Say something that went well, or why it did not, for a few seconds. */
export function toast(text) {
  const box = $("toast");
  box.textContent = text;
  box.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => { box.hidden = true; }, Math.max(4500, 60 * text.length)); // long ones take longer to read
}

export function showFault(box, text) {
  box.textContent = text ?? "";
  box.hidden = !text;
}

export async function copyText(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied.`);
  } catch {
    prompt(`${what}:`, text);
  }
}
