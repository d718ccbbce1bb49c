// Drawing an answer: boxes over the picture, a card with seven bars for each face.

const $ = (id) => document.getElementById(id);
const percent = (share) => `${Math.round(100 * share)} %`;

export function clear() {
  $("boxes").replaceChildren();
  $("faces").replaceChildren();
  $("faces").hidden = true;
  showHeatSwitch(false);
}

export function show(answer) {
  $("boxes").replaceChildren(...answer.faces.flatMap((face, n) => marks(face, n, answer)));
  $("faces").replaceChildren(...answer.faces.map((face, n) => card(face, n, answer.faces.length)));
  $("faces").hidden = false;
  showHeatSwitch(answer.faces.some((face) => face.heat));
}

export function summary(answer) {
  const count = answer.faces.length === 1 ? "1 face" : `${answer.faces.length} faces`;
  const names = answer.faces.map((face) => `${face.label} ${percent(face.probabilities[face.label])}`);
  return `${count}: ${names.join(", ")}`;
}

export function showError(line) {
  $("error").textContent = line;
  $("error").hidden = !line;
}

export function showStatus(line) {
  // Screen readers speak each change: none for what is the same.
  if ($("status").textContent !== line) $("status").textContent = line;
}

export function showAbout(about) {
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

// Over the picture, in shares of its size: the heat (under the box), the box, the name on it.
function marks(face, number, { width, height, faces: { length: count } }) {
  const box = element("div", "");
  box.className = "box";
  place(box, face.box, width, height);
  const [x, y, w] = face.box;
  box.classList.toggle("high", y < 0.08 * height);
  box.classList.toggle("far", x + w / 2 > 0.8 * width);
  box.append(element("span", count === 1 ? face.label : `${number + 1} ${face.label}`));
  if (!face.heat) return [box];
  const heat = element("img", "");
  heat.className = "on-picture";
  heat.alt = "";
  heat.src = face.heat;
  place(heat, face.seen, width, height);
  return [heat, box];
}

function place(node, [x, y, w, h], width, height) {
  node.style.left = `${(100 * x) / width}%`;
  node.style.top = `${(100 * y) / height}%`;
  node.style.width = `${(100 * w) / width}%`;
  node.style.height = `${(100 * h) / height}%`;
}

function card(face, number, count) {
  const node = $("card").content.cloneNode(true);
  const name = count === 1 ? "Face" : `Face ${number + 1}`;
  const image = node.querySelector(".face");
  image.src = face.face;
  image.alt = `${name}, 48 by 48 grey pixels`;
  if (face.heat) node.querySelector(".heat").src = face.heat;
  else node.querySelector(".heat").remove();
  node.querySelector("h2").textContent = `${name}: ${face.label}`;
  const list = node.querySelector("ul");
  list.setAttribute("aria-label", `${name}: probability of each expression`);
  list.append(...Object.entries(face.probabilities).map(([label, share]) => bar(label, share, face.label)));
  return node;
}

function bar(label, share, top) {
  const node = $("bar").content.cloneNode(true);
  node.querySelector(".label").textContent = label;
  node.querySelector(".value").textContent = percent(share);
  node.querySelector(".fill").style.width = `${100 * share}%`;
  node.querySelector("li").classList.toggle("top", label === top);
  return node;
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
