// Where the bytes are, as a treemap: the library's functions, the tensors, all else; each as large as its bytes.
"use strict";

const LEAVES = 600;  // of each group; smaller ones are one leaf together
const LEAST_AREA = 40;

function rowRatio(row, side, sum) {
  const [most, least] = [row[0].area, row[row.length - 1].area];
  return Math.max(side * side * most / (sum * sum), sum * sum / (side * side * least));
}

// Squarified (Bruls, Huizing, van Wijk): items with bytes, the largest first, get x, y, width and height in the box.
function squarify(items, x, y, width, height) {
  const total = items.reduce((sum, item) => sum + item.bytes, 0);
  const scale = ratio(width * height, total);
  items.forEach((item) => { item.area = Math.max(1e-9, item.bytes * scale); });  // never 0: it divides
  for (let first = 0; first < items.length;) {
    const side = Math.max(1e-6, Math.min(width, height));
    let sum = items[first].area;
    let end = first + 1;
    for (; end < items.length; ++end) {
      const next = sum + items[end].area;
      if (items[end].bytes > items[end - 1].bytes) break;  // the rest together, see below: a row of its own
      if (rowRatio(items.slice(first, end + 1), side, next) > rowRatio(items.slice(first, end), side, sum)) break;
      sum = next;
    }
    const thick = sum / side;
    let along = 0;
    for (const item of items.slice(first, end)) {
      const length = item.area / thick;
      if (width < height) Object.assign(item, {x: x + along, y, width: length, height: thick});
      else Object.assign(item, {x, y: y + along, width: thick, height: length});
      along += length;
    }
    if (width < height) [y, height] = [y + thick, height - thick];
    else [x, width] = [x + thick, width - thick];
    first = end;
  }
}

// One leaf for each place in the file: names of one function share it.
function functionLeaves() {
  const places = new Map();
  for (const item of report.functions) if (item.bytes > 0 && !places.has(item.address)) places.set(item.address, item);
  return [...places.values()].map((item) => ({name: item.name, what: "function", bytes: item.bytes, code: item.name}));
}

function byteGroups(isStored) {
  const bytesOf = (item) => (isStored ? item.stored_bytes : item.bytes);
  const sum = (items) => items.reduce((total, item) => total + item.bytes, 0);
  const code = functionLeaves();
  const library = Math.max(0, report.host_bytes - sum(code));
  code.push({name: code.length > 0 ? "all else in the library" : "library", what: "data, tables, symbols", bytes: library});
  const tensors = report.tensors.map((tensor, index) =>
    ({name: tensor.name, what: `tensor, ${valueText(tensor)}`, bytes: bytesOf(tensor), tensor: index}));
  const others = report.artifacts.filter((artifact) => artifact.kind !== "params" || tensors.length === 0)
    .map((artifact) => ({name: artifact.name, what: `artifact, ${artifact.kind}`, bytes: bytesOf(artifact)}));
  const stored = report.artifacts.reduce((total, artifact) => total + artifact.stored_bytes, 0);
  const rest = Math.max(0, report.bytes - report.host_bytes - stored);
  others.push({name: "index, digests, padding", what: "what holds it together", bytes: rest});
  return [["Library", "code", code], ["Tensors", "tensor", tensors], ["All else", "other", others]]
    .map(([name, kind, leaves]) => ({name, kind, leaves: leaves.filter((leaf) => leaf.bytes > 0)}))
    .map((group) => ({...group, bytes: sum(group.leaves)})).filter((group) => group.bytes > 0).sort((a, b) => b.bytes - a.bytes);
}

// Where there is no room for all: the rest together, as the last one.
function largest(leaves, area) {
  const sorted = [...leaves].sort((a, b) => b.bytes - a.bytes);
  const least = LEAST_AREA * sorted.reduce((sum, leaf) => sum + leaf.bytes, 0) / area;
  const few = sorted.findIndex((leaf, at) => at === LEAVES || leaf.bytes < least);
  if (few < 0 || few >= sorted.length - 1) return sorted;
  const rest = sorted.splice(few);
  const bytes = rest.reduce((sum, leaf) => sum + leaf.bytes, 0);
  sorted.push({name: `${count(rest.length)} smaller ones`, what: "in the table below", bytes});
  return sorted;
}

class Treemap {
  constructor(section) {
    this.isStored = true;
    this.current = 0;
    this.chosen = null;
    this.readout = make("p", {class: "readout nothing", role: "status"}, "Choose a part to see what it is.");
    this.holder = make("div", {class: "treemap"});
    this.details = make("details", {ontoggle: () => this.fillTable()}, make("summary", null, "The same as a table"));
    section.append(this.toolbar(), this.holder, this.readout, this.details);
    this.regroup();
    drawAtWidth(this.holder, (width) => this.draw(width));
  }

  toolbar() {
    const choice = (text, isStored) => make("label", null, make("input", {type: "radio", name: "treemap-bytes", checked: isStored,
      onchange: () => { this.isStored = isStored; this.regroup(); this.draw(this.width); }}), " ", text);
    return make("fieldset", {class: "tools"}, make("legend", {class: "hidden"}, "Bytes to show"),
                choice("as stored in the file", true), choice("before compression", false));
  }

  regroup() {
    this.groups = byteGroups(this.isStored);
    this.total = this.groups.reduce((sum, group) => sum + group.bytes, 0);
    this.chosen = null;
    this.fillTable();
  }

