/* Where one is in a list that grows at both ends. */

const NEAR = 80; // pixels that still count as the end

/**
 * Keep the place in a scroller while its content changes: whoever is at the end stays at the end;
 * whoever reads further up keeps the same message at the same height.
 */
export function keepPlace(scroller, list) {
  let atEnd = true;
  let top = 0; // where the scroller was when `atEnd` was found out
  let height = scroller.clientHeight;

  function isAtEnd() {
    return scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
  }

  function toEnd() {
    scroller.scrollTop = scroller.scrollHeight;
    atEnd = true;
    top = scroller.scrollTop;
  }

  /** See whether the user has scrolled. A place that only grew or shrank was not scrolled. */
  function look() {
    if (scroller.scrollTop === top) return;
    top = scroller.scrollTop;
    if (scroller.clientHeight === height) atEnd = isAtEnd();
  }

  /** Change the content by `draw`, and keep the place. */
  function around(draw) {
    look(); // the event of a scroll comes a frame later
    const anchor = atEnd ? null : firstVisible();
    const before = anchor?.getBoundingClientRect().top;
    draw();
    if (atEnd) toEnd();
    else if (anchor?.isConnected) scroller.scrollTop += anchor.getBoundingClientRect().top - before;
  }

  function firstVisible() {
    const edge = scroller.getBoundingClientRect().top;
    return [...list.children].find((row) => row.getBoundingClientRect().bottom > edge);
  }

  scroller.addEventListener("scroll", look, { passive: true });
  // Pictures that come, a field that grows: the end stays in sight.
  const observer = new ResizeObserver(() => {
    if (atEnd) toEnd();
    height = scroller.clientHeight;
  });
  observer.observe(scroller);
  observer.observe(list);

  return { around, isAtEnd, toEnd, close: () => observer.disconnect() };
}
