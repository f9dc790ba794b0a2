// The graph's section: what is shown of it, the mouse and the keyboard on it, search, a node's details, the small map.
"use strict";

class GraphModel {
  constructor(graph) {
    this.nodes = graph.nodes;
    const {collapsed, expanded} = graph.layouts;
    graph.layouts = null;
    this.collapsed = packLayout(collapsed);
    this.expanded = expanded.nodes.length > 0 ? packLayout(expanded) : this.collapsed;
    this.open = new Set();  // function nodes whose parameters are shown
    this.consumers = this.nodes.map(() => []);
    this.members = this.nodes.map(() => []);
    this.nodes.forEach((node, index) => {
      node.category = categoryOf(node);
      for (const input of new Set(node.inputs)) this.consumers[input]?.push(index);
      if (node.group !== null && node.kind === "param") this.members[node.group]?.push(index);
    });
    this.groups = this.nodes.flatMap((_, index) => (this.members[index].length > 0 ? [index] : []));
    this.heads = new Set(graph.heads);
  }

  get layout() {
    return this.open.size === 0 ? this.collapsed : this.expanded;
  }

  get isAllOpen() {
    return this.open.size > 0 && this.open.size >= this.groups.length;
  }

  // Where no function has parameters, there may still be nodes that only the expanded layout has.
  openAll() {
    this.open = new Set(this.groups.length > 0 ? this.groups : [0]);
  }

  // In the expanded layout, only parameters are ever left out: without the others, edges would lead nowhere.
  shows(index) {
    if (!this.layout.row.has(index)) return false;
    const {kind, group} = this.nodes[index];
    return kind !== "param" || group === null || this.open.has(group) || this.consumers[index].some((user) => this.open.has(user));
  }

  // opens what hides a node
  uncover(index) {
    if (this.shows(index)) return;
    const {group} = this.nodes[index];
    if (group !== null && this.members[group].length > 0) this.open.add(group);
    if (!this.shows(index)) this.openAll();
  }

  step(index, direction, centreOf) {
    const at = centreOf(index);
    const {from, to, node} = this.layout;
    const candidates = [];
    if (direction === "up" || direction === "down") {
      const [here, there] = direction === "up" ? [to, from] : [from, to];
      here.forEach((end, edge) => end === index && this.shows(there[edge]) && candidates.push(there[edge]));
    } else {
      const side = direction === "left" ? -1 : 1;
      for (const other of node) {
        const there = other !== index && this.shows(other) ? centreOf(other) : null;
        if (there !== null && Math.abs(there.y - at.y) < 20 && (there.x - at.x) * side > 0) candidates.push(other);
      }
    }
    const distance = (other) => Math.abs(centreOf(other).x - at.x);
    return candidates.reduce((best, next) => (best === null || distance(next) < distance(best) ? next : best), null);
  }
}

const labelOf = (node) => shown(node.kind === "function" || node.kind === "nop" ? node.operator : node.name);
const valueText = ({dtype, shape}) => `${shapeText(shape)} ${shown(dtype)}`;
const outputText = (node) => node.outputs.map(valueText).join(", ");

class GraphSection {
  constructor(section, graph) {
    this.model = new GraphModel(graph);
    this.selected = null;
    this.changes = 0;  // of what is shown
    this.fitted = new Map();
    this.live = make("p", {class: "hidden", "aria-live": "polite"});
    this.hover = make("div", {class: "hover", "aria-hidden": "true"});
    this.surface = make("canvas", {id: "graph-canvas", tabindex: 0, role: "application", "aria-label": "Graph",
                                   "aria-describedby": "graph-help"});
    this.small = make("canvas", {class: "minimap", "aria-hidden": "true"});
    this.details = make("div", {id: "node-details"});
    this.view = new GraphCanvas(this.surface, this.scene(), () => this.drawSmall());
    this.search = new NodeSearch(this.model.nodes, (index) => this.choose(index));
    const stage = make("div", {class: "stage"}, this.surface, this.hover, this.small);
    const side = make("div", {class: "side"}, this.search.element, this.details);
    section.append(this.toolbar(), make("div", {class: "graph"}, stage, side), this.legend(), this.help(), this.live);
    if (graph.layout_note) section.append(make("p", {class: "note"}, graph.layout_note));
    this.showDetails();
    this.listen();
  }