  fillTable() {
    if (!this.details.open) return;
    const rows = this.groups.flatMap((group) => group.leaves.map((leaf) => ({...leaf, group: group.name})));
    const table = new PagedTable("Where the bytes are", [
      {title: "Part", value: (row) => row.name, cell: (row) => brief(row.name, this.linkTo(row))},
      {title: "Group", value: (row) => row.group, cell: (row) => row.group},
      {title: "What", value: (row) => row.what, cell: (row) => brief(row.what)},
      {title: "Bytes", numeric: true, value: (row) => row.bytes, cell: (row) => size(row.bytes)},
      {title: "Share", numeric: true, value: (row) => row.bytes, cell: (row) => percent(ratio(row.bytes, this.total))},
    ], rows, {filter: (row) => row.name, order: {at: 3, down: true}});
    this.details.replaceChildren(this.details.firstElementChild, table.element);
  }

  linkTo(leaf) {
    if (leaf.tensor !== undefined) return goLink("tensor", leaf.tensor, named(leaf.name));
    return leaf.code !== undefined ? goLink("code", leaf.code, named(leaf.name)) : named(leaf.name);
  }

  draw(width) {
    if (!width) return;
    this.width = width;
    const height = Math.round(Math.max(300, Math.min(480, width * 0.45)));
    this.leaves = [];
    this.labels = svg("g", {class: "labels", "aria-hidden": "true"});
    squarify(this.groups, 0, 0, width, height);
    const content = this.groups.flatMap((group) => this.drawGroup(group));
    this.holder.replaceChildren(svg("svg", {viewBox: `0 0 ${width} ${height}`, role: "group", onkeydown: (event) => this.key(event),
      "aria-label": "Treemap of the bytes; arrow keys move from part to part, Enter chooses"}, content, this.labels));
    this.leaves[0]?.element.setAttribute("tabindex", 0);
    this.current = 0;
  }

  drawGroup(group) {
    const {x, y, width, height} = group;
    const head = height > 60 && width > 60 ? 20 : 0;
    const title = `${group.name} ${humanSize(group.bytes)}, ${percent(ratio(group.bytes, this.total))}`;
    const leaves = largest(group.leaves, width * height);
    squarify(leaves, x + 1, y + 1 + head, Math.max(0, width - 2), Math.max(0, height - 2 - head));
    const fits = title.length * 6.6 < width - 8 ? title : group.name;
    const words = head > 0 ? svg("text", {x: x + 4, y: y + 14, class: "group"}, fits) : null;
    return [words, ...leaves.map((leaf) => this.drawLeaf(leaf, group))];
  }

  drawLeaf(leaf, group) {
    const {x, y, width, height} = leaf;
    const gap = Math.min(1, width / 4, height / 4);
    const rest = {width: Math.max(0, width - gap), height: Math.max(0, height - gap), rx: width > 12 && height > 12 ? 2 : 0};
    const share = percent(ratio(leaf.bytes, this.total));
    const words = `${isolated(leaf.name)}: ${isolated(leaf.what)}, ${humanSize(leaf.bytes)}, ${share}`;
    const letters = Math.floor((width - 7) / 6.4);
    const text = pictured(leaf.name);
    const at = this.leaves.length;
    const element = svg("g", {class: `leaf ${group.kind}`, role: "button", tabindex: -1, "aria-label": words,
                              onclick: () => this.choose(at)}, svg("title", null, words), svg("rect", {x, y, ...rest}));
    if (letters >= 3 && height > 18) {
      this.labels.append(svg("text", {x: x + 5, y: y + 14}, text.length <= letters ? text : text.slice(0, letters - 1) + "…"));
      if (height > 34 && letters >= 7) this.labels.append(svg("text", {x: x + 5, y: y + 28, class: "sub"}, humanSize(leaf.bytes)));
    }
    this.leaves.push({leaf, element});
    return element;
  }

  focus(at) {
    this.leaves[this.current]?.element.setAttribute("tabindex", -1);
    this.current = at;
    this.leaves[at].element.setAttribute("tabindex", 0);
    this.leaves[at].element.focus();
  }

  key(event) {
    const by = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (by) this.focus(Math.max(0, Math.min(this.leaves.length - 1, this.current + by)));
    else if (event.key === "Enter" || event.key === " ") this.choose(this.current);
    else return;
    event.preventDefault();
  }

  choose(at) {
    const {leaf, element} = this.leaves[at];
    this.chosen?.classList.remove("chosen");
    this.chosen = element;
    element.classList.add("chosen");
    this.focus(at);
    const share = `, ${percent(ratio(leaf.bytes, this.total))} of all`;
    this.readout.classList.remove("nothing");
    this.readout.replaceChildren(this.linkTo(leaf), " ", make("bdi", null, shown(leaf.what)), ", ", size(leaf.bytes), share);
    const node = leaf.tensor !== undefined ? nodeOfTensor(leaf.tensor) : leaf.code !== undefined ? nodeOfFunction(leaf.code) : null;
    if (node !== null && go.node !== null) this.readout.append(", ", link("show in the graph", () => go.node(node)));
  }
}

function indexNodes(keysOf) {
  const found = new Map();
  report.graph?.nodes.forEach((node, index) => {
    const key = keysOf(node);
    if (key !== null && !found.has(key)) found.set(key, index);
  });
  return (key) => found.get(key) ?? null;
}
const nodeOfTensor = indexNodes((node) => node.tensor);
const nodeOfFunction = indexNodes((node) => node.function);
