// What differs between two bundles: A, the one before, and B, the one after.
"use strict";

const SIGNS = {added: "+", removed: "\u2212", changed: "~"};
const SAME = "No difference.";

function changeOf({change}) {
  return make("span", {class: `change change-${change}`}, make("span", {"aria-hidden": "true"}, SIGNS[change] + " "), change);
}
const CHANGE = {title: "Change", value: ({change}) => change, cell: changeOf};
// rows of a table with that change; items may have a "change" of their own
const tagged = (list, change, more = () => ({})) => list.map((item) => ({...item, change, ...more(item)}));
const counted = (pairs) => pairs.filter(([number]) => number > 0).map(([number, word]) => `${count(number)} ${word}`).join(", ");

function valueOf(value) {
  if (value === null || value === undefined || value === "") return make("span", {class: "muted"}, "none");
  if (!Array.isArray(value)) return named(String(value));
  return value.length === 0 ? valueOf(null) : value.flatMap((item, at) => [...(at === 0 ? [] : [", "]), named(String(item))]);
}
const textOf = (value) => (Array.isArray(value) ? value.join(", ") : String(value ?? ""));
const bytesOf = (bytes) => (bytes === null ? make("span", {class: "muted"}, "none") : size(bytes));

function signedSize(bytes) {
  if (bytes === 0) return "0";
  const title = `${bytes > 0 ? "+" : "\u2212"}${count(Math.abs(bytes))} bytes`;
  return make("span", {title, class: "size"}, (bytes > 0 ? "+" : "\u2212") + humanSize(Math.abs(bytes)));
}

// before and after: sizes in bytes, null where there is none
const SIZES = [
  {title: "Before", numeric: true, value: ({before}) => before ?? -1, cell: ({before}) => bytesOf(before)},
  {title: "After", numeric: true, value: ({after}) => after ?? -1, cell: ({after}) => bytesOf(after)},
  {title: "Difference", numeric: true, value: ({before, after}) => Math.abs((after ?? 0) - (before ?? 0)),
   cell: ({before, after}) => signedSize((after ?? 0) - (before ?? 0))},
];
const NAME = (title) => ({title, value: ({name}) => name, cell: ({name}) => named(name)});

function sizeTable(label, title, rows) {
  const found = rows.map(({name, a_bytes: before, b_bytes: after}) =>
    ({name, before, after, change: before === null ? "added" : after === null ? "removed" : "changed"}));
  const options = {filter: ({name, change}) => `${name} ${change}`, order: {at: 4, down: true}};
  return new PagedTable(label, [NAME(title), CHANGE, ...SIZES], found, options).element;
}

function valueTable(label, title, rows) {
  return new PagedTable(label, [
    NAME(title),
    {title: "Before", value: ({a}) => textOf(a), cell: ({a}) => valueOf(a)},
    {title: "After", value: ({b}) => textOf(b), cell: ({b}) => valueOf(b)},
  ], rows, {filter: ({name, a, b}) => `${name} ${textOf(a)} ${textOf(b)}`}).element;
}

const titled = (section, text, element) => section.append(make("h3", null, text), element);

function functionCounts({functions}) {
  const {added, removed, changed, equal, moved} = functions;
  return {number: added.length + removed.length + changed.length,
          words: counted([[changed.length, "changed"], [added.length, "added"], [removed.length, "removed"]]),
          rest: counted([[equal, "equal"], [moved, "equal but for addresses"]])};
}

function showLibrary(section) {
  const {library} = report;
  if (library === null) return nothing(section, "Both hold the same library, byte for byte.");
  const {number, rest} = functionCounts(library);
  const {added, removed, changed} = library.functions;
  if (number + library.facts.length + library.sections.length === 0) {
    const known = report.a.host_sha256 !== null && report.b.host_sha256 !== null;
    nothing(section, known ? "Other bytes, in no function, section or property that is compared." : SAME);
  }
  if (library.facts.length > 0) titled(section, "Properties", valueTable("Properties", "Property", library.facts));
  const rows = [...tagged(changed, "changed", (item) => ({before: item.a_bytes, after: item.b_bytes})),
                ...tagged(added, "added", (item) => ({before: null, after: item.bytes})),
                ...tagged(removed, "removed", (item) => ({before: item.bytes, after: null}))];
  const order = {at: 4, down: true};
  const table = () => new PagedTable("Functions", [NAME("Function"), CHANGE, ...SIZES], rows,
                                     {filter: ({name, change}) => `${name} ${change}`, order}).element;
  if (number > 0) titled(section, "Functions", table());
  if (rest !== "") section.append(make("p", {class: "muted"}, `Functions that are the same: ${rest}.`));
  if (library.sections.length > 0) titled(section, "Sections", sizeTable("Sections", "Section", library.sections));
}

