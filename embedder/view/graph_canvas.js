// The graph as a picture: layouts, camera, culling, levels of detail, what lies under a point, the picture for paper.
"use strict";

const BOX_SCALE = 0.16;   // below it, nodes are dots and edges are straight
const LABEL_SCALE = 0.55;  // below it, a label is too small to be read
const MAX_SCALE = 3;

// Numbers in typed arrays: a fifth of the memory of the arrays in the report.
function packLayout(layout) {
  const {nodes, edges} = layout;
  const packed = {width: layout.width, height: layout.height, row: new Map(), node: new Int32Array(nodes.length),
                  box: new Float32Array(nodes.length * 4), from: new Int32Array(edges.length), to: new Int32Array(edges.length),
                  first: new Uint32Array(edges.length + 1), points: null, edgeBox: new Float32Array(edges.length * 4)};
  nodes.forEach(([index, x, y, w, h], row) => {
    packed.node[row] = index;
    packed.box.set([x - w / 2, y - h / 2, x + w / 2, y + h / 2], row * 4);
    packed.row.set(index, row);
  });
  packed.points = new Float32Array(edges.reduce((sum, edge) => sum + edge[2].length, 0));
  edges.forEach(([from, to, points], at) => {
    packed.from[at] = from;
    packed.to[at] = to;
    packed.points.set(points, packed.first[at]);
    packed.first[at + 1] = packed.first[at] + points.length;
    const xs = points.filter((_, i) => i % 2 === 0);
    const ys = points.filter((_, i) => i % 2 === 1);
    packed.edgeBox.set([Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)], at * 4);
  });
  return packed;
}

const CATEGORIES = [
  ["math", "Convolution, dense", /conv|dense|matmul|gemm|attention|einsum/i],
  ["reduce", "Pooling, normalisation", /pool|norm|softmax|mean|reduce|sum|arg(max|min)/i],
  ["move", "Layout, copies", /reshape|transpose|concat|split|layout|squeeze|slice|pad|cast|take|gather|expand|flatten|copy|nop/i],
  ["other", "Other function", /^/],
  ["input", "Input", /$^/],
  ["param", "Parameter", /$^/],
];
function categoryOf(node) {
  if (node.kind === "input" || node.kind === "param") return node.kind;
  if (node.kind === "nop") return "move";
  return CATEGORIES.find(([, , pattern]) => pattern.test(node.operator))[0];
}

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const names = ["back", "panel", "line", "strong", "text", "muted", "accent", "chosen", "edge",
                 "node-math", "node-reduce", "node-move", "node-other", "node-input", "node-param"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
}

function traceEdge(context, layout, at, exact) {
  const {points} = layout;
  const first = layout.first[at];
  const end = layout.first[at + 1];
  context.moveTo(points[first], points[first + 1]);
  if (end - first < 8 || !exact) return context.lineTo(points[end - 2], points[end - 1]);
  for (let i = first + 2; i + 5 < end; i += 6) {
    context.bezierCurveTo(points[i], points[i + 1], points[i + 2], points[i + 3], points[i + 4], points[i + 5]);
  }
}

function traceArrow(context, layout, at) {
  const {points} = layout;
  const end = layout.first[at + 1];
  const [x, y] = [points[end - 2], points[end - 1]];
  const angle = Math.atan2(y - points[end - 3], x - points[end - 4]);
  context.moveTo(x, y);
  for (const side of [-0.4, 0.4]) context.lineTo(x - 8 * Math.cos(angle + side), y - 8 * Math.sin(angle + side));
  context.closePath();
}

// A scene: {layout, nodes, shows(index), selected, palette, label(index), detail(index), badge(index)}.
class GraphPainter {
  constructor(context, scene, camera, area) {
    Object.assign(this, {context, scene, scale: camera.scale, palette: scene.palette, layout: scene.layout});
    this.view = [(area.x - camera.x) / camera.scale, (area.y - camera.y) / camera.scale,
                 (area.x + area.width - camera.x) / camera.scale, (area.y + area.height - camera.y) / camera.scale];
  }

  sees(boxes, at) {
    const [left, top, right, bottom] = this.view;
    return boxes[at] <= right && boxes[at + 2] >= left && boxes[at + 1] <= bottom && boxes[at + 3] >= top;
  }

  paint() {
    const edges = [];
    const marked = [];
    const {from, to, edgeBox} = this.layout;
    for (let at = 0; at < from.length; ++at) {
      if (!this.sees(edgeBox, at * 4) || !this.scene.shows(from[at]) || !this.scene.shows(to[at])) continue;
      (from[at] === this.scene.selected || to[at] === this.scene.selected ? marked : edges).push(at);
    }
    this.paintEdges(edges, this.palette.edge, 1.1);
    this.paintEdges(marked, this.palette.accent, 2);
    const rows = [];
    for (let row = 0; row < this.layout.node.length; ++row) {
      if (this.sees(this.layout.box, row * 4) && this.scene.shows(this.layout.node[row])) rows.push(row);
    }
    if (this.scale < BOX_SCALE) this.paintDots(rows);
    else rows.forEach((row) => this.paintBox(row));
  }

