/* The keyboard: arrows move within a list, and one Tab passes it. */

const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

/**
 * Let the arrow keys, Home and End move the focus among the items of a container.
 *
 * `selector` finds the items. `columns()` is for a grid: up and down then move by that many. One
 * item can be reached by Tab: the one that had the focus last, else `start` ("first", "last").
 */
export function moveByArrows(container, selector, { columns, horizontal = true, start } = {}) {
  const items = () => [...container.querySelectorAll(selector)].filter((item) => item.checkVisibility());

  container.addEventListener("keydown", (event) => {
    if (event.target.matches("input, textarea") || event.altKey || event.ctrlKey || event.metaKey) return;
    const all = items();
    const from = all.indexOf(event.target.closest(selector));
    if (from < 0) return;
    const to = target(event.key, from, all.length);
    if (to === undefined || !all[to]) return;
    event.preventDefault();
    focusOn(all[to]);
  });
  container.addEventListener("focusin", (event) => {
    const item = event.target.closest(selector);
    if (item) makeReachable(item);
  });

  function target(key, from, length) {
    if (key === "Home") return 0;
    if (key === "End") return length - 1;
    if (!(key in STEPS) || (!horizontal && /Left|Right/.test(key))) return undefined;
    const vertical = /Up|Down/.test(key);
    return from + STEPS[key] * (vertical && columns ? columns() : 1);
  }

  function makeReachable(item) {
    for (const other of container.querySelectorAll(`${selector}[tabindex="0"]`)) {
      if (other !== item) other.tabIndex = -1;
    }
    item.tabIndex = 0;
  }

  /** After the list was drawn again: exactly one item is reachable. */
  function settle() {
    const all = items();
    if (!all.length || all.some((item) => item.tabIndex === 0 && item.hasAttribute("tabindex"))) return;
    makeReachable(start === "last" ? all.at(-1) : all[0]);
  }

  function focusOn(item) {
    makeReachable(item);
    item.focus();
    item.scrollIntoView({ block: "nearest" });
  }

  return { settle, focusOn, items };
}