  scene() {
    const {model} = this;
    const self = this;
    return {
      get layout() { return model.layout; },
      get selected() { return self.selected; },
      nodes: model.nodes,
      palette: readPalette(),
      shows: (index) => model.shows(index),
      label: (index, context, width) => this.fit(index, context, width),
      detail: (index) => model.nodes[index].outputs.slice(0, 1).map(valueText).join().slice(0, 40),
      badge: (index) => (model.members[index].length === 0 || model.open.has(index) ? "" : `+${model.members[index].length}`),
    };
  }

  fit(index, context, width) {
    if (!this.fitted.has(index)) {
      let text = pictured(labelOf(this.model.nodes[index])).slice(0, 60);
      const whole = text;
      while (text.length > 1 && context.measureText(text + "…").width > width) text = text.slice(0, -1);
      this.fitted.set(index, context.measureText(whole).width <= width ? whole : text + "…");
    }
    return this.fitted.get(index);
  }

  toolbar() {
    this.expand = button("Expand all groups", () => this.setAll(!this.model.isAllOpen));
    this.expand.hidden = this.model.expanded.node.length <= this.model.collapsed.node.length;
    this.single = button("", () => this.toggleGroup(this.selected), {hidden: true});
    const zoom = (text, label, factor) => button(text, () => this.view.zoom(factor), {"aria-label": label, title: label});
    return make("div", {class: "tools"}, this.expand, this.single, make("span", {class: "gap"}), zoom("+", "Zoom in", 1.3),
                zoom("−", "Zoom out", 1 / 1.3), button("Fit", () => this.view.fit(), {title: "Fit the graph: key 0"}));
  }

  legend() {
    const present = new Set(this.model.nodes.map((node) => node.category));
    const items = CATEGORIES.filter(([key]) => present.has(key))
      .map(([key, text]) => make("li", null, make("i", {class: `swatch node-${key}`}), text));
    return make("ul", {class: "legend", "aria-label": "Colours of the graph"}, items);
  }

  help() {
    return make("p", {id: "graph-help", class: "muted help"}, "Drag to move; click the graph, then turn the wheel to zoom " +
      "(Ctrl and wheel without a click). Keys: arrows walk along edges and to neighbours, Enter shows or hides a group's " +
      "parameters, +, − and 0 zoom.");
  }

