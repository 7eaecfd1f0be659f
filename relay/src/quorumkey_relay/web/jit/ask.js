// The dialog in which a person says why and for how long they want a role, and asks whom.

import { byId, call, element, fill, role, say } from "./parts.js";

const dialog = byId("ask");
let open = null; // what the dialog is open for

function chosenPeers() {
  return [...byId("ask-peers-list").querySelectorAll("input:checked")].map((box) => box.value);
}

function rule(policy) {
  const { minReviewers: least, maxReviewers: most, required } = policy;
  const howMany = least === most ? `${least}` : `${least} to ${most}`;
  const enough = required === 1 ? "one of them has" : `${required} of them have`;
  return `Choose ${howMany}; ${enough} to approve.`;
}

function tooFew({ minReviewers }, count) {
  if (count === 0) return "Nobody else may approve this role.";
  const others = count === 1 ? "Only one other person" : `Only ${count} others`;
  return `${others} may approve this role, and at least ${minReviewers} have to be asked.`;
}

async function showPeers(wanted) {
  const { policy, project, items } = wanted;
  const query = new URLSearchParams({ id: items[0].id });
  const { peers } = await call("GET", `api/projects/${encodeURIComponent(project)}/peers?${query}`);
  if (open !== wanted) return;
  fill(byId("ask-peers-list"), peers.map(({ email }) => element("label", {},
    element("input", { type: "checkbox", value: email }), element("span", {}, email))));
  const isEnough = peers.length >= policy.minReviewers;
  byId("ask-peers-rule").textContent = isEnough ? rule(policy) : tooFew(policy, peers.length);
  byId("ask-go").disabled = !isEnough;
}

async function send({ policy, project, items }) {
  const folder = `api/projects/${encodeURIComponent(project)}/roles`;
  const justification = byId("reason").value.trim();
  const activationTimeout = Number(byId("minutes").value);
  if (items[0].activationType === "JIT") {
    const entitlementIds = items.map((item) => item.id);
    return call("POST", `${folder}/self-activate`, { entitlementIds, justification, activationTimeout });
  }
  const peers = chosenPeers();
  if (peers.length < policy.minReviewers || peers.length > policy.maxReviewers) {
    throw new Error(rule(policy));
  }
  const entitlementId = items[0].id;
  return call("POST", `${folder}/request`, { entitlementId, justification, peers, activationTimeout });
}

byId("ask-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const wanted = open;
  byId("ask-go").disabled = true;
  byId("ask-problem").textContent = "";
  try {
    const answer = await send(wanted);
    if (open === wanted) dialog.close();
    await wanted.done(answer);
  } catch (problem) {
    if (open === wanted) {
      byId("ask-problem").textContent = problem.message;
      byId("ask-go").disabled = false;
    } else {
      say(problem.message, "bad");
    }
  }
});

byId("ask-cancel").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => { open = null; });

// Open the dialog for roles that are all of one kind; done is given the relay's answer.
export function openDialog(wanted) {
  const { policy, items } = wanted;
  const isAlone = items[0].activationType === "JIT";
  open = wanted;
  byId("ask-title").textContent = isAlone ? "Activate" : "Ask for approval";
  byId("ask-go").textContent = isAlone ? "Activate" : "Send request";
  byId("ask-go").disabled = !isAlone;
  byId("ask-problem").textContent = "";
  byId("ask-peers").hidden = isAlone;
  byId("ask-peers-rule").textContent = "";
  fill(byId("ask-peers-list"));
  fill(byId("ask-roles"), items.map((item) => element("li", {}, role(item), ` on ${item.id.split(":")[0]}`)));
  byId("reason").value = "";
  byId("reason-hint").textContent = policy.justificationHint;
  byId("minutes").max = policy.maxActivationTimeout;
  byId("minutes").value = policy.defaultActivationTimeout;
  byId("minutes-hint").textContent = `At most ${policy.maxActivationTimeout} minutes; it ends by itself.`;
  dialog.showModal();
  byId("reason").focus();
  if (!isAlone) {
    showPeers(wanted).catch((problem) => { byId("ask-problem").textContent = problem.message; });
  }
}