// Of an artifact whose parts were not compared.
const differing = (artifact) => report.artifacts.find(({name}) => name === artifact);
function sameWords(artifact, what) {
  const found = differing(artifact);
  if (found === undefined) return SAME;
  if (found.a_bytes === null || found.b_bytes === null) return `Only ${found.a_bytes === null ? "B" : "A"} has ${what}.`;
  return `Other bytes; one of the two is not ${what} that can be read.`;
}

// a row for each change of a node
function nodeRows({added, removed, changed}) {
  const whole = () => ({what: "", a: "", b: ""});
  return [...changed.flatMap((node) => node.changes.map((change) => ({...node, ...change, change: "changed"}))),
          ...tagged(added, "added", whole), ...tagged(removed, "removed", whole)];
}

function showGraphChanges(section) {
  const {graph} = report;
  if (graph === null) return nothing(section, sameWords("graph", "a graph"));
  if (graph.note !== undefined) {
    return section.append(make("p", null, "It differs; its nodes cannot be compared: ", named(graph.note)));
  }
  const rows = nodeRows(graph);
  const side = (key) => (row) => (row.change === "changed" ? valueOf(row[key]) : "");
  if (rows.length > 0) {
    section.append(new PagedTable("Nodes", [
      NAME("Node"), {title: "Operator", value: ({operator}) => operator, cell: ({operator}) => named(operator)}, CHANGE,
      {title: "What", value: ({what}) => what, cell: ({what}) => (what === "" ? "" : named(what))},
      {title: "Before", value: ({a}) => textOf(a), cell: side("a")}, {title: "After", value: ({b}) => textOf(b), cell: side("b")},
    ], rows, {filter: (row) => `${row.name} ${row.operator} ${row.change} ${row.what} ${textOf(row.a)} ${textOf(row.b)}`}).element);
  }
  if (graph.heads_changed) section.append(make("p", null, "The graph gives other results: its heads differ."));
  const rest = counted([[graph.equal, "equal"], [graph.storage_changed, "in other storages, which counts as no change"]]);
  if (rest !== "") section.append(make("p", {class: "muted"}, `Nodes: ${rest}.`));
}

const typeText = (dtype, shape) => make("bdi", null, `${shapeText(shape)} ${shown(dtype)}`);

function shareBar(share) {
  const bar = make("i", {class: "share"});
  bar.style.width = `${Math.max(share > 0 ? 1 : 0, 60 * share)}px`;
  bar.style.marginRight = `${68 - 60 * share}px`;
  return [bar, percent(share)];
}

function tensorWords(row) {
  const same = (row.same_as ?? null) === null ? [] : [", the values that ", named(row.same_as), " had in A"];
  if (row.a_shape !== undefined) return [typeText(row.a_dtype, row.a_shape), " → ", typeText(row.b_dtype, row.b_shape), ...same];
  if (row.elements === undefined) return [typeText(row.dtype, row.shape), ", ", size(row.bytes), ...same];
  return [`${count(row.differing)} of ${plural(row.elements, "value")}`, ...same];
}

const shareOf = (row) => (row.elements === undefined ? -1 : ratio(row.differing, row.elements));
const TENSOR_COLUMNS = [
  NAME("Tensor"), CHANGE,
  {title: "Values that differ", numeric: true, value: shareOf, cell: (row) => (shareOf(row) < 0 ? "–" : shareBar(shareOf(row)))},
  {title: "By at most", numeric: true, value: ({greatest}) => greatest ?? -1, cell: ({greatest}) => real(greatest)},
  {title: "On average", numeric: true, value: ({mean}) => mean ?? -1, cell: ({mean}) => real(mean)},
  {title: "What", sorts: false, cell: tensorWords},
];