  paintEdges(edges, colour, width) {
    const {context} = this;
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = Math.max(width, 0.8 * width / this.scale);
    context.beginPath();
    for (const at of edges) traceEdge(context, this.layout, at, this.scale >= BOX_SCALE);
    context.stroke();
    if (this.scale < 0.3) return;
    context.beginPath();
    for (const at of edges) traceArrow(context, this.layout, at);
    context.fill();
  }

  paintDots(rows) {
    const {context, layout, scene} = this;
    const grown = Math.max(0, 1 / this.scale - 18);  // no dot under two pixels
    for (const kind of ["param", "input", "other", "move", "reduce", "math", "selected"]) {
      context.fillStyle = kind === "selected" ? this.palette.accent : this.palette["node-" + kind];
      context.beginPath();
      for (const row of rows) {
        const index = layout.node[row];
        if ((index === scene.selected ? "selected" : scene.nodes[index].category) !== kind) continue;
        const [x0, y0, x1, y1] = layout.box.subarray(row * 4, row * 4 + 4);
        const more = kind === "selected" ? 4 / this.scale : grown;
        context.rect(x0 - more, y0 - more, x1 - x0 + 2 * more, y1 - y0 + 2 * more);
      }
      context.fill();
    }
  }

  paintBox(row) {
    const {context, palette, scene} = this;
    const index = this.layout.node[row];
    const chosen = index === scene.selected;
    const category = scene.nodes[index].category;
    const [x, y, right, bottom] = this.layout.box.subarray(row * 4, row * 4 + 4);
    const radius = category === "param" || category === "input" ? (bottom - y) / 2 : 5;
    context.beginPath();
    context.roundRect(x, y, right - x, bottom - y, radius);
    context.fillStyle = chosen ? palette.chosen : this.scale < LABEL_SCALE ? palette["node-" + category] : palette.panel;
    context.fill();
    context.strokeStyle = chosen ? palette.accent : this.scale < LABEL_SCALE ? palette.back : palette.strong;
    context.lineWidth = chosen ? Math.max(2.5, 2 / this.scale) : 1;
    if (this.scale >= LABEL_SCALE) this.paintInside(index, x, y, right, bottom, radius);
    context.beginPath();
    context.roundRect(x, y, right - x, bottom - y, radius);
    context.stroke();
  }

  paintInside(index, x, y, right, bottom, radius) {
    const {context, palette, scene} = this;
    context.fillStyle = palette["node-" + scene.nodes[index].category];
    context.beginPath();
    context.roundRect(x, y, radius > 5 ? 14 : 6, bottom - y, [radius, 0, 0, radius]);
    context.fill();
    const start = x + (radius > 5 ? 20 : 13);
    const middle = (y + bottom) / 2;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.direction = "ltr";
    context.fillStyle = palette.text;
    context.font = "600 12px system-ui, sans-serif";
    context.fillText(scene.label(index, context, right - start - 8), start, middle - 6.5);
    context.fillStyle = palette.muted;
    context.font = "10.5px system-ui, sans-serif";
    context.fillText(scene.detail(index), start, middle + 8, right - start - 8);
    const badge = scene.badge(index);
    if (badge === "") return;
    context.textAlign = "right";
    context.fillText(badge, right - 8, middle + 8);
  }
}

class GraphCanvas {
  constructor(canvas, scene, onMove) {
    Object.assign(this, {canvas, scene, onMove, context: canvas.getContext("2d"), camera: {x: 0, y: 0, scale: 1}, waiting: false});
    this.width = this.height = 0;
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    addEventListener("beforeprint", () => this.toPaper());
    addEventListener("afterprint", () => this.toScreen());
  }

  recolour() {
    this.scene.palette = readPalette();
    this.invalidate();
  }

