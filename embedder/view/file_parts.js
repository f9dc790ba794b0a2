// The file's map, the memory plan over the execution order, and the library's functions.
"use strict";

function showMap(section) {
  if (report.map.length === 0) return nothing(section, "The file's map is not known.");
  const totals = new Map();
  report.map.forEach(({kind, size: bytes}) => totals.set(kind, (totals.get(kind) ?? 0) + bytes));
  const scale = 1000 / Math.max(1, report.bytes);
  const words = [...totals].map(([kind, bytes]) => `${kind} ${humanSize(bytes)}`).join(", ");
  const rectangles = report.map.map(({name, kind, offset, size: bytes}) =>
    svg("rect", {x: offset * scale, width: bytes === 0 ? 0 : Math.max(bytes * scale, 0.8), y: 0, height: 40, class: `part-${kind}`},
        svg("title", null, `${isolated(name)}: ${humanSize(bytes)} at ${count(offset)}`)));
  const bar = svg("svg", {viewBox: "0 0 1000 40", preserveAspectRatio: "none", class: "filemap", role: "img",
                          "aria-label": `The file from its first to its last byte: ${words}`}, rectangles);
  const legend = [...totals].map(([kind, bytes]) =>
    make("li", null, make("i", {class: `swatch part-${kind}`}), `${kind} `, size(bytes),
         make("span", {class: "muted"}, ` ${percent(ratio(bytes, report.bytes))}`)));
  const table = new PagedTable("Parts of the file", [
    {title: "Part", value: (row) => row.name, cell: (row) => brief(row.name)},
    {title: "Kind", value: (row) => row.kind, cell: (row) => [make("i", {class: `swatch part-${row.kind}`}), row.kind]},
    {title: "Offset", numeric: true, value: (row) => row.offset, cell: (row) => count(row.offset)},
    {title: "Size", numeric: true, value: (row) => row.size, cell: (row) => size(row.size)},
    {title: "Share", numeric: true, value: (row) => row.size, cell: (row) => percent(ratio(row.size, report.bytes))},
  ], report.map, {filter: (row) => `${row.name} ${row.kind}`});
  section.append(bar, make("div", {class: "ends muted"}, make("span", null, "0"), make("span", null, count(report.bytes))),
                 make("ul", {class: "legend"}, legend), table.element);
}

class MemoryChart {
  constructor(section, memory) {
    Object.assign(this, {memory, at: memory.peak_step});
    this.readout = make("p", {class: "readout"});
    this.holder = make("div", {class: "chart"});
    section.append(this.holder, this.readout);
    drawAtWidth(this.holder, (width) => this.draw(width));
    this.read();
  }

  x(step) {
    return this.left + this.width * step / this.memory.steps.length;
  }

  y(bytes) {
    return 12 + 160 * (1 - bytes / this.top);
  }

  // of many steps only the highest of each pixel
  area() {
    const {steps} = this.memory;
    const wide = Math.max(1, Math.ceil(steps.length / Math.max(1, this.width)));
    let path = `M${this.left} ${this.y(0)}`;
    for (let step = 0; step < steps.length; step += wide) {
      const most = steps.slice(step, step + wide).reduce((high, {live}) => Math.max(high, live), 0);
      path += `V${this.y(most).toFixed(1)}H${this.x(Math.min(step + wide, steps.length)).toFixed(1)}`;
    }
    return path + `V${this.y(0)}Z`;
  }

  draw(width) {
    const {peak, peak_step: peakStep, pool, steps} = this.memory;
    this.left = 64;
    this.width = width - this.left - 12;
    this.top = Math.max(pool > 3 * peak ? peak * 1.1 : pool, peak, 1);  // a pool far above the peak would flatten it
    const level = (bytes, words, kind) => [svg("path", {d: `M${this.left} ${this.y(bytes)}h${this.width}`, class: kind}),
                                           svg("text", {x: this.left - 6, y: this.y(bytes) + 4, class: "end"}, words)];
    this.cursor = svg("path", {class: "cursor"});
    const isClose = Math.abs(this.y(peak) - this.y(pool)) < 14;
    const peakX = (this.x(peakStep) + this.x(peakStep + 1)) / 2;
    this.element = svg("svg", {viewBox: `0 0 ${width} 200`, role: "slider", tabindex: 0, "aria-label": "Live memory over the steps",
      "aria-valuemin": 1, "aria-valuemax": steps.length, onkeydown: (event) => this.key(event),
      onpointermove: (event) => this.point(event), onclick: (event) => this.point(event)},
      svg("path", {d: this.area(), class: "area"}), level(0, "0", "axis"),
      pool > this.top ? null : level(pool, humanSize(pool), "pool"), isClose ? null : level(peak, humanSize(peak), "peak"),
      this.cursor, svg("circle", {cx: peakX, cy: this.y(peak), r: 4, class: "dot"}), svg("text", {x: this.left, y: 192}, "step 1"),
      svg("text", {x: width - 12, y: 192, class: "end"}, `step ${count(steps.length)}`));
    this.holder.replaceChildren(this.element);
    this.read();
  }

