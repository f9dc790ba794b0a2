// The page's head and overview; then all sections, each from its own file.
"use strict";

const FORMATS = {elf: "ELF", macho: "Mach-O", pe: "PE"};

function summary() {
  const {library, graph, tensors} = report;
  const parts = [...(graph === null ? [] : ["its graph"]), ...(tensors.length === 0 ? [] : [plural(tensors.length, "tensor")])];
  const format = FORMATS[library.format] ?? library.format;
  const holds = parts.length === 0 ? "" : `, with ${parts.join(" and ")} in it`;
  return [`${format} library, ${library.bits} bits, `, named(library.machine), holds];
}

function tiles() {
  const {graph, tensors, memory} = report;
  const sum = (key) => tensors.reduce((total, tensor) => total + tensor[key], 0);
  const [bytes, stored] = [sum("bytes"), sum("stored_bytes")];
  const isLess = stored < bytes;
  const saved = isLess ? `stored as ${humanSize(stored)}, ${percent(1 - ratio(stored, bytes))} saved` : "stored as they are";
  const functions = graph === null ? 0 : graph.nodes.filter(({kind}) => kind === "function").length;
  const sub = (text) => make("small", {class: "muted"}, text);
  return facts([
    ["File", [size(report.bytes), sub(`${count(report.bytes)} bytes`)]],
    ["Library", [size(report.host_bytes), sub(`${percent(ratio(report.host_bytes, report.bytes))} of the file`)]],
    ["Payload", [size(report.payload_bytes), sub(report.mapped ? "mapped with the library" : "in the file only, not mapped")]],
    ["Tensors", tensors.length === 0 ? null : [size(bytes), sub(saved)]],
    ["Graph", graph === null ? null : [plural(graph.nodes.length, "node"), sub(plural(functions, "function call"))]],
    ["Memory", memory === null ? null : [size(memory.pool), sub(`${humanSize(memory.peak)} at the peak`)]],
  ], {class: "tiles"});
}

function warnings() {
  const odd = report.tensors.filter(isOdd).length;
  const wrong = report.signatures.filter(({state}) => state === "wrong").length;
  const item = (kind, ...content) => make("li", {class: kind}, make("span", {"aria-hidden": "true"}, "⚠ "), content);
  const items = report.problems.map((problem) => item("bad", named(problem)));
  if (wrong > 0) items.push(item("bad", `${plural(wrong, "signature")} of this bundle ${wrong === 1 ? "is" : "are"} wrong.`));
  const words = `${plural(odd, "tensor")} ${odd === 1 ? "holds" : "hold"} NaN or infinite values. `;
  if (odd > 0) items.push(item("warn", words, link("Show", () => go.oddTensors())));
  return items.length === 0 ? [] : [make("ul", {class: "warnings", "aria-label": "Warnings"}, items)];
}

const list = (texts) => (texts.length === 0 ? null : some(texts, (text) => named(text), 12));

function libraryFacts({library}) {
  const {function_count: all, exported_count: exported} = library;
  return facts([["Format", `${FORMATS[library.format] ?? library.format}, ${library.bits} bits, ${library.byte_order} endian`],
                ["Machine", named(library.machine)], ["Its name", library.name === null ? null : named(library.name)],
                ["Build id", code(library.build_id)],
                ["Linker", library.linker === null ? null : named(library.linker)], ["Compilers", list(library.compilers)],
                ["Needs", list(library.needed)], ["Functions", `${count(all)}, ${count(exported)} exported`]]);
}

function signatureOf({key_id: key, state}) {
  const words = {right: "right", wrong: "wrong", unchecked: "not checked: no key was given"}[state] ?? shown(state);
  return [make("strong", {class: `state-${state}`}, words), ", key ", code(key)];
}

function identityFacts() {
  const {signatures} = report;
  const without = report.file_digest === null ? "none: TVM's export_library made this file" : null;
  return facts([["Digests", without], ["File digest", code(report.file_digest)], ["Image digest", code(report.image_digest)],
                ["Signatures", signatures.length === 0 ? "none" : some(signatures, signatureOf, 12)],
                ["Notes", report.notes.length === 0 ? null : some(report.notes, (note) => named(note), 100)]]);
}

function artifactTable() {
  return new PagedTable("Artifacts", [
    {title: "Artifact", value: (row) => row.name, cell: (row) => brief(row.name)},
    {title: "Kind", value: (row) => row.kind, cell: (row) => brief(row.kind)},
    {title: "Size", numeric: true, value: (row) => row.bytes, cell: (row) => size(row.bytes)},
    {title: "Stored", numeric: true, value: (row) => row.stored_bytes, cell: (row) => size(row.stored_bytes)},
    {title: "Codec", value: (row) => row.codec ?? "", cell: (row) => brief(row.codec ?? "–")},
  ], report.artifacts).element;
}

function showOverview(section) {
  const titled = (title, content) => make("div", null, make("h3", null, title), content);
  section.append(...warnings(),
                 make("div", {class: "columns"}, titled("Library", libraryFacts(report)), titled("Identity", identityFacts())));
  if (report.artifacts.length > 0) section.append(make("h3", null, "Artifacts"), artifactTable());
}

part("head").append(make("p", {class: "kind muted"}, "Pannier bundle"), make("h1", null, named(report.bundle)),
                    make("p", null, summary()), tiles());
part("foot").append(make("p", {class: "muted"}, "Bundle made by ", named(report.producer),
                         ". The page holds all that it shows: no network."));
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
