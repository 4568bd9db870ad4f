/* Times and sizes, in the words of the browser's language. */

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const long = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

const DAY = 24 * 3600 * 1000;

/** 14:05 */
export function clockTime(time) {
  return clock.format(new Date(time));
}

/** The day of a time, as a key to compare days by. */
export function dayKey(time) {
  return new Date(time).toDateString();
}

/** Today, yesterday, Tuesday, 3 May 2026 */
export function dayName(time) {
  const days = daysAgo(time);
  if (days <= 1) return capital(relative.format(-days, "day"));
  return days < 7 ? weekday.format(new Date(time)) : long.format(new Date(time));
}

/** As short as a list has room for: 14:05, Tuesday, 3 May */
export function listTime(time) {
  const days = daysAgo(time);
  if (days === 0) return clockTime(time);
  return days < 7 ? weekday.format(new Date(time)) : short.format(new Date(time));
}

/** last seen 5 minutes ago */
export function lastSeen(time) {
  if (!time) return "offline";
  const minutes = Math.round((Date.now() - new Date(time)) / 60000);
  if (minutes < 1) return "last seen just now";
  if (minutes < 60) return `last seen ${relative.format(-minutes, "minute")}`;
  const days = daysAgo(time);
  return days === 0 ? `last seen at ${clockTime(time)}` : `last seen ${dayName(time).toLowerCase()}`;
}

/** 1:05 of a number of milliseconds */
export function duration(milliseconds) {
  const seconds = Math.round((milliseconds ?? 0) / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** 1.4 MB */
export function fileSize(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const [size, unit] = bytes < 1e6 ? [bytes / 1e3, "kB"] : [bytes / 1e6, "MB"];
  return `${size < 10 ? size.toFixed(1) : Math.round(size)} ${unit}`;
}

function daysAgo(time) {
  const midnight = (value) => new Date(value).setHours(0, 0, 0, 0);
  return Math.round((midnight(Date.now()) - midnight(time)) / DAY);
}

function capital(text) {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}
