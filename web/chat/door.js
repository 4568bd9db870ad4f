/* The door: log in, or make an account. */

import { h, say } from "./dom.js";

/** Show the door in `place`; `enter()` is called once somebody is in. Returns how to leave it. */
export function openDoor(parley, place, { enter, message }) {
  let isNew = false;

  const name = field("Your name", { autocomplete: "name", maxlength: 100 });
  const email = field("E-mail", { type: "email", autocomplete: "username" });
  const password = field("Password", { type: "password", autocomplete: "current-password" });
  const problem = h("p", { class: "problem", role: "alert" });
  const submit = h("button", { class: "primary wide", type: "submit" });
  const heading = h("h1", {});
  const other = h("button", { type: "button", class: "link", onclick: () => choose(!isNew) });
  const form = h("form", { class: "door-form", onsubmit: send }, name.element, email.element, password.element,
    problem, submit);
  place.replaceChildren(
    h("main", { class: "door" },
      h("div", { class: "door-card" },
        h("p", { class: "brand" }, h("span", { class: "brand-mark", "aria-hidden": "true" }), "Parley"),
        heading, form, other)));
  choose(false);
  say(problem, message ?? "");
  email.input.focus();
  parley.serverInfo()
    .then((info) => (other.hidden = !info.registrationOpen))
    .catch(() => {}); // the form itself says it, when it is sent

  function choose(fresh) {
    isNew = fresh;
    name.element.hidden = !fresh;
    name.input.required = fresh;
    password.input.autocomplete = fresh ? "new-password" : "current-password";
    say(heading, fresh ? "Create an account" : "Log in");
    say(submit, fresh ? "Create the account" : "Log in");
    say(other, fresh ? "I have an account: log in" : "New here? Create an account");
    say(problem, "");
    document.title = `Parley: ${heading.textContent.toLowerCase()}`;
    (fresh ? name : email).input.focus();
  }

  async function send(event) {
    event.preventDefault();
    submit.disabled = true;
    say(problem, "");
    const account = { email: email.input.value, password: password.input.value };
    try {
      if (isNew) await parley.register({ ...account, displayName: name.input.value });
      else await parley.login(account);
      enter();
    } catch (error) {
      say(problem, error.message);
    } finally {
      submit.disabled = false;
    }
  }

  return () => place.replaceChildren();
}

function field(label, attributes) {
  const input = h("input", { class: "field", required: true, ...attributes });
  return { input, element: h("label", { class: "labelled" }, h("span", {}, label), input) };
}
