// The page's head and overview; then all sections, each from its own file.
"use strict";

function summary() {
  const {library, graph, tensors} = report;
  const holds = [graph === null ? null : "its graph", tensors.length === 0 ? null : plural(tensors.length, "tensor")].filter(Boolean).join(" and ");
  const format = {elf: "ELF", macho: "Mach-O", pe: "PE"}[library.format] ?? library.format;
  return [`${format} library, ${library.bits} bits, `, make("bdi", null, shown(library.machine)), holds === "" ? "" : `, with ${holds} in it`];
}

function tiles() {
  const {graph, tensors, memory} = report;
  const sum = (key) => tensors.reduce((total, tensor) => total + tensor[key], 0);
  const [bytes, stored] = [sum("bytes"), sum("stored_bytes")];
  const functions = graph === null ? 0 : graph.nodes.filter(({kind}) => kind === "function").length;
  const sub = (text) => make("small", {class: "muted"}, text);
  return facts([
    ["File", [size(report.bytes), sub(`${count(report.bytes)} bytes`)]],
    ["Library", [size(report.host_bytes), sub(`${percent(ratio(report.host_bytes, report.bytes))} of the file`)]],
    ["Payload", [size(report.payload_bytes), sub(report.mapped ? "mapped with the library" : "in the file only, not mapped")]],
    ["Tensors", tensors.length === 0 ? null : [size(bytes), sub(stored < bytes ? `stored as ${humanSize(stored)}, saved ${percent(1 - ratio(stored, bytes))}` :
                                                                                 "stored as they are")]],
    ["Graph", graph === null ? null : [plural(graph.nodes.length, "node"), sub(plural(functions, "function call"))]],
    ["Memory", memory === null ? null : [size(memory.pool), sub(`${humanSize(memory.peak)} at the peak`)]],
  ], {class: "tiles"});
}

function warnings() {
  const odd = report.tensors.filter(isOdd).length;
  const wrong = report.signatures.filter(({state}) => state === "wrong").length;
  const sign = () => make("span", {"aria-hidden": "true"}, "⚠ ");
  const items = [];
  if (wrong > 0) items.push(make("li", {class: "bad"}, sign(), `${plural(wrong, "signature")} of this bundle ${wrong === 1 ? "is" : "are"} wrong.`));
  if (odd > 0) items.push(make("li", {class: "warn"}, sign(), `${plural(odd, "tensor")} hold${odd === 1 ? "s" : ""} NaN or infinite values. `,
                               link("Show", () => go.oddTensors())));
  return items.length === 0 ? null : make("ul", {class: "warnings", "aria-label": "Warnings"}, items);
}

const code = (text) => (text === null ? null : make("code", null, shown(text)));
const list = (texts) => (texts.length === 0 ? null : some(texts, (text) => named(text), 12));

function libraryFacts({library}) {
  return facts([["Format", `${library.format}, ${library.bits} bits, ${library.byte_order} endian`], ["Machine", named(library.machine)],
                ["Its name", library.name === null ? null : named(library.name)], ["Build id", code(library.build_id)],
                ["Linker", library.linker === null ? null : named(library.linker)], ["Compilers", list(library.compilers)],
                ["Needs", list(library.needed)], ["Functions", `${count(library.function_count)}, ${count(library.exported_count)} exported`]]);
}

function signatureOf({key_id: key, state}) {
  const words = {right: "right", wrong: "wrong", unchecked: "not checked: no key was given"}[state] ?? shown(state);
  return [make("strong", {class: `state-${state}`}, words), ", key ", code(key)];
}

function identityFacts() {
  const {signatures} = report;
  return facts([["File digest", code(report.file_digest)], ["Image digest", code(report.image_digest)],
                ["Signatures", signatures.length === 0 ? "none" : some(signatures, signatureOf, 12)],
                ["Notes", report.notes.length === 0 ? null : some(report.notes, (note) => named(note), 100)]]);
}

function artifactTable() {
  return new PagedTable("Artifacts", [
    {title: "Artifact", value: (row) => row.name, cell: (row) => named(row.name)},
    {title: "Kind", value: (row) => row.kind, cell: (row) => shown(row.kind)},
    {title: "Size", numeric: true, value: (row) => row.bytes, cell: (row) => size(row.bytes)},
    {title: "Stored", numeric: true, value: (row) => row.stored_bytes, cell: (row) => size(row.stored_bytes)},
    {title: "Codec", value: (row) => row.codec, cell: (row) => shown(row.codec)},
  ], report.artifacts).element;
}

function showOverview(section) {
  section.append(...[warnings()].filter(Boolean), make("div", {class: "columns"},
    make("div", null, make("h3", null, "Library"), libraryFacts(report)), make("div", null, make("h3", null, "Identity"), identityFacts())));
  if (report.artifacts.length > 0) section.append(make("h3", null, "Artifacts"), artifactTable());
}

part("head").append(make("p", {class: "kind muted"}, "Pannier bundle"), make("h1", null, named(report.bundle)), make("p", null, summary()), tiles());
part("foot").append(make("p", {class: "muted"}, `Made by ${report.producer}. This page holds all that it shows and asks no network for anything.`));
showOverview(part("overview"));
const graphSection = showGraph(part("graph"));
new Treemap(part("bytes"));
showTensors(part("tensors"));
showMemory(part("memory"));
showMap(part("map"));
showFunctions(part("functions"));

// For tests: where a node is in the window, or null while it is not shown.
window.pannierReport = {
  positionOf(index) {
    const at = graphSection?.view.onScreen(index) ?? null;
    const box = graphSection?.surface.getBoundingClientRect();
    return at && {x: at.x + box.left, y: at.y + box.top, scale: graphSection.view.camera.scale};
  },
};