function showTensorChanges(section) {
  const {params} = report;
  if (params === null) return nothing(section, sameWords("params", "parameters"));
  const rows = [...tagged(params.changed, "changed"), ...tagged(params.added, "added"), ...tagged(params.removed, "removed")];
  if (rows.length === 0) nothing(section, "All tensors have the same values.");
  const filter = ({name, change}) => `${name} ${change}`;
  if (rows.length > 0) section.append(new PagedTable("Tensors", TENSOR_COLUMNS, rows, {filter}).element);
  const rest = counted([[params.equal, "equal"]]);
  if (rest !== "" && rows.length > 0) section.append(make("p", {class: "muted"}, `Tensors: ${rest}.`));
  const recoded = params.recoded.map(({name, a_codec: a, b_codec: b}) => ({name, a, b}));
  if (recoded.length > 0) titled(section, "Codecs", valueTable("Codecs", "Tensor", recoded));
}

function showArtifactChanges(section) {
  if (report.artifacts.length === 0) return nothing(section, "All artifacts have the same bytes.");
  section.append(sizeTable("Artifacts", "Artifact", report.artifacts));
}

function showSignatureChanges(section) {
  const {added, removed} = report.signatures;
  const rows = [...removed.map((key) => ({key, change: "removed"})), ...added.map((key) => ({key, change: "added"}))];
  if (rows.length === 0) return nothing(section, "Both are signed with the same keys, or neither is.");
  const keys = {title: "Key", value: ({key}) => key, cell: ({key}) => code(key)};
  section.append(new PagedTable("Signatures", [keys, CHANGE], rows).element);
}

function sideOf(letter, words, {bundle, bytes, file_digest: digest}) {
  return make("div", {class: "side-of"}, make("h2", null, `${letter}, ${words}`), make("p", {class: "bundle"}, named(bundle)),
              facts([["Size", [size(bytes), `, ${count(bytes)} bytes`]],
                     ["File digest", digest === null ? "none: TVM's export_library made this file" : code(digest)]]));
}

const listWords = ({changed, added, removed, equal}) =>
  counted([[changed.length, "changed"], [added.length, "added"], [removed.length, "removed"], [equal, "equal"]]);

function tile(number, words = "") {
  return [number === 0 ? "same" : count(number), words === "" ? null : make("small", {class: "muted"}, words)];
}

function listTile(part, artifact) {
  if (part === null && differing(artifact) === undefined) return tile(0);
  if (part === null || part.note !== undefined) return ["differ"];
  return tile(part.changed.length + part.added.length + part.removed.length, listWords(part));
}

function summaryTiles() {
  const {library, graph, params, artifacts, signatures} = report;
  const functions = library === null ? {number: 0, words: "the same library"} : functionCounts(library);
  const others = library === null ? [] : [[library.facts.length, library.facts.length === 1 ? "property" : "properties"],
                                           [library.sections.length, library.sections.length === 1 ? "section" : "sections"]];
  const keys = [[signatures.added.length, "added"], [signatures.removed.length, "removed"]];
  const sum = (pairs) => pairs.reduce((total, [number]) => total + number, 0);
  return facts([
    ["Functions", tile(functions.number, functions.words || functions.rest)],
    ["Rest of the library", tile(sum(others), counted(others))],
    ["Nodes", listTile(graph, "graph")],
    ["Tensors", listTile(params, "params")],
    ["Codecs", params === null ? null : tile(params.recoded.length, params.recoded.length > 0 ? "of tensors" : "")],
    ["Artifacts", tile(artifacts.length, artifacts.length > 0 ? "by their bytes" : "")],
    ["Signatures", tile(sum(keys), counted(keys))],
  ], {class: "tiles"});
}

const verdict = report.differ ? make("p", {class: "verdict"}, "They differ.")
                              : make("p", {class: "verdict state-right"}, "No difference in what is compared.");
part("head").append(make("p", {class: "kind muted"}, "Pannier comparison"), make("h1", null, "What differs"), verdict,
                    make("div", {class: "columns sides"}, sideOf("A", "before", report.a), sideOf("B", "after", report.b)),
                    summaryTiles());
part("foot").append(make("p", {class: "muted"}, "Made by pannier diff. The page holds all that it shows: no network."));
showLibrary(part("library"));
showGraphChanges(part("graph"));
showTensorChanges(part("tensors"));
showArtifactChanges(part("artifacts"));
showSignatureChanges(part("signatures"));
