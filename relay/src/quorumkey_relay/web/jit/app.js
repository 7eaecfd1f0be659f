// The page of just-in-time access: activate a role, ask peers for one, decide, see what is active.

import {
  badge, byId, call, doing, element, facts, fill, follow, lookAgain, moment, role, say,
  tick, timer,
} from "./parts.js";
import { openDialog } from "./ask.js";

const SIGNED_IN_HERE = "signed-in-here";
const FOLLOW_HOME_SECONDS = 15;

const asked = new URLSearchParams(location.search);
let policy = null;

const linkTo = (request) => {
  const query = new URLSearchParams({ activation: request.activation });
  const project = request.entitlements[0]?.projectId;
  if (project) query.set("projectId", project);
  return `./?${query}`;
};

// What an answer says, to be compared: the token in it is signed anew each time.
const said = (...values) =>
  JSON.stringify(values, (name, value) => (name === "activation" ? undefined : value));

const names = (people) => people.map((person) => person.email).join(", ");

// ------------------------------------------------------------------ who is here

function showSignIn(problem) {
  byId("home").hidden = byId("review").hidden = true;
  byId("sign-in").hidden = false;
  byId("sign-in-text").textContent = problem.signIn
    ? "Sign in to see and activate your access." : problem.message;
  const link = byId("sign-in-link");
  link.hidden = !problem.signIn;
  if (problem.signIn) {
    const back = location.pathname + location.search;
    link.href = `${problem.signIn}?${new URLSearchParams({ return_to: back })}`;
    link.addEventListener("click", () => localStorage.setItem(SIGNED_IN_HERE, "1"));
    link.focus();
  }
}

async function signOut() {
  await call("POST", "sign-out");
  localStorage.removeItem(SIGNED_IN_HERE);
  location.assign("./");
}

function showPerson() {
  byId("person").hidden = false;
  byId("person-name").textContent = policy.signedInUser.email;
  byId("sign-out").hidden = localStorage.getItem(SIGNED_IN_HERE) === null;
  byId("sign-out").addEventListener("click", doing(signOut));
  byId("version").textContent = `Quorumkey ${policy.applicationVersion}`;
}

// ------------------------------------------------------------------ active access

// The button that ends access before its time; next is done when it has ended.
function endButton(item, next) {
  if (item.status !== "ACTIVE") return null;
  const end = async () => {
    if (!confirm(`End ${item.name} on ${item.projectId} now?`)) return;
    const after = await call("POST", `api/activations/${item.activationId}/revoke`);
    say(after.status === "REVOKED" ? "The access has ended." : "The access is being taken back.", "good");
    await next();
  };
  return element("button", { type: "button", class: "danger", onclick: doing(end) }, "End now");
}

function activeCard(item) {
  const isMine = item.beneficiary.email === policy.signedInUser.email;
  return element("div", { class: "card", "data-activation": item.activationId },
    element("div", { class: "what" },
      role(item, item.status),
      element("div", {}, item.projectId, isMine ? "" : `, for ${item.beneficiary.email}`),
      element("div", {}, "until ", moment(item.endTime), " (", timer(item.endTime), ")"),
      element("div", { class: "quiet" }, item.justification,
        item.approvers.length ? `; approved by ${names(item.approvers)}` : ""),
      item.executor ? element("div", { class: "quiet" }, item.executor) : null),
    endButton(item, refresh));
}

// ------------------------------------------------------------------ requests

function requestCard(request, verb) {
  const item = request.entitlements[0];
  return element("div", { class: "card" },
    element("div", { class: "what" },
      role(item, item.status),
      element("div", {}, item.projectId,
        request.isBeneficiary ? `, asked of ${names(request.reviewers)}` : `, for ${request.beneficiary.email}`),
      element("div", { class: "quiet" }, request.justification)),
    element("a", { href: linkTo(request) }, verb));
}

function showList(name, items, nothing) {
  const place = byId(name);
  if (byId(`${name}-section`)) byId(`${name}-section`).hidden = items.length === 0;
  fill(place, items.length ? items : element("p", { class: "quiet" }, nothing));
}

const OPEN = ["GRANTING", "ACTIVE", "REVOKING"];

let shown = "";

// Read the lists, and show them where something has changed. Roles are asked for then alone: that
// may take a service far away, which counts how often it is asked.
async function refresh() {
  const [active, reviews, requests] = await Promise.all([
    call("GET", "api/activations?limit=100"),
    call("GET", "api/activation-requests?role=reviewer&limit=100"),
    call("GET", "api/activation-requests?role=beneficiary&limit=20"),
  ]);
  const open = active.data.filter((item) => OPEN.includes(item.status));
  const now = said(open, reviews.data, requests.data);
  if (now !== shown) {
    const waiting = reviews.data.filter((item) => item.entitlements[0].status === "ACTIVATION_PENDING");
    showList("active", open.map(activeCard), "You have no active access.");
    showList("reviews", waiting.map((item) => requestCard(item, "Review")), "");
    showList("requests", requests.data.map((item) => requestCard(item, "Open")), "");
  }
  tick();
  if (now !== shown || rolesShown === "") await showRoles();
  shown = now;
  return FOLLOW_HOME_SECONDS;
}

