// Small things for making the page. Text is text: nothing that comes from the server is ever read as HTML.

export const $ = (selector) => document.querySelector(selector);

export function make(tag, given = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name === "class") element.className = value;
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// Changes only what is different, so that what the reader has selected stays selected.
export function put(element, text) {
  text = String(text);
  if (element.textContent !== text) element.textContent = text;
}

// Has one child for each item, in their order. Those that are there already are kept, with what the reader has opened or focused in them.
export function list(parent, items, key, build, update) {
  const old = new Map();
  for (const child of parent.children) old.set(child.dataset.key, child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    let child = old.get(name);
    if (child) old.delete(name);
    else {
      child = build(item);
      child.dataset.key = name;
    }
    update(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const child of old.values()) child.remove();
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.0095) return `${(seconds * 1000).toFixed(seconds < 0.00095 ? 2 : 1)} ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(seconds < 9.995 ? 2 : 1)} s`;
  return span(seconds);
}

export function span(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${String(minutes % 60).padStart(2, "0")} min` : `${Math.floor(hours / 24)} days`;
}

export function bytes(count) {
  if (!count) return "–";
  const mebi = count / 1048576;
  return mebi < 1024 ? `${mebi < 10 ? mebi.toFixed(1) : Math.round(mebi)} MiB` : `${(mebi / 1024).toFixed(2)} GiB`;
}

export function whole(number) {
  return Math.round(number).toLocaleString("en").replaceAll(",", "\u202f");
}

export function rate(number) {
  return number < 9.95 ? number.toFixed(1) : whole(number);
}

export function clock(seconds) {
  return new Date(seconds * 1000).toTimeString().slice(0, 8);
}
