/* Elements and lists of them. No text ever becomes markup: strings are text nodes. */

import { PATHS } from "./icons.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: `h("button", { class: "primary", onclick: send }, icon("send"), "Send")`.
 * A null, undefined or false attribute or child is left out.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  set(element, attributes);
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** Give an element attributes, or properties where these can be told: listeners, booleans. */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function" || name === "value" || name === "srcObject") {
      element[name] = value;
    } else if (value == null || value === false) {
      element.removeAttribute(name);
    } else {
      const text = value === true ? "" : String(value);
      if (element.getAttribute(name) !== text) element.setAttribute(name, text);
    }
  }
}

/** Give an element this text, unless it has it: a screen reader would say it again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Give an element other children. What had the focus among the old ones hands it on. */
export function redraw(element, ...children) {
  const controls = () => [...element.querySelectorAll("a, button, input")];
  const focused = controls().indexOf(document.activeElement);
  element.replaceChildren(...children.filter((child) => child != null && child !== false));
  if (focused >= 0) (controls()[focused] ?? element).focus({ preventScroll: true });
}

/** A drawing from icons.js. It says nothing: the button around it has a label. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  for (const d of PATHS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/** A round button that shows a drawing alone, and so has a label. */
export function iconButton(name, label, onclick, attributes = {}) {
  const own = { type: "button", class: "icon-button", "aria-label": label, title: label, onclick };
  return h("button", { ...own, ...attributes }, icon(name));
}

const rowsOf = new WeakMap();

/**
 * Let `parent` hold a row for each item, in their order.
 *
 * `make(item)` returns `{ element, update?(item) }`. Rows of items that stay are kept as they are, so
 * that the focus, a recording that plays and a selection stay too. `update` is called where an item
 * is another object than before.
 */
export function keyed(parent, items, key, make) {
  const before = rowsOf.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    const id = key(item);
    let row = before.get(id);
    if (!row) {
      row = make(item);
    } else if (row.item !== item) {
      row.update?.(item);
    }
    row.item = item;
    after.set(id, row);
  }
  for (const [id, row] of before) if (!after.has(id)) row.element.remove();
  let place = parent.firstElementChild;
  for (const { element } of after.values()) {
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  rowsOf.set(parent, after);
  return after;
}

/** Put off work until a burst of calls is over. */
export function debounce(milliseconds, work) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), milliseconds);
  };
}