  point(event) {
    const box = this.element.getBoundingClientRect();
    this.move(Math.floor((event.clientX - box.left - this.left) / this.width * this.memory.steps.length));
  }

  key(event) {
    const last = this.memory.steps.length - 1;
    const target = {ArrowLeft: this.at - 1, ArrowDown: this.at - 1, ArrowRight: this.at + 1, ArrowUp: this.at + 1, Home: 0,
                    End: last, PageUp: this.at + 10, PageDown: this.at - 10}[event.key];
    if (target !== undefined) this.move(target);
    else if (event.key === "Enter" && go.node !== null) go.node(this.memory.steps[this.at].node);
    else return;
    event.preventDefault();
  }

  move(step) {
    this.at = Math.max(0, Math.min(this.memory.steps.length - 1, step));
    this.read();
  }

  read() {
    const {steps, peak_step: peakStep} = this.memory;
    const {node, live} = steps[this.at];
    const name = report.graph?.nodes[node]?.name ?? `node ${node}`;
    const kind = this.at === peakStep ? ", the peak" : "";
    this.readout.replaceChildren(`Step ${count(this.at + 1)} of ${count(steps.length)}: `, goLink("node", node, named(name)), ", ",
                                 size(live), ` live${kind}`);
    if (this.element === undefined) return;
    this.element.setAttribute("aria-valuenow", this.at + 1);
    this.element.setAttribute("aria-valuetext", `step ${this.at + 1}, ${isolated(name)}, ${humanSize(live)} live${kind}`);
    this.cursor.setAttribute("d", `M${(this.x(this.at) + this.x(this.at + 1)) / 2} 6V${this.y(0)}`);
  }
}

// Who shares a storage; it is live from the first node that uses it to the last.
function storageUses(memory) {
  const peak = memory.steps[memory.peak_step].node;
  const uses = new Map(memory.storages.map(({id, first, last}) => [id, {values: 0, atPeak: first <= peak && peak <= last}]));
  for (const {outputs} of report.graph?.nodes ?? []) {
    for (const {storage} of outputs) if (uses.has(storage)) ++uses.get(storage).values;
  }
  return uses;
}

function showMemory(section) {
  const {memory} = report;
  if (memory === null || memory.steps.length === 0) return nothing(section, "No memory plan: it takes a graph with storage ids.");
  const strong = (bytes) => make("strong", null, size(bytes));
  section.append(make("p", null, "At most ", strong(memory.peak), ` are live, in step ${count(memory.peak_step + 1)} of `,
                      `${count(memory.steps.length)}; the pool takes `, strong(memory.pool),
                      ` in ${plural(memory.storages.length, "storage")}.`,
                      memory.params > 0 ? [" Parameters take ", size(memory.params), " besides."] : null));
  new MemoryChart(section, memory);
  const uses = storageUses(memory);
  const most = memory.storages.reduce((high, {bytes}) => Math.max(high, bytes), 1);
  const share = (row) => {
    const bar = make("i", {class: "share"});
    const width = 60 * row.bytes / most;
    bar.style.width = `${width}px`;
    bar.style.marginRight = `${68 - width}px`;
    return [bar, percent(ratio(row.bytes, memory.pool))];
  };
  section.append(new PagedTable("Storages", [
    {title: "Storage id", numeric: true, value: (row) => row.id, cell: (row) => String(row.id)},
    {title: "Size", numeric: true, value: (row) => row.bytes, cell: (row) => size(row.bytes)},
    {title: "Share of the pool", numeric: true, value: (row) => row.bytes, cell: share},
    {title: "Values that use it", numeric: true, value: ({id}) => uses.get(id).values, cell: ({id}) => count(uses.get(id).values)},
    {title: "At the peak", value: ({id}) => Number(uses.get(id).atPeak), cell: ({id}) => (uses.get(id).atPeak ? "live" : "free")},
  ], memory.storages, {order: {at: 1, down: true}}).element);
}

function showFunctions(section) {
  if (report.functions.length === 0) return nothing(section, "The library names no functions: it may be stripped.");
  const all = report.functions.reduce((sum, {bytes}) => sum + bytes, 0);
  const table = new PagedTable("Functions", [
    {title: "Function", value: (row) => row.name, cell: (row) => brief(row.name)},
    {title: "Size", numeric: true, value: (row) => row.bytes, cell: (row) => size(row.bytes)},
    {title: "Share", numeric: true, value: (row) => row.bytes, cell: (row) => percent(ratio(row.bytes, all))},
    {title: "Address", numeric: true, value: (row) => row.address, cell: (row) => code("0x" + row.address.toString(16))},
    {title: "Exported", value: (row) => Number(row.exported), cell: (row) => (row.exported ? "yes" : "no")},
    {title: "In the graph", sorts: false, cell: (row) => {
      const node = nodeOfFunction(row.name);
      return node === null ? "" : goLink("node", node, "show");
    }},
  ], report.functions, {filter: (row) => row.name, order: {at: 1, down: true}});
  section.append(table.element);
  go.code = (name) => {
    const row = report.functions.find((item) => item.name === name);
    if (row !== undefined) reveal("functions", table.show(row));
  };
}
