// Each name has a colour, the same in every window: --hue, of which the style sheet makes what suits it.
"use strict";

function hueOf(name) {
  let hash = 7;
  for (const letter of name) hash = (hash * 33 + letter.codePointAt(0)) % 100003;
  return (hash * 137) % 360;
}

function paint(root) {
  for (const face of root.querySelectorAll("[data-who]")) face.style.setProperty("--hue", hueOf(face.dataset.who));
}

function faceOf(name, tag = "span") {
  const face = document.createElement(tag);
  face.className = "face";
  face.dataset.who = name;
  face.textContent = [...name][0].toUpperCase();
  face.ariaHidden = "true";
  face.style.setProperty("--hue", hueOf(name));
  return face;
}

paint(document);
