/* The loudness of a recording as bars. */

const SVG = "http://www.w3.org/2000/svg";
const STEP = 4;
const HEIGHT = 28;

/** A drawing of numbers from 0 to 100. `setProgress(0…1)` on it colours the part that was played. */
export function waveform(levels) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${levels.length * STEP} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const bars = levels.map((level, index) => {
    const height = Math.max(2, (level / 100) * HEIGHT);
    const bar = document.createElementNS(SVG, "rect");
    const shape = { x: index * STEP + 0.5, y: (HEIGHT - height) / 2, width: STEP - 1.5, height, rx: 1.2 };
    for (const [name, value] of Object.entries(shape)) bar.setAttribute(name, value);
    return bar;
  });
  svg.append(...bars);
  svg.setProgress = (part) => {
    bars.forEach((bar, index) => bar.classList.toggle("played", index < part * bars.length));
  };
  return svg;
}

/** At most `most` numbers, each the largest of the ones that it stands for. */
export function fewer(levels, most) {
  if (levels.length <= most) return levels;
  const size = levels.length / most;
  return Array.from({ length: most }, (_, index) =>
    Math.max(...levels.slice(Math.floor(index * size), Math.ceil((index + 1) * size))));
}
