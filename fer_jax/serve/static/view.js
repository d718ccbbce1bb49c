// Drawing an answer: boxes over the picture, a card with a bar for each expression for each face.

const $ = (id) => document.getElementById(id);
const percent = (share) => `${Math.round(100 * share)} %`;

let hasHeat = false; // whether the network has a Grad-CAM
const shown = new Map(); // number of a face -> its nodes {box, heat, card}

export function clear() {
  for (const number of [...shown.keys()]) remove(number);
  $("faces").hidden = true;
  showHeatSwitch(false);
}

// The answer to a photo.
export function show(answer) {
  clear();
  draw(answer.faces.map((face, number) => ({ number, face, seen: true })), answer);
  $("faces").hidden = false;
  showHeatSwitch(answer.faces.some((face) => face.heat));
}

// Tracks of faces in a video of the answer's size; one that was not seen just now is paler.
export function showLive(tracks, size, rate) {
  draw(tracks, size);
  $("faces").hidden = !tracks.length;
  showHeatSwitch(hasHeat);
  $("rate").hidden = false;
  setText($("rate"), `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} frames/s`);
}

export function summary(answer) {
  return counted(answer.faces, (face) => `${face.label} ${percent(face.probabilities[face.label])}`);
}

// As a summary, of what changes less often.
export function names(faces) {
  return faces.length ? counted(faces, (face) => face.label) : "No face found.";
}

function counted(faces, say) {
  return `${faces.length === 1 ? "1 face" : `${faces.length} faces`}: ${faces.map(say).join(", ")}`;
}

export function showStage(which) {
  $("empty").hidden = which !== null;
  $("frame").hidden = which === null;
  $("photo").hidden = which !== "photo";
  $("video").hidden = which !== "video";
  $("stage").classList.toggle("filled", which !== null);
}

export function showError(line) {
  $("error").textContent = line;
  $("error").hidden = !line;
}

export function showStatus(line) {
  // Screen readers speak each change: none for what is the same.
  setText($("status"), line);
}

export function showAbout(about) {
  hasHeat = about.grad_cam;
  const parameters = about.parameters.toLocaleString("en");
  $("model").textContent =
    `${about.classes}, named by a neural network of ${parameters} parameters that learnt from ` +
    `${about.trained_on}. It names ${(100 * about.accuracy).toFixed(1)} % of the validation faces as people did.`;
  for (const { title, text } of about.limits) {
    const group = document.createElement("div");
    group.append(element("dt", title), element("dd", text));
    $("limits").append(group);
  }
}

// Faces that are shown already keep their nodes: a video changes them many times a second.
function draw(items, { width, height }) {
  const numbers = new Set(items.map((item) => item.number));
  for (const number of [...shown.keys()]) if (!numbers.has(number)) remove(number);
  items.forEach(({ number, face, seen }, n) => {
    if (!shown.has(number)) shown.set(number, add());
    const { box, heat, card } = shown.get(number);
    box.classList.toggle("missed", !seen);
    fillBox(box, face, items.length === 1 ? face.label : `${n + 1} ${face.label}`, width, height);
    fillHeat(heat, face.heat);
    place(heat, face.seen, width, height);
    fillCard(card, face, items.length === 1 ? "Face" : `Face ${n + 1}`);
  });
}

function add() {
  const heat = element("img", "");
  heat.className = "on-picture";
  heat.alt = "";
  const box = element("div", "");
  box.className = "box";
  box.append(element("span", ""));
  const card = $("card").content.cloneNode(true).firstElementChild;
  $("boxes").append(heat, box);
  $("faces").append(card);
  return { box, heat, card };
}

function remove(number) {
  for (const node of Object.values(shown.get(number))) node.remove();
  shown.delete(number);
}

function fillBox(box, face, name, width, height) {
  const [x, y, w] = face.box;
  place(box, face.box, width, height);
  box.classList.toggle("high", y < 0.08 * height);
  box.classList.toggle("near", x + w / 2 < 0.2 * width);
  box.classList.toggle("far", x + w / 2 > 0.8 * width);
  setText(box.firstElementChild, name);
}

// In shares of the picture's size.
function place(node, [x, y, w, h], width, height) {
  node.style.left = `${(100 * x) / width}%`;
  node.style.top = `${(100 * y) / height}%`;
  node.style.width = `${(100 * w) / width}%`;
  node.style.height = `${(100 * h) / height}%`;
}

function fillCard(card, face, name) {
  const image = card.querySelector(".face");
  image.src = face.face;
  image.alt = `${name}, 48 by 48 grey pixels`;
  fillHeat(card.querySelector(".heat"), face.heat);
  setText(card.querySelector("h2"), `${name}: ${face.label}`);
  const list = card.querySelector("ul");
  list.setAttribute("aria-label", `${name}: probability of each expression`);
  Object.entries(face.probabilities).forEach(([label, share], n) => {
    if (n === list.children.length) list.append($("bar").content.cloneNode(true));
    fillBar(list.children[n], label, share, label === face.label);
  });
}

function fillBar(bar, label, share, isTop) {
  setText(bar.querySelector(".label"), label);
  setText(bar.querySelector(".value"), percent(share));
  bar.querySelector(".fill").style.width = `${100 * share}%`;
  bar.classList.toggle("top", isTop);
}

function fillHeat(image, heat) {
  image.hidden = !heat;
  if (heat) image.src = heat;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function showHeatSwitch(there) {
  $("heat-switch").hidden = !there;
  $("heat-note").hidden = !(there && $("heat").checked);
}

function element(tag, text) {
  const node = document.createElement(tag);
  node.textContent = text;
  return node;
}