  resize() {
    if (document.documentElement.classList.contains("printing")) return;
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight];
    if (width === 0 || height === 0) return;
    const isFirst = this.width === 0;
    const pixels = Math.min(devicePixelRatio || 1, 3);
    Object.assign(this, {width, height, pixels});
    this.canvas.width = Math.round(width * pixels);
    this.canvas.height = Math.round(height * pixels);
    if (isFirst) this.start();
    this.draw();
  }

  fitScale() {
    return Math.min((this.width - 24) / this.scene.layout.width, (this.height - 24) / this.scene.layout.height, 1.25);
  }

  // All of it where that can be read, else its beginning.
  start() {
    if (this.fitScale() >= 0.75) return this.fit();
    const first = this.scene.layout.node[this.topRow()];
    this.camera.scale = 0.85;
    this.place(first, this.width / 2, 48);
  }

  topRow() {
    const {box, node} = this.scene.layout;
    let best = 0;
    for (let row = 1; row < node.length; ++row) if (box[row * 4 + 1] < box[best * 4 + 1]) best = row;
    return best;
  }

  fit() {
    const {layout} = this.scene;
    const scale = this.fitScale();
    this.camera = {scale, x: (this.width - layout.width * scale) / 2, y: (this.height - layout.height * scale) / 2};
    this.invalidate();
  }

  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const {camera} = this;
    const scale = Math.min(MAX_SCALE, Math.max(Math.min(0.05, this.fitScale() * 0.8), camera.scale * factor));
    camera.x = x - (x - camera.x) * scale / camera.scale;
    camera.y = y - (y - camera.y) * scale / camera.scale;
    camera.scale = scale;
    this.invalidate();
  }

  pan(x, y) {
    this.camera.x += x;
    this.camera.y += y;
    this.invalidate();
  }

  centreOf(index) {
    const row = this.scene.layout.row.get(index);
    if (row === undefined || !this.scene.shows(index)) return null;
    const [x0, y0, x1, y1] = this.scene.layout.box.subarray(row * 4, row * 4 + 4);
    return {x: (x0 + x1) / 2, y: (y0 + y1) / 2};
  }

  onScreen(index) {
    const centre = this.centreOf(index);
    const {x, y, scale} = this.camera;
    return centre && {x: centre.x * scale + x, y: centre.y * scale + y};
  }

  place(index, x, y) {
    const centre = this.centreOf(index);
    if (centre === null) return;
    this.camera.x = x - centre.x * this.camera.scale;
    this.camera.y = y - centre.y * this.camera.scale;
    this.invalidate();
  }

  // moves no more than is needed to see the node
  bringIn(index) {
    const at = this.onScreen(index);
    if (at === null) return;
    if (this.camera.scale < LABEL_SCALE) this.camera.scale = 0.85;
    else if (at.x > 100 && at.y > 50 && at.x < this.width - 100 && at.y < this.height - 50) return this.invalidate();
    this.place(index, this.width / 2, this.height / 2);
  }

  nearestTo(x, y) {
    const {node, box} = this.scene.layout;
    const {camera} = this;
    const [worldX, worldY] = [(x - camera.x) / camera.scale, (y - camera.y) / camera.scale];
    let best = null;
    for (let row = 0; row < node.length; ++row) {
      if (!this.scene.shows(node[row])) continue;
      const dx = Math.max(box[row * 4] - worldX, 0, worldX - box[row * 4 + 2]);
      const dy = Math.max(box[row * 4 + 1] - worldY, 0, worldY - box[row * 4 + 3]);
      const distance = Math.hypot(dx, dy) * camera.scale;
      if (best === null || distance < best.distance) best = {index: node[row], distance};
    }
    return best;
  }

  hit(x, y) {
    const nearest = this.nearestTo(x, y);
    return nearest !== null && nearest.distance <= 3 ? nearest.index : null;
  }

  invalidate() {
    if (this.waiting || this.width === 0) return;
    this.waiting = true;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.waiting = false;
    if (document.documentElement.classList.contains("printing")) return;
    const {context, camera, pixels} = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(pixels * camera.scale, 0, 0, pixels * camera.scale, pixels * camera.x, pixels * camera.y);
    new GraphPainter(context, this.scene, camera, {x: 0, y: 0, width: this.width, height: this.height}).paint();
    this.onMove();
  }

  // On paper, all of it; a long graph in columns side by side.
  toPaper() {
    document.documentElement.classList.add("printing");
    const {layout} = this.scene;
    const [width, height] = [1800, 2200];
    const scaleOf = (columns) => Math.min(width / columns / (layout.width + 24), height / (layout.height / columns + 24), 2);
    const columns = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16].reduce((best, next) => (scaleOf(next) > scaleOf(best) * 1.05 ? next : best));
    const scale = scaleOf(columns);
    const slice = layout.height / columns;
    this.canvas.width = width;
    this.canvas.height = Math.min(height, Math.ceil((slice + 24) * scale));
    this.scene.palette = readPalette();
    for (let column = 0; column < columns; ++column) this.paintColumn(column, width / columns, scale, slice);
  }

  paintColumn(column, width, scale, slice) {
    const {context} = this;
    const camera = {scale, x: column * width + (width - this.scene.layout.width * scale) / 2, y: (12 - column * slice) * scale};
    const area = {x: column * width, y: 0, width, height: this.canvas.height};
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.beginPath();
    context.rect(area.x, area.y, area.width, area.height);
    context.clip();
    context.setTransform(scale, 0, 0, scale, camera.x, camera.y);
    new GraphPainter(context, this.scene, camera, area).paint();
    context.restore();
  }

  toScreen() {
    document.documentElement.classList.remove("printing");
    this.scene.palette = readPalette();
    this.resize();
  }
}
