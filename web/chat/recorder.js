/* Voice notes: recorded by the browser, with the loudness drawn while one speaks. */

import { h, iconButton, say } from "./dom.js";
import { notify } from "./overlays.js";
import { duration } from "./time.js";
import { waveform } from "./waveform.js";

// What the server takes as a voice note, the first that this browser can record.
const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
const BARS = 48;
const BAR_MILLISECONDS = 100;
const LONGEST = 15 * 60 * 1000;
const TOLD_EVERY = 3000;

/**
 * Record until the user sends or drops it, or the signal says that the place is gone. `strip` shows
 * the recording meanwhile. `tell()` is called every few seconds. Returns a File, or null.
 */
export async function record(strip, tell, signal) {
  const type = TYPES.find((one) => globalThis.MediaRecorder?.isTypeSupported(one));
  if (!type || !navigator.mediaDevices) {
    notify("This browser cannot record here. Voice notes need https or localhost.");
    return null;
  }
  let microphone;
  try {
    microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch {
    notify("The microphone cannot be used. Allow it in the browser's settings of this page.");
    return null;
  }
  const parts = [];
  const recorder = new MediaRecorder(microphone, { mimeType: type });
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  const level = loudness(microphone);
  try {
    recorder.start(1000);
    tell();
    const keep = await untilDecided(strip, level, tell, signal);
    await stopped(recorder);
    return keep ? new File(parts, fileName(type), { type: type.split(";")[0] }) : null;
  } finally {
    level.close();
    for (const track of microphone.getTracks()) track.stop();
    strip.replaceChildren();
  }
}

function untilDecided(strip, level, tell, signal) {
  return new Promise((decide) => {
    const started = Date.now();
    const heard = new Array(BARS).fill(0);
    const time = h("span", { class: "time" }, "0:00");
    const drawing = h("span", { class: "waveform" });
    const finish = (keep) => {
      clearInterval(drawn);
      clearInterval(told);
      strip.removeEventListener("keydown", onKey);
      decide(keep);
    };
    const onKey = (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      finish(false);
    };
    strip.addEventListener("keydown", onKey);
    signal.addEventListener("abort", () => finish(false), { once: true });
    const drop = iconButton("trash", "Drop the recording", () => finish(false));
    const send = iconButton("send", "Send the voice note", () => finish(true), { class: "icon-button send" });
    strip.replaceChildren(drop, h("span", { class: "recording-dot", "aria-hidden": "true" }), time, drawing, send);
    send.focus();
    const told = setInterval(tell, TOLD_EVERY);
    const drawn = setInterval(() => {
      const passed = Date.now() - started;
      heard.push(level.read());
      heard.shift();
      drawing.replaceChildren(waveform(heard));
      say(time, duration(passed));
      if (passed > LONGEST) finish(true);
    }, BAR_MILLISECONDS);
  });
}

/** How loud the microphone is, from 0 to 100. */
function loudness(microphone) {
  const audio = new AudioContext();
  const analyser = audio.createAnalyser();
  audio.createMediaStreamSource(microphone).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  return {
    read() {
      analyser.getFloatTimeDomainData(samples);
      return Math.round(100 * samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0));
    },
    close: () => audio.close(),
  };
}

function stopped(recorder) {
  return new Promise((resolve) => {
    recorder.addEventListener("stop", resolve, { once: true });
    recorder.stop();
  });
}

function fileName(type) {
  return `voice-note.${type.includes("mp4") ? "m4a" : type.includes("ogg") ? "ogg" : "webm"}`;
}
