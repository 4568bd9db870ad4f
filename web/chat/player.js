/* A voice note in a message: play, pause, and where in it one is. One plays at a time. */

import { h, icon, iconButton, say } from "./dom.js";
import { notify } from "./overlays.js";
import { duration } from "./time.js";
import { fewer, waveform } from "./waveform.js";

const BARS = 40;
const FLAT = new Array(BARS).fill(8);

let playing = null;

/** The player of an attachment; `fresh(id)` brings its address anew, where it is too old. */
export function voicePlayer(attachment, fresh) {
  const levels = fewer(attachment.waveform ?? FLAT, BARS);
  const length = attachment.durationMs ?? 0;
  const drawing = waveform(levels);
  const time = h("span", { class: "time" }, duration(length));
  const place = h("input", {
    type: "range",
    class: "voice-place",
    min: 0,
    max: Math.max(1, length),
    step: 100,
    value: 0,
    "aria-label": "Position in the voice note",
    oninput: () => seek(Number(place.value)),
  });
  const button = iconButton("play", "Play the voice note", toggle, { class: "icon-button voice-button" });
  let audio = null;

  function toggle() {
    if (audio && !audio.paused) return audio.pause();
    playing?.pause();
    playing = opened();
    const sound = playing;
    // A pause that comes before the sound is there ends the wait for it: no fault.
    return sound.play().catch((error) => error.name === "AbortError" || playAnew(sound));
  }

  /** The signed address of a file is good for an hour. */
  async function playAnew(sound) {
    const renewed = await fresh(attachment.id).catch(() => null);
    if (renewed) sound.src = renewed.url;
    await sound.play().catch(() => notify("This browser cannot play the voice note."));
  }

  /** The sound is loaded when somebody wants to hear it, not with the history. */
  function opened() {
    if (audio) return audio;
    audio = new Audio(attachment.url);
    audio.currentTime = Number(place.value) / 1000;
    for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, showState);
    audio.addEventListener("timeupdate", () => showPlace(audio.currentTime * 1000));
    audio.addEventListener("ended", () => {
      audio.currentTime = 0;
      showPlace(0);
    });
    return audio;
  }

  function seek(milliseconds) {
    if (audio) audio.currentTime = milliseconds / 1000;
    showPlace(milliseconds);
  }

  function showState() {
    const active = !audio.paused && !audio.ended;
    button.replaceChildren(icon(active ? "pause" : "play"));
    const label = active ? "Pause the voice note" : "Play the voice note";
    button.setAttribute("aria-label", label);
    button.title = label;
  }

  function showPlace(milliseconds) {
    place.value = milliseconds;
    place.setAttribute("aria-valuetext", `${duration(milliseconds)} of ${duration(length)}`);
    drawing.setProgress(length ? milliseconds / length : 0);
    say(time, duration(milliseconds || length));
  }

  return h("div", { class: "voice" }, button,
    h("div", { class: "voice-track" }, h("span", { class: "waveform" }, drawing), place), time);
}
