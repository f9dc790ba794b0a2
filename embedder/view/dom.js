// What all parts of the page are made with: elements, words for numbers, names that others chose, ways from part to part.
"use strict";

const report = JSON.parse(document.getElementById("report").textContent);

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// Children that are strings become text, never markup.
const make = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
const SVG = "http://www.w3.org/2000/svg";
const svg = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);
const nothing = (section, text) => section.append(make("p", {class: "muted"}, text));
const part = (id) => document.getElementById(id);
const button = (text, onclick, attributes) => make("button", {type: "button", onclick, ...attributes}, text);
const code = (text) => (text === null ? null : make("code", null, shown(text)));
const link = (content, onclick) => button(content, onclick, {class: "link"});

// Characters that reorder or hide the text around them are written out: two names that differ must look different.
const REORDERING = /[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const shown = (name) => {
  const text = name.replace(REORDERING, (sign) => "\\u" + sign.charCodeAt(0).toString(16).padStart(4, "0"));
  return text.trim() === "" ? "(no name)" : text;
};
// Less of what is in every name, where there is little room.
const pictured = (name) => shown(name.replace(/^(tvmgen_default_)?(fused_)?/, "").replace(/(^|_)((nn|contrib)_)+/g, "$1"));
const named = (name) => make("bdi", {class: "name"}, shown(name));
// One line of a name, in tables; all of it under the mouse.
const brief = (name, content = named(name)) => make("span", {class: "short", title: shown(name)}, content);
// For names inside of sentences that are attributes, where no <bdi> can be: a first strong isolate.
const isolated = (name) => "\u2068" + shown(name) + "\u2069";

const count = (number) => number.toLocaleString("en-US");
const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many ?? one + "s"}`;
const percent = (share) => (share > 0 && share < 0.001 ? "< 0.1" : (100 * share).toFixed(share < 0.9995 ? 1 : 0)) + "\u00a0%";
const ratio = (partial, whole) => (whole > 0 ? partial / whole : 0);

function humanSize(bytes) {
  if (bytes < 1024) return `${bytes}\u00a0B`;
  let value = bytes / 1024;
  let unit = 0;
  for (; value >= 999.5 && unit < 4; ++unit) value /= 1024;
  return `${value.toPrecision(3)}\u00a0${["KiB", "MiB", "GiB", "TiB", "PiB"][unit]}`;
}
const size = (bytes) => (bytes === null ? "–" : make("span", {title: `${count(bytes)} bytes`, class: "size"}, humanSize(bytes)));
const digits = (number) => String(Number(number.toPrecision(4))).replaceAll("-", "−");
const real = (number) => (number === null || number === undefined ? "–" : digits(number));
const shapeText = (shape) => (shape.length === 0 ? "scalar" : shape.join("×"));

// dl of pairs; pairs without a value are left out
function facts(pairs, attributes) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined);
  return make("dl", attributes, known.map(([term, value]) => make("div", null, make("dt", null, term), make("dd", null, value))));
}

// A few of many: what a name is used by can be thousands.
function some(list, each, limit = 40) {
  const items = list.slice(0, limit).map((item) => make("li", null, each(item)));
  if (list.length > limit) items.push(make("li", {class: "muted"}, `and ${count(list.length - limit)} more`));
  return make("ul", {class: "plain"}, items);
}

// The section that shows a thing puts the way to it here.
const go = {node: null, tensor: null, code: null};
function goLink(kind, key, content) {
  return go[kind] === null ? content : link(content, () => go[kind](key));
}

function reveal(section, element) {
  part(section).scrollIntoView({block: "start"});
  element.scrollIntoView({block: "nearest"});
  element.focus({preventScroll: true});
}

// Draws again whenever the element's width changes, and at once. What is drawn must not change that width.
function drawAtWidth(element, draw) {
  let last = 0;
  new ResizeObserver(() => {
    const width = Math.floor(element.clientWidth);
    if (width > 0 && width !== last) draw(last = width);
  }).observe(element);
}