  listen() {
    const pointers = new Map();
    const {surface, view} = this;
    let travelled = 0;
    const local = (event) => {
      const box = surface.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    surface.addEventListener("pointerdown", (event) => {
      surface.setPointerCapture(event.pointerId);
      if (pointers.size === 0) travelled = 0;
      pointers.set(event.pointerId, local(event));
    });
    surface.addEventListener("pointermove", (event) => {
      const here = local(event);
      const before = pointers.get(event.pointerId);
      if (before === undefined) return this.hovers(view.hit(...here));
      travelled += Math.hypot(here[0] - before[0], here[1] - before[1]);
      if (travelled > 4) this.drag(pointers, event.pointerId, before, here);
      pointers.set(event.pointerId, here);
    });
    surface.addEventListener("pointerup", (event) => {
      if (pointers.delete(event.pointerId) && pointers.size === 0 && travelled <= 4) this.choose(view.hit(...local(event)), false);
    });
    surface.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
    surface.addEventListener("pointerleave", () => this.hovers(null));
    surface.addEventListener("wheel", (event) => this.wheel(event, local(event)), {passive: false});
    surface.addEventListener("keydown", (event) => this.key(event));
    this.small.addEventListener("pointerdown", (event) => this.jump(event));
    this.small.addEventListener("pointermove", (event) => event.buttons === 1 && this.jump(event));
  }

  drag(pointers, id, before, here) {
    const other = [...pointers].find(([key]) => key !== id)?.[1];
    if (other === undefined) return this.view.pan(here[0] - before[0], here[1] - before[1]);
    const apart = (point) => Math.max(1, Math.hypot(point[0] - other[0], point[1] - other[1]));
    this.view.zoom(apart(here) / apart(before), (here[0] + other[0]) / 2, (here[1] + other[1]) / 2);
  }

  // Without focus the wheel is the page's: who scrolls past the graph must get past it.
  wheel(event, [x, y]) {
    if (document.activeElement !== this.surface && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const lines = event.deltaMode === 0 ? event.deltaY / 100 : event.deltaY / 3;
    this.view.zoom(Math.pow(1.2, -Math.max(-3, Math.min(3, event.ctrlKey ? lines * 3 : lines))), x, y);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = {ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right"}[event.key];
    if (step) this.walk(step);
    else if (event.key === "Enter" && this.selected !== null) this.toggleGroup(this.groupOf(this.selected));
    else if (event.key === "+" || event.key === "=") this.view.zoom(1.3);
    else if (event.key === "-") this.view.zoom(1 / 1.3);
    else if (event.key === "0") this.view.fit();
    else if (event.key === "Escape") this.choose(null);
    else return;
    event.preventDefault();
  }

  walk(direction) {
    const isShown = this.selected !== null && this.model.shows(this.selected);
    if (!isShown) return this.choose(this.model.layout.node[this.view.topRow()] ?? null);
    const next = this.model.step(this.selected, direction, (index) => this.view.centreOf(index));
    if (next !== null) return this.choose(next);
    const words = {up: "No producer.", down: "No consumer.", left: "Nothing on the left.", right: "Nothing on the right."};
    this.live.textContent = words[direction];
  }

  hovers(index) {
    this.surface.style.cursor = index === null ? "" : "pointer";
    this.hover.hidden = index === null;
    if (index === null) return;
    const node = this.model.nodes[index];
    this.hover.replaceChildren(named(labelOf(node)), " ", make("bdi", {class: "muted"}, outputText(node).slice(0, 60)));
  }

  choose(index, moves = true) {
    this.selected = index;
    if (index !== null) this.inPlace(() => this.model.uncover(index));
    if (index !== null && moves) this.view.bringIn(index);
    this.live.textContent = index === null ? "" : this.describe(index);
    this.refresh();
  }

  refresh() {
    this.showDetails();
    this.view.invalidate();
    this.expand.textContent = this.model.isAllOpen ? "Collapse all groups" : "Expand all groups";
    const group = this.selected === null ? null : this.groupOf(this.selected);
    this.single.hidden = group === null;
    if (group !== null) this.single.textContent = this.groupText(group);
  }

  groupText(group) {
    return `${this.model.open.has(group) ? "Hide" : "Show"} ${plural(this.model.members[group].length, "parameter")} of this group`;
  }

  groupState(group) {
    return `${plural(this.model.members[group].length, "parameter")} ${this.model.open.has(group) ? "shown" : "hidden"}`;
  }

  groupOf(index) {
    if (this.model.members[index].length > 0) return index;
    const {group} = this.model.nodes[index];
    return group !== null && this.model.members[group].length > 0 ? group : null;
  }

  setAll(open) {
    this.inPlace(() => {
      if (open) this.model.openAll();
      else this.model.open.clear();
      this.leaveHidden();
    });
  }

  // what is chosen and is now hidden gives way to the function that it belongs to
  leaveHidden() {
    if (this.selected !== null && !this.model.shows(this.selected)) this.selected = this.model.nodes[this.selected].group;
  }

  toggleGroup(index) {
    const group = index === null ? null : this.groupOf(index);
    if (group === null) return;
    this.inPlace(() => {
      if (!this.model.open.delete(group)) this.model.open.add(group);
      this.leaveHidden();
    });
    this.live.textContent = `${this.groupState(group)}.`;
  }

  // Whatever changes what is shown: the selected node, or the one in the middle, stays where it is on the screen.
  inPlace(change) {
    const {view} = this;
    const before = this.model.layout;
    const isSeen = this.selected !== null && view.onScreen(this.selected) !== null;
    const anchor = isSeen ? this.selected : view.nearestTo(view.width / 2, view.height / 2)?.index ?? null;
    const at = anchor === null ? null : view.onScreen(anchor);
    change();
    ++this.changes;
    const stays = anchor === null || this.model.shows(anchor) ? anchor : this.model.nodes[anchor].group;
    if (at !== null && this.model.layout !== before) view.place(stays, at.x, at.y);
    this.refresh();
  }

  describe(index) {
    const node = this.model.nodes[index];
    const words = [isolated(labelOf(node)), node.kind, `output ${outputText(node)}`, plural(node.inputs.length, "input"),
                   plural(this.model.consumers[index].length, "consumer")];
    if (this.model.heads.has(index)) words.push("an output of the graph");
    if (this.model.members[index].length > 0) words.push(this.groupState(index));
    return words.join(", ");
  }

  showDetails() {
    if (this.selected === null) {
      const {nodes, groups} = this.model;
      const words = `${plural(nodes.length, "node")}, ${plural(groups.length, "group")} with parameters.`;
      this.details.replaceChildren(make("p", {class: "muted nothing"}, `${words} Choose a node in the graph or in the list.`));
      return;
    }
    const node = this.model.nodes[this.selected];
    const nodeLink = (index) => link(named(labelOf(this.model.nodes[index])), () => this.choose(index));
    const users = this.model.consumers[this.selected];
    const attributes = Object.entries(node.attributes);
    this.details.replaceChildren(make("h3", null, named(labelOf(node))), facts([
      ["Name", named(node.name)],
      ["Kind", node.kind + (this.model.heads.has(this.selected) ? ", output of the graph" : "")],
      ["Operator", node.kind === "function" ? named(node.operator) : null],
      ["Function", node.function === null ? null : this.functionOf(node)],
      ["In the library", node.function === null ? null : size(node.function_bytes)],
      ["Outputs", node.outputs.length === 0 ? null : some(node.outputs, (output) => this.outputOf(output))],
      ["Tensor", node.tensor === null ? null : goLink("tensor", node.tensor, named(report.tensors[node.tensor].name))],
      ["Inputs", node.inputs.length === 0 ? null : some(node.inputs, nodeLink)],
      ["Consumers", users.length === 0 ? null : some(users, nodeLink)],
      ["Attributes", attributes.length === 0 ? null : some(attributes, ([key, value]) => [named(key), ": ", named(value)])],
    ]));
  }

  functionOf({function: name, function_bytes: bytes}) {
    return bytes === null ? named(name) : goLink("code", name, named(name));
  }

  outputOf(output) {
    const bytes = output.bytes === null ? [] : [", ", size(output.bytes)];
    return [make("bdi", null, valueText(output)), ...bytes, output.storage === null ? null : `, storage ${output.storage}`];
  }

  smallScale() {
    const {width, height} = this.model.layout;
    const side = this.view.width < 500 ? 90 : 150;
    const room = Math.min(side / width, (height > 4 * width ? this.view.height - 32 : side) / height);
    return {x: Math.max(room, 36 / width), y: Math.max(room, 36 / height)};  // a long graph is drawn wider than it is
  }

  drawSmall() {
    const {view, small, model} = this;
    const {camera} = view;
    const {layout} = model;
    small.hidden = layout.width * camera.scale <= view.width && layout.height * camera.scale <= view.height;
    if (small.hidden) return;
    const scale = this.smallScale();
    const context = small.getContext("2d");
    small.width = Math.ceil(layout.width * scale.x);
    small.height = Math.ceil(layout.height * scale.y);
    context.drawImage(this.smallNodes(scale), 0, 0);
    context.strokeStyle = view.scene.palette.accent;
    context.lineWidth = 2;
    const high = view.height / camera.scale * scale.y;
    const more = Math.max(0, 10 - high);  // of thousands of ranks, those in view are a line
    context.strokeRect(-camera.x / camera.scale * scale.x, -camera.y / camera.scale * scale.y - more / 2,
                       view.width / camera.scale * scale.x, high + more);
  }

  // kept until what is shown changes: it is all nodes, in every frame
  smallNodes(scale) {
    const {layout} = this.model;
    const {palette} = this.view.scene;
    const key = [palette, this.changes, this.small.width, this.small.height];
    if (this.kept && key.every((value, at) => value === this.kept.key[at])) return this.kept.picture;
    const picture = make("canvas", {width: this.small.width, height: this.small.height});
    const context = picture.getContext("2d");
    layout.node.forEach((index, row) => {
      if (!this.model.shows(index)) return;
      const [x0, y0, x1] = layout.box.subarray(row * 4, row * 4 + 3);
      context.fillStyle = palette["node-" + this.model.nodes[index].category];
      context.fillRect(x0 * scale.x, y0 * scale.y, Math.max(1.5, (x1 - x0) * scale.x), 1.5);
    });
    this.kept = {key, picture};
    return picture;
  }

  jump(event) {
    const box = this.small.getBoundingClientRect();
    const scale = this.smallScale();
    const {view} = this;
    view.camera.x = view.width / 2 - (event.clientX - box.left - 1) / scale.x * view.camera.scale;
    view.camera.y = view.height / 2 - (event.clientY - box.top - 1) / scale.y * view.camera.scale;
    view.invalidate();
  }
}

const LISTED = 200;

class NodeSearch {
  constructor(nodes, choose) {
    Object.assign(this, {nodes, choose, found: [], active: 0});
    this.texts = nodes.map((node) => `${node.name}\n${node.operator}`.toLowerCase());
    this.list = make("ul", {id: "node-list", role: "listbox", tabindex: -1, "aria-label": "Nodes",
                            onclick: (event) => this.pick(event)});
    this.input = make("input", {type: "search", id: "node-search", role: "combobox", "aria-expanded": "true", autocomplete: "off",
                                "aria-controls": "node-list", "aria-autocomplete": "list", "aria-label": "Search nodes",
                                placeholder: "Search nodes", oninput: () => this.update(), onkeydown: (event) => this.key(event)});
    this.state = make("p", {class: "muted", role: "status"});
    this.element = make("div", {class: "search"}, this.input, this.state, this.list);
    this.update();
  }

  update() {
    const text = this.input.value.trim().toLowerCase();
    this.found = [];
    this.texts.forEach((name, index) => name.includes(text) && this.found.push(index));
    this.active = text === "" ? -1 : 0;
    const listed = Math.min(this.found.length, LISTED);
    const rest = listed < this.found.length ? `, the first ${listed} are listed` : "";
    this.state.textContent = plural(this.found.length, "node") + rest;
    this.list.replaceChildren(...this.found.slice(0, LISTED).map((index, at) => this.optionOf(this.nodes[index], at)));
    this.mark();
  }

  optionOf(node, at) {
    return make("li", {role: "option", id: `node-option-${at}`, "data-at": at}, make("i", {class: `swatch node-${node.category}`}),
                named(labelOf(node)), make("span", {class: "muted"}, " ", node.kind === "function" ? named(node.name) : node.kind));
  }

  mark() {
    [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === this.active)));
    const option = this.list.children[this.active];
    if (option) this.input.setAttribute("aria-activedescendant", option.id);
    else this.input.removeAttribute("aria-activedescendant");
    if (option && document.activeElement === this.input) option.scrollIntoView({block: "nearest"});
  }

  pick(event) {
    const option = event.target.closest("[role=option]");
    if (option === null) return;
    this.active = Number(option.dataset.at);
    this.mark();
    this.choose(this.found[this.active]);
  }

  key(event) {
    const by = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (by) this.active = Math.max(0, Math.min(this.list.children.length - 1, this.active + by));
    else if (event.key === "Enter" && this.found.length > 0) this.choose(this.found[Math.max(0, this.active)]);
    else return;
    this.mark();
    event.preventDefault();
  }
}

function showGraph(section) {
  if (report.graph === null || report.graph.nodes.length === 0) {
    const isThere = report.artifacts.some(({name}) => name === "graph");
    nothing(section, isThere ? "The graph cannot be shown." : "No graph in this bundle.");
    return null;
  }
  const graph = new GraphSection(section, report.graph);
  go.node = (index) => {
    graph.choose(index);
    reveal("graph", graph.surface);
  };
  return graph;
}