// ------------------------------------------------------------------ roles

const chosen = new Set();
let rolesShown = "";

function roleCard(item, project) {
  const isActive = item.status === "ACTIVE";
  const what = [
    role(item, isActive ? "ACTIVE" : null),
    isActive && item.validUntil
      ? element("div", { class: "quiet" }, "until ", moment(item.validUntil)) : null,
  ];
  if (item.activationType === "JIT") {
    const choose = (event) => {
      if (event.target.checked) chosen.add(item.id);
      else chosen.delete(item.id);
      showGo();
    };
    const box = element("input", {
      type: "checkbox", value: item.id, checked: chosen.has(item.id), onchange: choose,
    });
    return element("label", { class: "card" }, box, element("span", { class: "what" }, what));
  }
  const ask = () => openDialog({ policy, project, items: [item], done: (request) => {
    location.assign(linkTo(request));
  } });
  return element("div", { class: "card" },
    element("div", { class: "what" }, what),
    element("button", {
      type: "button", class: "plain", onclick: ask, "aria-label": `Ask peers for ${item.name}`,
    }, "Ask peers…"));
}

function showGo() {
  const go = byId("roles-go");
  if (!go) return;
  go.disabled = chosen.size === 0 || chosen.size > policy.maxRoles;
  byId("roles-rule").textContent = chosen.size > policy.maxRoles
    ? `At most ${policy.maxRoles} roles at once.` : "";
}

function activated(request) {
  const items = request.entitlements;
  const failed = items.filter((item) => item.status === "FAILED");
  const pending = items.filter((item) => item.status === "GRANTING");
  chosen.clear();
  if (failed.length) say(`Could not be granted: ${failed.map((item) => item.name).join(", ")}.`, "bad");
  else if (pending.length) say("Your access is being granted; it appears below.", "good");
  else say("Your access is active.", "good");
  scrollTo({ top: 0 });
  return refresh();
}

async function showRoles() {
  const project = byId("project").value;
  if (!project) return;
  const found = await unlessBroken(call("GET", `api/projects/${encodeURIComponent(project)}/roles`));
  if (found === null) return;
  const now = said(project, found);
  if (now === rolesShown || project !== byId("project").value) return;
  rolesShown = now;
  const items = found.entitlements;
  for (const id of chosen) if (!items.some((item) => item.id === id)) chosen.delete(id);
  fill(byId("warnings"), found.warnings.map((text) => element("p", { class: "notice" }, text)));
  const alone = items.filter((item) => item.activationType === "JIT");
  const withPeers = items.filter((item) => item.activationType !== "JIT");
  const activate = () => openDialog({
    policy, project, items: items.filter((item) => chosen.has(item.id)), done: activated,
  });
  fill(byId("roles"),
    alone.length ? [
      element("h3", {}, "On your own, with a reason"),
      alone.map((item) => roleCard(item, project)),
      element("p", { class: "row" },
        element("button", { type: "button", id: "roles-go", onclick: activate }, "Activate…"),
        element("span", { id: "roles-rule", class: "bad" })),
    ] : null,
    withPeers.length ? [
      element("h3", {}, "With the approval of a peer"),
      withPeers.map((item) => roleCard(item, project)),
    ] : null,
    items.length ? null : element("p", { class: "quiet" }, "There is nothing here that you may activate."));
  showGo();
}

// What a call answers, or null where who may activate what cannot be found out; that is said, and
// the rest of the page goes on.
async function unlessBroken(answer) {
  try {
    return await answer;
  } catch (problem) {
    if (problem.status === 401) throw problem;
    rolesShown = "";
    fill(byId("roles"), element("p", { class: "notice bad" }, problem.message));
    return null;
  }
}

async function showHome() {
  byId("home").hidden = false;
  const found = await unlessBroken(call("GET", "api/projects"));
  const projects = found?.projects ?? [];
  const select = byId("project");
  fill(select, projects.map((name) => element("option", { value: name }, name)));
  const wanted = asked.get("projectId");
  if (projects.includes(wanted)) select.value = wanted;
  byId("project-field").hidden = projects.length === 0;
  select.addEventListener("change", () => {
    chosen.clear();
    history.replaceState(null, "", `./?${new URLSearchParams({ projectId: select.value })}`);
    showRoles().catch((problem) => say(problem.message, "bad"));
  });
  if (found?.projects.length === 0) {
    fill(byId("roles"), element("p", { class: "quiet" }, "There is nothing that you may activate."));
  }
  await refresh();
  follow(refresh, FOLLOW_HOME_SECONDS);
}

