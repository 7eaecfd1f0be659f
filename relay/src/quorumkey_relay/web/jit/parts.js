// What the page is made of: elements, times, and calls of the relay.
// Whatever people wrote becomes text; nothing here makes elements from strings.

export const byId = (id) => document.getElementById(id);

// An element: attributes by name, "on…" listeners, and children that are elements or text.
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...present(children));
  return made;
}

// Show these, and nothing else, in an element; lists may stand in lists.
export function fill(target, ...children) {
  target.replaceChildren(...present(children));
}

const present = (children) =>
  children.flat(Infinity).filter((child) => child !== null && child !== undefined);

const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

// A moment in the reader's own time zone; seconds since the epoch.
export function moment(seconds) {
  const date = new Date(seconds * 1000);
  return element("time", { datetime: date.toISOString() }, format.format(date));
}

// How long is left until a moment, in words that `tick` keeps true.
export function timer(seconds) {
  return element("span", { "data-until": seconds }, left(seconds));
}

// Say anew how long is left, without touching what else is shown.
export function tick() {
  for (const one of document.querySelectorAll("[data-until]")) {
    one.textContent = left(Number(one.dataset.until));
  }
}

function left(seconds) {
  const minutes = Math.ceil((seconds * 1000 - Date.now()) / 60000);
  if (minutes <= 0) return "over";
  if (minutes === 1) return "1 minute left";
  if (minutes < 120) return `${minutes} minutes left`;
  return `${Math.round(minutes / 60)} hours left`;
}

// Rows of names and values; a row without a value is left out.
export function facts(rows) {
  const shown = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return element("table", { class: "facts" }, element("tbody", {}, shown.map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)))));
}

const STATUSES = {
  ACTIVATION_PENDING: ["Waiting for approval", ""],
  GRANTING: ["Being granted", ""],
  ACTIVE: ["Active", "good"],
  REVOKING: ["Being taken back", ""],
  DENIED: ["Denied", "bad"],
  WITHDRAWN: ["Withdrawn", ""],
  EXPIRED: ["Expired", ""],
  NOT_GRANTED: ["Not granted", "bad"],
  FAILED: ["Could not be granted", "bad"],
  REVOKED: ["Revoked", ""],
  ENDED: ["Ended", ""],
};

// After how many seconds a state that changes without anybody doing something on this page is worth
// another look; each look is a line in the relay's log.
const LOOK_AGAIN_SECONDS = { ACTIVATION_PENDING: 4, GRANTING: 4, ACTIVE: 30, REVOKING: 4 };

export const lookAgain = (status) => LOOK_AGAIN_SECONDS[status] ?? 0;

export function badge(status) {
  const [text, kind] = STATUSES[status] ?? [status, ""];
  return element("span", { class: `badge ${kind}`, "data-status": status }, text);
}

// A role as people call it, how it stands, and below what it is limited to.
export function role(item, status = null) {
  const condition = item.resourceCondition;
  return [
    element("span", { class: "title" }, item.name),
    status ? badge(status) : null,
    condition ? element("div", { class: "quiet" }, "only where ", element("code", {}, condition)) : null,
  ];
}

export class Refused extends Error {
  constructor(status, body) {
    super(body.message ?? "The relay cannot be reached; try again in a moment.");
    this.status = status;
    this.signIn = body.details?.sign_in;
  }
}

// Call the relay. The header is what other sites cannot send, so they cannot act through a session.
export async function call(method, path, body) {
  const headers = { "X-JITACCESS": "1", Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      redirect: "error",
    });
  } catch {
    throw new Refused(0, {});
  }
  const text = await answer.text();
  let value = {};
  try {
    value = text ? JSON.parse(text) : {};
  } catch {
    if (answer.ok) throw new Refused(0, {});
  }
  if (!answer.ok) throw new Refused(answer.status, value);
  return value;
}

// Say something at the top of the page: kind is "good", "bad" or nothing.
export function say(text, kind = "") {
  const place = byId("notice");
  if (text) fill(place, element("p", { class: `notice ${kind}` }, text));
  else fill(place);
}

// Do what a button is for, once at a time; what goes wrong is said.
export function doing(work) {
  return async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      await work();
    } catch (problem) {
      say(problem.message, "bad");
      scrollTo({ top: 0 });
    } finally {
      button.disabled = false;
    }
  };
}

// Call work while the page is looked at: it returns after how many seconds again, 0 for never. Who
// has to sign in again does so once what they are writing is sent or given up.
export function follow(work, seconds) {
  setTimeout(async () => {
    let next = seconds;
    if (!document.hidden) {
      try {
        next = await work();
      } catch (problem) {
        const isWriting = document.querySelector("dialog[open]") !== null;
        if (problem.status === 401 && !isWriting) location.reload();
        const isPassing = [0, 401].includes(problem.status) || problem.status >= 429;
        if (!isPassing) next = 0;
      }
    }
    if (next) follow(work, next);
  }, seconds * 1000);
}