// ------------------------------------------------------------------ one request

function howItStands(request, status) {
  const me = policy.signedInUser.email;
  const approvals = request.approvals ?? [];
  const own = approvals.some((person) => person.email === me);
  if (status === "ACTIVATION_PENDING" && request.isReviewer && own) {
    return "You approved it; more approvals are needed.";
  }
  if (status === "ACTIVATION_PENDING" && request.isReviewer && request.approval === "device") {
    return "Decide on your device: the request waits there, with what it says here. A click on this page cannot approve it.";
  }
  if (status === "ACTIVATION_PENDING" && request.isReviewer) {
    return "Approve it only if you know why the access is needed.";
  }
  return {
    ACTIVATION_PENDING: "The reviewers have been told. This page shows when they have decided.",
    GRANTING: "It is approved, and the access is being granted.",
    ACTIVE: "It is approved, and the access is active.",
    NOT_GRANTED: "It was approved, but somebody was no longer eligible by then, or the time was over.",
    FAILED: "It was approved, but the access could not be granted.",
  }[status] ?? "";
}

function decisions(request, item, token, read) {
  const { status } = item;
  const open = status === "ACTIVATION_PENDING";
  const own = (request.approvals ?? []).some((person) => person.email === policy.signedInUser.email);
  const act = (path, text) => doing(async () => {
    const after = await call("POST", `api/activation-request${path}?${new URLSearchParams({ activation: token })}`);
    say(text, "good");
    showRequest(after, token, read);
  });
  const buttons = [endButton(item, read)];
  if (open && request.isReviewer && request.approval === "click") {
    if (!own) buttons.push(element("button", { type: "button", onclick: act("", "You approved the request.") }, "Approve"));
    buttons.push(element("button", { type: "button", class: "danger", onclick: act("/deny", "You denied the request.") }, "Deny"));
  }
  if (open && request.isBeneficiary) {
    buttons.push(element("button", { type: "button", class: "danger", onclick: act("/withdraw", "You took the request back.") }, "Withdraw"));
  }
  return element("p", { class: "row" }, buttons);
}

function showRequest(request, token, read) {
  const item = request.entitlements[0];
  const approvals = request.approvals ?? [];
  const who = request.isBeneficiary ? "You ask" : `${request.beneficiary.email} asks`;
  fill(byId("review-body"),
    element("p", {}, `${who} for access to the project ${item.projectId}. `, badge(item.status)),
    element("p", {}, howItStands(request, item.status)),
    facts([
      ["User", request.beneficiary.email],
      ["Project", item.projectId],
      ["Role", item.name],
      ["Resource condition", item.resourceCondition ? element("code", {}, item.resourceCondition) : null],
      ["Start", item.startTime ? moment(item.startTime) : "with the approval"],
      ["End", item.endTime ? moment(item.endTime) : `${request.durationMinutes} minutes after the approval`],
      ["Reason", request.justification],
      ["Reviewers", names(request.reviewers)],
      ["Approved by", approvals.length ? names(approvals) : "nobody yet"],
      ["Approvals needed", request.required],
      ["Expires", request.expiryTime && item.status === "ACTIVATION_PENDING" ? moment(request.expiryTime) : null],
      ["Request on devices", request.requestId ? element("code", {}, request.requestId) : null],
    ]),
    decisions(request, item, token, read),
    element("p", {}, element("a", { href: "./" }, "All your access")));
}

async function showReview(token) {
  const path = `api/activation-request?${new URLSearchParams({ activation: token })}`;
  let before = "";
  const read = async () => {
    const request = await call("GET", path);
    const now = said(request);
    if (now !== before) showRequest(request, token, read);
    before = now;
    return lookAgain(request.entitlements[0].status);
  };
  const next = await read();
  byId("review").hidden = false;
  if (next) follow(read, next);
}

// What to do with a link that leads nowhere for who is signed in.
function showNoReview() {
  byId("review").hidden = false;
  fill(byId("review-body"),
    element("p", {}, `You are signed in as ${policy.signedInUser.email}. Only who asked for the access and the chosen reviewers can open a request.`),
    element("p", {}, element("a", { href: "./" }, "All your access")));
}

// ------------------------------------------------------------------ begin

async function begin() {
  try {
    policy = await call("GET", "api/policy");
    showPerson();
    const token = asked.get("activation");
    await (token ? showReview(token) : showHome());
  } catch (problem) {
    if (problem.status === 401) showSignIn(problem);
    else say(problem.message, "bad");
    if (problem.status === 403 && asked.has("activation")) showNoReview();
  }
}

begin();
